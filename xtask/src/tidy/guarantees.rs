//! Rule `guarantees`: what docs/guarantees.md promises is held by a test. Each item of its
//! lists names one, and every test that it names exists. The meaning of words, and what is
//! relied on, cannot be tested, and need none.

use super::compliance::{Named, named, tests};
use super::{TextFile, Violation};

const DOCUMENT: &str = "docs/guarantees.md";
const RULE: &str = "guarantees";
/// Sections whose items need no test.
const WITHOUT: [&str; 2] = ["## Words", "## What is relied on"];

pub(super) fn check(files: &[TextFile]) -> Vec<Violation> {
    let Some(document) = files.iter().find(|file| file.path == DOCUMENT) else {
        return Vec::new();
    };
    let tests = tests(files);
    let mut violations = Vec::new();
    let mut tell = |line: usize, advice: String| {
        violations.push(document.violation(line, RULE, advice));
    };
    // The item that is being read: where it began, and whether it named a test.
    let mut item: Option<(usize, bool)> = None;
    let mut needs = true;
    let end = std::iter::once("");
    for (index, line) in document.text.lines().chain(end).enumerate() {
        let begins = is_item(line);
        if begins || line.is_empty() || line.starts_with('#') {
            if let Some((began, false)) = item.take() {
                tell(began, "name the test that holds this promise".to_owned());
            }
            if line.starts_with('#') {
                needs = !WITHOUT.contains(&line);
            }
        }
        if begins && needs {
            item = Some((index + 1, false));
        }
        for span in line.split('`').skip(1).step_by(2) {
            let Named::Test(name) = named(span) else {
                continue;
            };
            if tests.contains(name) {
                item = item.map(|(began, _)| (began, true));
            } else {
                tell(index + 1, format!("there is no test `{name}`"));
            }
        }
    }
    violations
}

/// Whether an item of a list begins there.
fn is_item(line: &str) -> bool {
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ") || (digits.len() < line.len() && digits.starts_with(". "))
}

#[cfg(test)]
mod checks {
    use super::*;

    fn red(text: &str) -> Vec<usize> {
        let files = [
            TextFile::new(DOCUMENT, text),
            TextFile::new("crates/a/tests/d.rs", "fn it_holds_in_d() {}\n"),
            TextFile::new("crates/a/src/b.rs", "fn it_does_this() {}\n"),
        ];
        check(&files).iter().map(|v| v.line).collect()
    }

    const NONE: [usize; 0] = [];

    #[test]
    fn a_promise_with_a_test_is_green() {
        assert_eq!(red("## Always\n\n- It holds\n  (`it_holds_in_d`).\n"), NONE);
        assert_eq!(red("## Always\n\n1. It holds (`it_holds_in_d`)."), NONE);
    }

    #[test]
    fn a_promise_without_a_test_is_red() {
        let text = "## Always\n\n- It holds.\n- So does it (`it_holds_in_d`).\n\n12. And so on";
        assert_eq!(red(text), [3, 6]);
    }

    #[test]
    fn a_promise_whose_test_is_not_there_is_red() {
        assert_eq!(red("- x (`it_is_gone_now`), `it_holds_in_d`"), [1]);
        assert_eq!(red("## Words\n- x (`it_does_this`)"), [2]);
    }

    #[test]
    fn words_need_no_test() {
        let text = "## Words\n- **Kept**: x\n\n## What is relied on\n- y";
        assert_eq!(red(text), NONE);
    }
}
