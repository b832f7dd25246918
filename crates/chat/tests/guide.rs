//! The user's guide (docs/guide), carried out: what its terminals show is typed into a shell
//! and compared, in the order of the chapter. The rules stand in docs/testing.md; what a block
//! is, `guide/book.rs` says, and `guide/terminal.rs` owns the shells.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "guide/book.rs"]
mod book;
#[path = "guide/terminal.rs"]
mod terminal;

use std::collections::BTreeMap;
use std::process::Command;

use book::{Block, CHAPTERS, Entry, chapter};
use terminal::{Desk, Terminal};

/// Carries a chapter out in a folder of its own.
fn carry_out(name: &str) {
    let text = chapter(name);
    let desk = Desk::new(&text);
    let mut terminals = BTreeMap::new();
    for block in book::blocks(&text) {
        let at = format!("docs/guide/{name}:{}", block.line);
        match block.language() {
            "console" => {
                let terminal = terminals
                    .entry(block.terminal().to_owned())
                    .or_insert_with(|| Terminal::open(&desk));
                show(&at, terminal, &block, &desk);
            }
            "sh" => block.commands().iter().for_each(|c| is_known(&at, c)),
            "toml" => {
                let parsed = toml::from_str::<toml::Table>(&block.text());
                assert!(parsed.is_ok() || block.is_added(), "{at}: {parsed:?}");
            }
            _ => {}
        }
        if let Some(file) = block.file() {
            desk.write(file, &block.text(), block.is_added());
        }
    }
}

fn show(at: &str, terminal: &mut Terminal, block: &Block, desk: &Desk) {
    let entries = block.entries();
    for (i, entry) in entries.iter().enumerate() {
        // Whoever asks for the exit code expects one.
        let asked =
            matches!(entries.get(i + 1), Some(Entry::Command(next, _)) if next == "echo $?");
        match entry {
            Entry::Further(expected) => terminal.expect(at, expected, desk),
            Entry::Interrupt(expected) => terminal.interrupt(at, expected, desk),
            Entry::Command(command, expected) if block.terminal().is_empty() => {
                let status = terminal.run(at, command, expected, desk);
                assert!(
                    status == 0 || asked,
                    "{at}: `{command}` ended with {status}"
                );
            }
            Entry::Command(command, expected) => {
                terminal.start(at, command, desk);
                terminal.expect(at, expected, desk);
            }
        }
    }
}

/// Whether the command line takes these words. `--help` keeps it from doing anything.
fn is_known(at: &str, command: &str) {
    let line = format!("{command} --help");
    let ended = Command::new("sh")
        .args(["-c", &line])
        .env("PATH", terminal::path())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{at}: `{command}`: {ended:?}");
}

#[test]
fn no_chapter_is_left_out() {
    let mut there: Vec<String> = std::fs::read_dir(book::folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, CHAPTERS);
    let contents = chapter("README.md");
    for name in CHAPTERS.iter().filter(|name| **name != "README.md") {
        assert!(contents.contains(&format!("]({name})")), "{name}");
        let lines = chapter(name).lines().count();
        assert!(lines < 250, "{name} has {lines} lines");
    }
}

#[test]
fn what_the_contents_show_happens() {
    carry_out("README.md");
}

#[test]
fn what_the_start_shows_happens() {
    carry_out("start.md");
}

#[test]
fn what_the_concepts_show_happens() {
    carry_out("concepts.md");
}

#[test]
fn what_the_guarantees_show_happens() {
    carry_out("guarantees.md");
}

#[test]
fn what_the_devices_show_happens() {
    carry_out("devices.md");
}

#[test]
fn what_the_deployment_shows_happens() {
    carry_out("deployment.md");
}

#[test]
fn what_the_operations_show_happens() {
    carry_out("operations.md");
}

#[test]
fn what_the_security_shows_happens() {
    carry_out("security.md");
}

#[test]
fn every_figure_of_the_guide_is_one_of_the_gateways() {
    let page = include_str!("../src/gateway/metrics.rs");
    let text = chapter("operations.md");
    let figures = text
        .split('`')
        .filter_map(|word| word.strip_prefix("stanchion_"));
    let mut count = 0;
    for figure in figures.filter(|figure| !figure.contains(char::is_whitespace)) {
        let name = figure.strip_suffix("_total").unwrap_or(figure);
        assert!(page.contains(&format!("\"{name}\"")), "{figure}");
        count += 1;
    }
    assert!(count > 5);
}
