//! Rule `build`: each crate builds by itself, with and without its default
//! features. A crate that only builds beside others lives on their features.

use super::{Package, Violation};
use crate::failure::{Failure, Outcome};
use crate::program;

pub(super) fn check(packages: &[Package]) -> Outcome<Vec<Violation>> {
    let mut violations = Vec::new();
    for package in packages {
        for options in variants(&package.features) {
            let mut cargo = program::cargo();
            cargo
                .args(["check", "--quiet", "--package", &package.name])
                .args(options);
            match program::read(&mut cargo) {
                Ok(_) => {}
                Err(Failure::Program { line, output, .. }) => {
                    eprintln!("{line}{output}");
                    violations.push(Violation {
                        file: package.manifest.clone(),
                        line: 1,
                        rule: "build",
                        advice: format!("make `{line}` pass: the crate must build by itself"),
                    });
                }
                Err(other) => return Err(other),
            }
        }
    }
    Ok(violations)
}

/// The ways to build a crate: as it is and, with default features, without them.
fn variants(features: &[String]) -> Vec<&'static [&'static str]> {
    if features.iter().any(|feature| feature == "default") {
        vec![&[], &["--no-default-features"]]
    } else {
        vec![&[]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_with_default_features_is_built_without_them_too() {
        assert_eq!(variants(&["default".to_owned(), "dns".to_owned()]).len(), 2);
        assert_eq!(variants(&["interop".to_owned()]).len(), 1);
    }

    #[test]
    fn a_crate_that_does_not_build_is_red() {
        let package = Package {
            name: "stanchion-of-nothing".to_owned(),
            manifest: "crates/nothing/Cargo.toml".to_owned(),
            dependencies: Vec::new(),
            features: Vec::new(),
        };
        assert_eq!(check(&[package]).unwrap()[0].rule, "build");
    }
}
