//! Rule `compliance`: what docs/compliance.md claims can be looked up. Each row of
//! its tables names a module and a test, and every module and test that it names
//! exists.

use super::{TextFile, Violation, scan};
use std::collections::BTreeSet;

const DOCUMENT: &str = "docs/compliance.md";
const RULE: &str = "compliance";

/// What a name in the document stands for, by its form.
#[derive(Debug, PartialEq)]
pub(super) enum Named<'a> {
    /// `stanza::codec::framer`: a module of a crate.
    Module(&'a str),
    /// `a_wrong_password_is_refused`: three words or more are a law.
    Test(&'a str),
    Other,
}

pub(super) fn named(span: &str) -> Named<'_> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if span.contains("::") {
        Named::Module(span)
    } else if span.chars().all(word) && span.matches('_').count() >= 2 {
        Named::Test(span)
    } else {
        Named::Other
    }
}

pub(super) fn check(files: &[TextFile]) -> Vec<Violation> {
    let Some(document) = files.iter().find(|file| file.path == DOCUMENT) else {
        return Vec::new();
    };
    let tests = tests(files);
    let mut violations = Vec::new();
    let mut tell = |line: usize, advice: String| {
        violations.push(document.violation(line, RULE, advice));
    };
    for (index, line) in document.text.lines().enumerate() {
        let (mut module, mut test) = (false, false);
        for span in line.split('`').skip(1).step_by(2) {
            match named(span) {
                Named::Module(path) => {
                    module = true;
                    if !is_module(files, path) {
                        tell(index + 1, format!("there is no module `{path}`"));
                    }
                }
                Named::Test(name) => {
                    test = true;
                    if !tests.contains(name) {
                        tell(index + 1, format!("there is no test `{name}`"));
                    }
                }
                Named::Other => {}
            }
        }
        let claims = is_claim(&document.text, index);
        if claims && !(module && test) {
            let advice = "name the module that does it and a test that shows it";
            tell(index + 1, advice.to_owned());
        }
    }
    violations
}

/// Whether the line is a row below the head of a table.
fn is_claim(text: &str, index: usize) -> bool {
    let row = |at: usize| text.lines().nth(at).is_some_and(|l| l.starts_with('|'));
    index >= 2 && row(index) && row(index - 1) && row(index - 2)
}

/// Whether a crate has that module in a file of its own.
fn is_module(files: &[TextFile], path: &str) -> bool {
    let mut parts = path.split("::");
    let member = parts.next().unwrap_or_default();
    let within: Vec<&str> = parts.collect();
    let stem = format!("crates/{member}/src/{}", within.join("/"));
    files
        .iter()
        .filter_map(|file| file.path.strip_prefix(&stem))
        .any(|rest| matches!(rest, ".rs" | "/mod.rs"))
}

/// The names of all functions that are there for tests only.
pub(super) fn tests(files: &[TextFile]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = scan::code(&file.text);
        let product = if scan::is_test_file(&file.path) {
            String::new()
        } else {
            scan::code_without_tests(&file.text)
        };
        let product: BTreeSet<_> = functions(&product).collect();
        names.extend(functions(&code).filter(|name| !product.contains(name)));
    }
    names
}

fn functions(code: &str) -> impl Iterator<Item = String> + '_ {
    scan::find_words(code, "fn ").map(|at| {
        code[at + 3..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "| section | what | module | test |\n|---|---|---|---|\n";

    const NONE: [usize; 0] = [];

    fn red(row: &str) -> Vec<usize> {
        let text = format!("# Compliance\n\n{HEAD}{row}\n");
        let files = [
            TextFile::new(DOCUMENT, &text),
            TextFile::new(
                "crates/a/src/b/mod.rs",
                "fn it_does_this() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    \
                 fn it_holds_in_b() {}\n}\n",
            ),
            TextFile::new("crates/a/src/c.rs", "// fn it_is_a_comment() {}\n"),
            TextFile::new("crates/a/tests/d.rs", "async fn it_holds_in_d() {}\n"),
        ];
        check(&files).iter().map(|v| v.line).collect()
    }

    #[test]
    fn a_row_whose_names_exist_is_green() {
        assert_eq!(red("| 1 | `x:y` | `a::b` | `it_holds_in_b` |"), NONE);
        assert_eq!(red("| 1 | x | `a::c`, `a::b` | `it_holds_in_d` |"), NONE);
    }

    #[test]
    fn a_module_that_is_not_there_is_red() {
        for path in ["a::d", "b::c", "a::b::c"] {
            assert_eq!(red(&format!("| 1 | x | `{path}` | `it_holds_in_b` |")), [5]);
        }
    }

    #[test]
    fn a_test_that_is_not_there_is_red() {
        for name in ["it_holds_in_e", "it_does_this", "it_is_a_comment"] {
            assert_eq!(red(&format!("| 1 | x | `a::b` | `{name}` |")), [5]);
        }
        assert_eq!(
            red("| 1 | x | `a::b` | `it_holds_in_b` |\n\n`it_is_gone`"),
            [7]
        );
    }

    #[test]
    fn a_row_without_module_or_test_is_red() {
        assert_eq!(red("| 1 | x | `a::b` | |"), [5]);
        assert_eq!(red("| 1 | x | b | `it_holds_in_b` |"), [5]);
    }
}
