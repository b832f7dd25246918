//! The README and the front page of this crate show the same example, and the front
//! page's is compiled.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

/// The first block of `text` that begins with `fence`, without the lines that rustdoc
/// hides.
fn example(text: &str, fence: &str) -> Vec<String> {
    let block: Vec<String> = text
        .lines()
        .skip_while(|line| *line != fence)
        .skip(1)
        .take_while(|line| *line != "```")
        .filter(|line| *line != "#" && !line.starts_with("# "))
        .map(str::to_owned)
        .collect();
    assert!(!block.is_empty(), "no block begins with {fence}");
    block
}

#[test]
fn the_readme_shows_the_example_that_is_compiled() {
    let front_page: String = include_str!("../src/lib.rs")
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let readme = include_str!("../../../README.md");
    assert_eq!(
        example(readme, "```rust"),
        example(&front_page, "```no_run")
    );
}
