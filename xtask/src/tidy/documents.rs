//! Rules `command` and `link`: a command that the README names exists, and so
//! does a file that a document links to.

use super::{TextFile, Violation, scan};
use clap::CommandFactory;
use std::path::Path;

/// Commands in README.md that neither `cargo xtask` nor `stanchion` has.
pub(super) fn unknown_commands(files: &[TextFile]) -> Vec<Violation> {
    let Some(readme) = files.iter().find(|file| file.path == "README.md") else {
        return Vec::new();
    };
    let ours: Vec<String> = crate::Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let theirs = stanchion_verbs(files);
    let mut violations = Vec::new();
    for (line, words) in commands(&readme.text) {
        let words: Vec<&str> = words
            .split_whitespace()
            .filter(|word| !word.contains('='))
            .collect();
        let (program, verb, known) = match words[..] {
            ["cargo", "xtask", verb, ..] => ("cargo xtask", verb, &ours),
            ["stanchion", verb, ..] => ("stanchion", verb, &theirs),
            _ => continue,
        };
        let option = verb.starts_with(|c: char| !c.is_ascii_alphabetic());
        if !option && !known.iter().any(|name| name == verb) {
            let advice = format!(
                "`{program} {verb}` does not exist; there are: {}",
                known.join(", ")
            );
            violations.push(readme.violation(line, "command", advice));
        }
    }
    violations
}

/// What a document shows as code to be typed: lines of fenced blocks without a
/// language of their own, and spans between backquotes. With line numbers.
fn commands(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            fence = match fence {
                Some(_) => None,
                None => Some(info.trim()),
            };
            continue;
        }
        match fence {
            Some("" | "sh" | "console" | "bash" | "shell") => {
                let line = line.trim().trim_start_matches("$ ");
                found.push((index + 1, line.split(" #").next().unwrap_or(line)));
            }
            Some(_) => {}
            None => found.extend(
                line.split('`')
                    .skip(1)
                    .step_by(2)
                    .map(|span| (index + 1, span)),
            ),
        }
    }
    found
}

/// The verbs of the `stanchion` command: variants of every enum in its sources
/// that derives `Subcommand`, as clap names them.
fn stanchion_verbs(files: &[TextFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.is_rust() && file.path.starts_with("crates/chat/src/"))
        .flat_map(|file| verbs(&scan::code_without_tests(&file.text)))
        .collect()
}

fn verbs(code: &str) -> Vec<String> {
    let mut verbs = Vec::new();
    for at in scan::find_words(code, "Subcommand") {
        // In a derive, what follows is `)]`, other attributes, and the enum.
        let rest = &code[at..];
        let line = code[..at].rsplit('\n').next().unwrap_or_default();
        let (Some(open), Some(item)) = (rest.find('{'), rest.find("enum ")) else {
            continue;
        };
        if !line.contains("derive") || item > open {
            continue;
        }
        verbs.extend(variants(&rest[open + 1..]).iter().map(|name| kebab(name)));
    }
    verbs
}

/// The variants of an enum, from behind its opening brace.
fn variants(body: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut fresh) = (0usize, true);
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' if depth == 0 => break,
            '}' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if depth == 0 && fresh && c.is_ascii_uppercase() => {
                let name: String = body[at..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric())
                    .collect();
                if name.len() > 1 {
                    chars.nth(name.len() - 2);
                }
                names.push(name);
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Links of documents to files that are not there.
pub(super) fn broken_links(files: &[TextFile], root: &Path) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = root.join(&file.path);
        for (line, target) in links(&file.text) {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.contains("://") || path.starts_with("mailto:");
            if !path.is_empty() && !elsewhere && !folder.with_file_name(path).exists() {
                let advice = format!("`{path}` does not exist: correct the link");
                violations.push(file.violation(line, "link", advice));
            }
        }
    }
    violations
}

/// Targets of `[text](target)`, with line numbers; code is no link.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            for span in line.split('`').step_by(2) {
                let targets = span.split("](").skip(1);
                found.extend(
                    targets.filter_map(|rest| Some((index + 1, rest.split([')', ' ']).next()?))),
                );
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "//! The command.\n#[derive(Debug, Subcommand)]\n#[command(rename_all = \"kebab-case\")]\n\
        enum Verb {\n    /// Send, or not\n    Send(Send),\n    #[command(alias = \"x\")]\n    ShowOutbox { a: Vec<u8>, b: B },\n    Demo,\n}\n";

    fn unknown(readme: &str) -> Vec<usize> {
        let files = [
            TextFile::new("README.md", readme),
            TextFile::new("crates/chat/src/main.rs", CHAT),
        ];
        unknown_commands(&files)
            .iter()
            .map(|violation| violation.line)
            .collect()
    }

    #[test]
    fn the_verbs_are_read_from_the_sources() {
        assert_eq!(
            verbs(&scan::code_without_tests(CHAT)),
            ["send", "show-outbox", "demo"]
        );
    }

    #[test]
    fn an_unknown_xtask_command_is_red() {
        assert_eq!(
            unknown("Run `cargo xtask tidy`.\n\n```sh\ncargo xtask tidi  # check\n```\n"),
            [4]
        );
    }

    #[test]
    fn an_unknown_verb_is_red() {
        assert_eq!(
            unknown(
                "```sh\n$ A=b stanchion send x\nstanchion show-outbox\nstanchion sent x\n```\n"
            ),
            [4]
        );
        assert_eq!(
            unknown("`stanchion --help`, `stanchion demo`, `stanchion serve`\n"),
            [1]
        );
    }

    #[test]
    fn prose_and_other_languages_are_no_commands() {
        assert_eq!(
            unknown("A stanchion stands.\n```rust\nstanchion stands\n```\n"),
            Vec::<usize>::new()
        );
    }

    #[test]
    fn a_link_to_nothing_is_red() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("docs")).unwrap();
        std::fs::write(dir.path().join("docs/a.md"), "").unwrap();
        let text =
            "[a](a.md#x) [b](../docs/a.md)\n[c](b.md) [d](https://example.org/b.md) `[e](f)`\n";
        let found = broken_links(&[TextFile::new("docs/c.md", text)], dir.path());
        assert_eq!(
            found.iter().map(|v| (v.line, v.rule)).collect::<Vec<_>>(),
            [(2, "link")]
        );
    }
}
