//! Rule `licence`: every dependency's licence is known and none is copyleft.
//!
//! `deny.toml` repeats the list for those who use cargo-deny; a test keeps the
//! two the same.

use super::Violation;
use serde_json::Value;

/// Permissive licences, by their SPDX names.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

pub(super) fn check(metadata: &Value) -> Vec<Violation> {
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|package| {
            let licence = package["license"].as_str().unwrap_or_default();
            let advice = if licence.is_empty() {
                "names no licence".to_owned()
            } else if permits(licence) {
                return None;
            } else {
                format!(
                    "is under `{licence}`, which is not on the list in xtask/src/tidy/licences.rs"
                )
            };
            let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
            Some(Violation {
                file: "Cargo.lock".to_owned(),
                line: 1,
                rule: "licence",
                advice: format!("replace {name} {version}: it {advice}"),
            })
        })
        .collect()
}

/// Whether an SPDX expression can be satisfied with allowed licences alone.
fn permits(expression: &str) -> bool {
    // Before SPDX, "/" stood for OR.
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    either(&words, &mut at) && at == words.len()
}

/// `all (OR all)*`; OR binds weaker than AND.
fn either(words: &[&str], at: &mut usize) -> bool {
    let mut good = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        good |= all(words, at);
    }
    good
}

/// `one (AND one)*`
fn all(words: &[&str], at: &mut usize) -> bool {
    let mut good = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        good &= one(words, at);
    }
    good
}

/// A licence, with its exception if there is one, or a group in parentheses.
fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else {
        return false;
    };
    *at += 1;
    if *word == "(" {
        let good = either(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return good && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        // An exception only ever permits more.
        return ALLOWED.contains(word)
            || ALLOWED.contains(&format!("{word} WITH {exception}").as_str());
    }
    ALLOWED.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program;
    use serde_json::json;

    #[test]
    fn an_unknown_or_copyleft_licence_is_red() {
        for licence in [
            "GPL-3.0-only",
            "MPL-2.0",
            "MIT AND GPL-2.0",
            "LGPL-3.0 OR MPL-2.0",
            "(MIT",
            "",
        ] {
            let metadata =
                json!({ "packages": [{ "name": "a", "version": "1.0.0", "license": licence }] });
            assert_eq!(check(&metadata).len(), 1, "{licence}");
        }
        let metadata =
            json!({ "packages": [{ "name": "a", "version": "1.0.0", "license": null }] });
        assert_eq!(check(&metadata).len(), 1);
    }

    #[test]
    fn one_permissive_choice_is_enough() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "MIT OR GPL-2.0",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR MPL-2.0",
        ] {
            assert!(permits(licence), "{licence}");
        }
    }

    #[test]
    fn deny_toml_has_the_same_list() {
        let text = program::text(&program::root().join("deny.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let allow: Vec<_> = table["licenses"]["allow"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap())
            .collect();
        assert_eq!(allow, ALLOWED);
    }
}
