//! Rules `head` and `length`: every source file opens with a `//!` head, and
//! none is longer than 800 lines without its tests.

use super::{TextFile, Violation, scan};

/// The most lines of a file, its `#[cfg(test)]` parts not counted.
const MOST: usize = 800;

pub(super) fn check(file: &TextFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    let head = file
        .text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//!"));
    if head.is_none_or(|text| text.trim().is_empty()) {
        let advice = "open the file with a `//!` head: what it owns, what it leaves to whom";
        violations.push(file.violation(1, "head", advice));
    }
    let lines = scan::lines_without_tests(&file.text);
    if lines > MOST {
        let advice = format!("split it: {lines} lines without tests, at most {MOST}");
        violations.push(file.violation(MOST + 1, "length", advice));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_head_is_red() {
        for text in ["use a;\n", "", "//!\nuse a;\n", "// A comment.\n"] {
            assert_eq!(
                check(&TextFile::new("a.rs", text))[0].rule,
                "head",
                "{text:?}"
            );
        }
        assert_eq!(check(&TextFile::new("a.rs", "//! Owns a.\n")), []);
    }

    #[test]
    fn a_long_file_is_red() {
        let text = format!("//! Owns a.\n{}", "const A: u8 = 1;\n".repeat(MOST));
        assert_eq!(check(&TextFile::new("a.rs", &text))[0].rule, "length");
    }

    #[test]
    fn tests_do_not_make_a_file_long() {
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "const A: u8 = 1;\n".repeat(MOST)
        );
        assert_eq!(
            check(&TextFile::new("a.rs", &format!("//! Owns a.\n{tests}"))),
            []
        );
    }
}
