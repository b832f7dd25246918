//! Rule `words`: no unfinished business and no machine's own paths in any file.

use super::{TextFile, Violation, scan};

const RULE: &str = "words";

/// Marks of unfinished work; written in two parts, so as not to find themselves.
const UNFINISHED: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
];

/// Where somebody's own files lie.
const MACHINE: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("C:", "\\"),
];

pub(super) fn check(file: &TextFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut report = |advice: String| violations.push(file.violation(index + 1, RULE, advice));
        for word in UNFINISHED {
            if scan::find_words(line, word).next().is_some() {
                report(format!(
                    "finish what `{word}` stands for, or say what is absent and why"
                ));
            }
        }
        // In an address the same letters are somebody's pages.
        for path in MACHINE {
            if line
                .match_indices(path)
                .any(|(at, _)| !in_address(&line[..at]))
            {
                report(format!(
                    "`{path}` is a path of one machine: use a relative one"
                ));
            }
        }
    }
    violations
}

/// Whether the text before a path shows it to be part of a longer one.
fn in_address(before: &str) -> bool {
    before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}' | '~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_red() {
        for word in UNFINISHED {
            let found = check(&TextFile::new("a.md", &format!("a\nb {word} c\n")));
            assert_eq!((found.len(), found[0].line), (1, 2), "{word}");
        }
    }

    #[test]
    fn a_machine_path_is_red() {
        for path in MACHINE {
            assert_eq!(
                check(&TextFile::new("a.md", &format!("see {path}a"))).len(),
                1,
                "{path}"
            );
        }
    }

    #[test]
    fn an_address_is_no_machine_path() {
        let text = format!("https://example.org{}a", MACHINE[0]);
        assert_eq!(check(&TextFile::new("a.md", &text)), []);
    }
}
