//! `cargo xtask tidy`: the rules of the house, as a test.
//!
//! Owns the list of rules and what they all work on: the workspace's files and
//! what cargo knows about it. Each rule lives in a file of its own beside this
//! one, with tests that show it fire.

mod builds;
mod compliance;
mod documents;
mod floors;
mod front_page;
mod guarantees;
mod heads;
mod licences;
mod manifests;
mod sans_io;
mod scan;
mod words;

use crate::failure::{Context, Failure, Outcome};
use crate::program;
use clap::Args;
use serde_json::Value;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// Leave out the rules that compile or that ask about every dependency
    #[arg(long)]
    quick: bool,
}

/// A broken rule; shown as `file:line: rule: what to do`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    file: String,
    line: usize,
    rule: &'static str,
    advice: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            rule,
            advice,
        } = self;
        write!(f, "{file}:{line}: {rule}: {advice}")
    }
}

/// A text file of the project.
#[derive(Debug)]
struct TextFile {
    /// From the workspace's folder, with `/` between the names.
    path: String,
    text: String,
}

impl TextFile {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn violation(&self, line: usize, rule: &'static str, advice: impl Into<String>) -> Violation {
        Violation {
            file: self.path.clone(),
            line,
            rule,
            advice: advice.into(),
        }
    }

    #[cfg(test)]
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// A member of the workspace.
#[derive(Debug)]
struct Package {
    name: String,
    /// Its manifest, from the workspace's folder.
    manifest: String,
    dependencies: Vec<Dependency>,
    features: Vec<String>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    /// Needed by tests, benches and examples only.
    dev: bool,
}

/// Carries out the command.
///
/// # Errors
/// `Failure::Red` when a rule is broken; each violation has been printed.
pub(crate) fn run(command: &Command) -> Outcome {
    let root = program::root();
    let files = files(&root)?;
    let packages = packages(&program::metadata(false)?, &root);
    let mut violations = check(&files, &packages);
    violations.extend(documents::broken_links(&files, &root));
    if !command.quick {
        violations.extend(licences::check(&program::metadata(true)?));
        violations.extend(builds::check(&packages)?);
    }
    violations.sort();
    violations.dedup();
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => {
            println!("tidy: {} files, no violation", files.len());
            Ok(())
        }
        count => Err(Failure::Red(format!(
            "{count} violations of the house's rules"
        ))),
    }
}

/// The rules that need nothing but the text.
fn check(files: &[TextFile], packages: &[Package]) -> Vec<Violation> {
    let mut violations = floors::check(packages, files);
    for file in files {
        violations.extend(words::check(file));
        if file.is_rust() {
            violations.extend(heads::check(file));
        }
        if file.path.ends_with("src/lib.rs") {
            violations.extend(front_page::check(file));
        }
    }
    for package in packages {
        if let Some(manifest) = files.iter().find(|file| file.path == package.manifest) {
            violations.extend(manifests::check(manifest));
        }
    }
    violations.extend(sans_io::check(files));
    violations.extend(documents::unknown_commands(files));
    violations.extend(compliance::check(files));
    violations.extend(guarantees::check(files));
    violations
}

/// Every text file of the project: what a build or a run leaves behind is none
/// of it.
fn files(root: &Path) -> Outcome<Vec<TextFile>> {
    const SKIP: [&str; 9] = [
        "target",
        "benches/delivery/target",
        "benches/logins/target",
        "benches/peers/target",
        "benches/size/target",
        ".git",
        "fuzz/corpus",
        "fuzz/artifacts",
        "fuzz/target",
    ];
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        for entry in fs::read_dir(&here).doing("read", &here)?.flatten() {
            let path = folder.join(entry.file_name());
            let name = path.to_string_lossy().replace('\\', "/");
            if SKIP.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(root.join(&path)) {
                // What is not UTF-8 is no text.
                found.push(TextFile { path: name, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn packages(metadata: &Value, root: &Path) -> Vec<Package> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let manifest = PathBuf::from(string(&package["manifest_path"]));
            let manifest = manifest.strip_prefix(root).unwrap_or(&manifest);
            Package {
                name: string(&package["name"]),
                manifest: manifest.to_string_lossy().replace('\\', "/"),
                dependencies: list(&package["dependencies"])
                    .iter()
                    .map(|dependency| Dependency {
                        name: string(&dependency["name"]),
                        dev: dependency["kind"] == "dev",
                    })
                    .collect(),
                features: package["features"]
                    .as_object()
                    .map(|map| map.keys().cloned().collect())
                    .unwrap_or_default(),
            }
        })
        .collect()
}

/// The line, from 1, on which a manifest first names `word` as a key.
fn line_of(files: &[TextFile], path: &str, word: &str) -> usize {
    files
        .iter()
        .find(|file| file.path == path)
        .and_then(|file| {
            file.text
                .lines()
                .position(|line| line.trim_start().starts_with(word))
        })
        .map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_one_line() {
        let file = TextFile::new("a/b.rs", "");
        assert_eq!(
            file.violation(3, "head", "say what it owns").to_string(),
            "a/b.rs:3: head: say what it owns"
        );
    }

    #[test]
    fn what_a_build_leaves_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        for path in [
            "target/a.rs",
            "benches/peers/target/a.rs",
            "fuzz/corpus/b.rs",
            "src/c.rs",
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let names: Vec<_> = files(dir.path())
            .unwrap()
            .into_iter()
            .map(|file| file.path)
            .collect();
        assert_eq!(names, ["src/c.rs"]);
    }
}
