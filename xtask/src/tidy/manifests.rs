//! Rules `lints` and `dependencies`: each crate inherits the workspace's lints,
//! and the version of each dependency is written once, in the workspace.

use super::{TextFile, Violation};
use toml::{Table, Value};

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(manifest: &TextFile) -> Vec<Violation> {
    let line = |word: &str| {
        let position = manifest
            .text
            .lines()
            .position(|line| line.trim_start().starts_with(word));
        position.map_or(1, |index| index + 1)
    };
    let table: Table = match manifest.text.parse() {
        Ok(table) => table,
        Err(error) => {
            let advice = error.message().to_owned();
            return vec![manifest.violation(1, "dependencies", advice)];
        }
    };
    let mut violations = Vec::new();
    if !inherits(table.get("lints")) {
        let advice = "add `[lints]` with `workspace = true`";
        violations.push(manifest.violation(line("[lints"), "lints", advice));
    }
    for name in dependencies(&table) {
        let advice =
            format!("write `{name}.workspace = true` and the version in the root's Cargo.toml");
        violations.push(manifest.violation(line(&name), "dependencies", advice));
    }
    violations
}

/// The dependencies, also those of one platform, that name their own version.
fn dependencies(table: &Table) -> Vec<String> {
    let platforms = table.get("target").and_then(Value::as_table).into_iter();
    let tables = platforms
        .flat_map(|all| all.values())
        .filter_map(Value::as_table);
    std::iter::once(table)
        .chain(tables)
        .flat_map(|table| KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flatten()
        .filter(|(_, value)| !inherits(Some(value)))
        .map(|(name, _)| name.clone())
        .collect()
}

fn inherits(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, usize)> {
        check(&TextFile::new("crates/a/Cargo.toml", text))
            .iter()
            .map(|v| (v.rule, v.line))
            .collect()
    }

    #[test]
    fn own_lints_are_red() {
        assert_eq!(found("[package]\nname = \"a\"\n"), [("lints", 1)]);
        assert_eq!(
            found("[lints.rust]\nunsafe_code = \"allow\"\n"),
            [("lints", 1)]
        );
    }

    #[test]
    fn an_own_version_is_red_wherever_it_stands() {
        for section in [
            "dependencies",
            "dev-dependencies",
            "build-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            let text = format!(
                "[lints]\nworkspace = true\n[{section}]\na.workspace = true\nbytes = \"1\"\n"
            );
            assert_eq!(found(&text), [("dependencies", 5)], "{section}");
        }
    }
}
