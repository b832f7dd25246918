//! Rule `floor`: dependencies point down a floor.
//!
//! The table below is the architecture's. A crate may depend on crates of
//! lower floors only, in tests too; what stands beside the floors has rules of
//! its own.

use super::{Package, TextFile, Violation, line_of};

const RULE: &str = "floor";

/// The crates' floors, bottom up.
const FLOORS: [(&str, u8); 13] = [
    ("stanchion-stanza", 0),
    ("stanchion-transport", 1),
    ("stanchion-sasl", 1),
    // Beside the floors: what they may use is below them.
    ("stanchion-hub", 2),
    ("stanchion-testkit", 2),
    ("stanchion-connect", 2),
    ("stanchion-reliability", 3),
    // Beside the floors, too, and for tests only, so it may use the test kit.
    ("stanchion-simulator", 4),
    ("stanchion-services", 4),
    ("stanchion-device", 5),
    ("stanchion", 6),
    ("stanchion-chat", 7),
    // Beside the floors: nothing stands on it.
    ("stanchion-scenarios", 8),
];

const HUB: &str = "stanchion-hub";
const TESTKIT: &str = "stanchion-testkit";
const SIMULATOR: &str = "stanchion-simulator";
const CHAT: &str = "stanchion-chat";
const XTASK: &str = "xtask";

pub(super) fn check(packages: &[Package], files: &[TextFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let mut report = |word: &str, advice: String| {
            violations.push(Violation {
                file: package.manifest.clone(),
                line: line_of(files, &package.manifest, word),
                rule: RULE,
                advice,
            });
        };
        if package.name != XTASK && floor(&package.name).is_none() {
            report(
                "name",
                format!("give {} a floor in xtask/src/tidy/floors.rs", package.name),
            );
        }
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if let Some(floor) = floor(name)
                && let Some(advice) = forbidden(&package.name, name, floor, dependency.dev)
            {
                report(name, advice);
            }
        }
    }
    violations
}

/// Why `from` may not depend on `to`, or none if it may.
fn forbidden(from: &str, to: &str, to_floor: u8, dev: bool) -> Option<String> {
    if from == XTASK {
        return Some(format!(
            "remove {to}: xtask must build when the crates do not"
        ));
    }
    if to == CHAT {
        return Some(format!("remove {to}: it is the top, nothing stands on it"));
    }
    if to == SIMULATOR {
        return Some(format!(
            "remove {to}: it is run by xtask, nothing stands on it"
        ));
    }
    match (to, dev) {
        (TESTKIT, true) => return None,
        (TESTKIT, false) if from == SIMULATOR => {}
        (TESTKIT, false) => return Some(format!("make {to} a dev-dependency: it is for tests")),
        // A server to test clients against; it stands beside them.
        (HUB, true) if floor(from).is_some_and(|floor| floor >= to_floor) => return None,
        (HUB, false) if from != CHAT => {
            return Some(format!("make {to} a dev-dependency: only {CHAT} ships it"));
        }
        _ => {}
    }
    let from_floor = floor(from)?;
    (to_floor >= from_floor).then(|| {
        format!("remove {to}: {from} is on floor {from_floor}, {to} on floor {to_floor}, and dependencies point down")
    })
}

fn floor(name: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, floor)| *floor)
}

#[cfg(test)]
mod tests {
    use super::super::Dependency;
    use super::*;

    fn verdict(from: &str, to: &str, dev: bool) -> Vec<Violation> {
        let package = Package {
            name: from.to_owned(),
            manifest: format!("crates/{from}/Cargo.toml"),
            dependencies: vec![Dependency {
                name: to.to_owned(),
                dev,
            }],
            features: Vec::new(),
        };
        let text = format!("[package]\n\n[dependencies]\n{to}.workspace = true\n");
        let manifest = TextFile::new(&package.manifest, &text);
        check(&[package], &[manifest])
    }

    #[test]
    fn a_dependency_that_points_up_is_red() {
        let found = verdict("stanchion-stanza", "stanchion-reliability", false);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].file.as_str(), found[0].line),
            ("crates/stanchion-stanza/Cargo.toml", 4)
        );
        assert_eq!(
            verdict("stanchion-stanza", "stanchion-reliability", true).len(),
            1
        );
    }

    #[test]
    fn a_dependency_on_the_same_floor_is_red() {
        assert_eq!(
            verdict("stanchion-sasl", "stanchion-transport", false).len(),
            1
        );
    }

    #[test]
    fn a_dependency_that_points_down_is_green() {
        assert_eq!(verdict("stanchion-connect", "stanchion-sasl", false), []);
        assert_eq!(verdict("stanchion-chat", "stanchion-hub", false), []);
    }

    #[test]
    fn the_hub_knows_no_client() {
        assert_eq!(
            verdict("stanchion-hub", "stanchion-connect", false).len(),
            1
        );
        assert_eq!(verdict("stanchion-hub", "stanchion-connect", true).len(), 1);
        assert_eq!(verdict("stanchion-hub", "stanchion-sasl", false), []);
    }

    #[test]
    fn the_hub_serves_tests_and_the_command_only() {
        assert_eq!(verdict("stanchion-connect", "stanchion-hub", true), []);
        assert_eq!(
            verdict("stanchion-connect", "stanchion-hub", false).len(),
            1
        );
        assert_eq!(verdict("stanchion-sasl", "stanchion-hub", true).len(), 1);
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        assert_eq!(
            verdict("stanchion-reliability", "stanchion-testkit", true),
            []
        );
        assert_eq!(
            verdict("stanchion-reliability", "stanchion-testkit", false).len(),
            1
        );
    }

    #[test]
    fn the_simulator_stands_on_the_testkit_and_nothing_on_the_simulator() {
        let uses = |from, to| verdict(from, to, false).len();
        assert_eq!(uses("stanchion-simulator", "stanchion-testkit"), 0);
        assert_eq!(uses("stanchion-simulator", "stanchion-reliability"), 0);
        assert_eq!(uses("stanchion", "stanchion-simulator"), 1);
        assert_eq!(verdict("stanchion", "stanchion-simulator", true).len(), 1);
    }

    #[test]
    fn nothing_stands_on_the_command() {
        assert_eq!(verdict("stanchion", "stanchion-chat", true).len(), 1);
    }

    #[test]
    fn xtask_stands_on_no_crate() {
        assert_eq!(verdict("xtask", "stanchion-stanza", true).len(), 1);
    }

    #[test]
    fn a_crate_without_a_floor_is_red() {
        assert_eq!(verdict("stanchion-cellar", "serde", false).len(), 1);
    }
}
