//! The book as text: its chapters, the fenced blocks in them, and what a block of a terminal
//! says, entry by entry.

use std::path::PathBuf;

/// All of it, in the order of the alphabet.
pub(crate) const CHAPTERS: [&str; 8] = [
    "README.md",
    "concepts.md",
    "deployment.md",
    "devices.md",
    "guarantees.md",
    "operations.md",
    "security.md",
    "start.md",
];

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide")
}

pub(crate) fn chapter(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A fenced block: the words behind its fence, and its lines.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) line: usize,
    info: Vec<String>,
    lines: Vec<String>,
}

/// A piece of what a terminal shows. Lines that follow are what is printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// `$ command`.
    Command(String, Vec<String>),
    /// `^C`.
    Interrupt(Vec<String>),
    /// What the command that runs prints later.
    Further(Vec<String>),
}

/// The blocks of a chapter.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let inside = lines.by_ref().map(|(_, line)| line);
        blocks.push(Block {
            line: number + 1,
            info: info.split_whitespace().map(str::to_owned).collect(),
            lines: inside
                .take_while(|line| *line != "```")
                .map(str::to_owned)
                .collect(),
        });
    }
    blocks
}

impl Block {
    pub(crate) fn language(&self) -> &str {
        self.info.first().map_or("", String::as_str)
    }

    /// The name of the terminal; the first one has none.
    pub(crate) fn terminal(&self) -> &str {
        self.info.get(1).map_or("", String::as_str)
    }

    /// The file that the block is, if it is one.
    pub(crate) fn file(&self) -> Option<&str> {
        match self.language() {
            "console" => None,
            _ => self.info.get(1).map(String::as_str),
        }
    }

    /// Whether it belongs at the end of what the file has.
    pub(crate) fn is_added(&self) -> bool {
        self.info.get(2).is_some_and(|word| word == "+")
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The lines that call the command, continued ones as one.
    pub(crate) fn commands(&self) -> Vec<String> {
        let text = self.text().replace("\\\n", " ");
        let plain = text.lines().map(|line| match line.split_once(" #") {
            Some((command, _)) => command.trim_end().to_owned(),
            None => line.to_owned(),
        });
        plain
            .filter(|line| line.starts_with("stanchion "))
            .collect()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for line in &self.lines {
            if let Some(command) = line.strip_prefix("$ ") {
                entries.push(Entry::Command(command.to_owned(), Vec::new()));
            } else if line == "^C" {
                entries.push(Entry::Interrupt(Vec::new()));
            } else {
                if let Some(Entry::Command(command, output)) = entries.last_mut()
                    && command.ends_with('\\')
                    && output.is_empty()
                {
                    command.pop();
                    command.push_str(line.trim_start());
                    continue;
                }
                match entries.last_mut() {
                    Some(
                        Entry::Command(_, lines) | Entry::Interrupt(lines) | Entry::Further(lines),
                    ) => lines.push(line.clone()),
                    None => entries.push(Entry::Further(vec![line.clone()])),
                }
            }
        }
        entries
    }
}

/// Whether these lines are what is expected: `…` stands for any text, and for any number of
/// lines where it stands alone.
pub(crate) fn fits(expected: &[String], lines: &[String]) -> bool {
    match expected {
        [] => lines.is_empty(),
        [any, rest @ ..] if any.trim() == "…" => {
            (0..=lines.len()).any(|skip| fits(rest, &lines[skip..]))
        }
        [first, rest @ ..] => match lines {
            [line, others @ ..] => {
                line_fits(first.trim_end(), line.trim_end()) && fits(rest, others)
            }
            [] => false,
        },
    }
}

fn line_fits(expected: &str, line: &str) -> bool {
    match expected.split_once('…') {
        None => expected == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| line_fits(after, &rest[at..]))
        }),
    }
}

#[test]
fn dots_stand_for_any_text_and_alone_for_any_lines() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (expected, told, fit) in [
        ("a\nb", "a\nb", true),
        ("a", "a\nb", false),
        ("a\nb", "a", false),
        ("a … c", "a b c", true),
        ("a … c", "a b d", false),
        ("…\nb", "b", true),
        ("…\nb", "a\na\nb", true),
        ("a\n…", "a\nb\nc", true),
        ("a\n…\nd", "a\nb\nc", false),
    ] {
        assert_eq!(
            fits(&lines(expected), &lines(told)),
            fit,
            "{expected} {told}"
        );
    }
}
