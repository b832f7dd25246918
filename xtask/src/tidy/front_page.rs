//! Rules `re-exports` and `example`: a `lib.rs` is a front page. It has at most
//! 15 re-exports, none of them a glob, and an example that is compiled.

use super::{TextFile, Violation, scan};

/// The most names that a front page may re-export.
const MOST: usize = 15;

pub(super) fn check(file: &TextFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    let code = scan::code_without_tests(&file.text);
    let mut names = 0;
    for at in scan::find_words(&code, "pub use") {
        let item = code[at..].split(';').next().unwrap_or_default();
        let line = scan::line_at(&code, at);
        if item.contains('*') {
            violations.push(file.violation(
                line,
                "re-exports",
                "name what is re-exported: no globs",
            ));
        }
        names += leaves(item);
        if names > MOST {
            let advice =
                format!("leave names in their modules: {names} re-exports, at most {MOST}");
            violations.push(file.violation(line, "re-exports", advice));
            break;
        }
    }
    if !has_example(&file.text) {
        let advice = "show the crate at work in a ```-block of the head that is compiled";
        violations.push(file.violation(1, "example", advice));
    }
    violations
}

/// How many names `pub use a::{b, c::{d, e}}` brings in.
fn leaves(item: &str) -> usize {
    // Each comma adds a name unless nothing follows it in its braces.
    let tight: String = item.split_whitespace().collect();
    1 + tight.matches(',').count() - tight.matches(",}").count()
}

/// Whether the head holds a fenced block that rustdoc compiles.
fn has_example(text: &str) -> bool {
    let mut open = false;
    text.lines()
        .map_while(|line| line.strip_prefix("//!"))
        .filter_map(|line| line.trim().strip_prefix("```"))
        .any(|info| {
            open = !open;
            let words = || info.split([',', ' ']).filter(|word| !word.is_empty());
            open && words().all(|word| matches!(word, "rust" | "no_run" | "should_panic"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        check(&TextFile::new("crates/a/src/lib.rs", text))
            .iter()
            .map(|v| v.rule)
            .collect()
    }

    const HEAD: &str = "//! A.\n//! ```\n//! let a = 1;\n//! ```\n";

    #[test]
    fn a_glob_is_red() {
        assert_eq!(rules(&format!("{HEAD}pub use a::*;\n")), ["re-exports"]);
    }

    #[test]
    fn sixteen_names_are_red_and_fifteen_are_green() {
        let names: Vec<_> = (0..16).map(|n| format!("A{n}")).collect();
        let list = |n: usize| {
            format!(
                "{HEAD}pub use a::{{\n    {},\n}};\n",
                names[..n].join(",\n    ")
            )
        };
        assert_eq!(rules(&list(16)), ["re-exports"]);
        assert_eq!(rules(&list(15)), Vec::<&str>::new());
    }

    #[test]
    fn a_front_page_without_a_compiled_example_is_red() {
        for info in ["ignore", "text", "toml", "xml"] {
            let text = format!("//! A.\n//! ```{info}\n//! let a = 1;\n//! ```\n");
            assert_eq!(rules(&text), ["example"], "{info}");
        }
        assert_eq!(
            rules("//! A.\n//! ```rust,no_run\n//! a();\n//! ```\n"),
            Vec::<&str>::new()
        );
    }
}
