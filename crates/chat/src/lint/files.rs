//! Which inputs there are: files as named, and those below folders.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Fault;
use crate::exit::Failure;

/// How far down folders are looked into.
const DEEPEST: usize = 32;
/// How many entries of folders are looked at, in all.
const MOST: usize = 100_000;

/// Something to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The standard input.
    StandardInput,
    /// A file.
    File(PathBuf),
    /// A folder that was not looked into, and why.
    Unread(PathBuf, Fault),
}

impl Source {
    /// How reports call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::StandardInput => "-".to_owned(),
            Self::File(path) | Self::Unread(path, _) => path.to_string_lossy().into_owned(),
        }
    }
}

/// The inputs in the order in which they were named; those in a folder sorted by name.
/// Symbolic links in a folder are not followed, and what is no file there is left out.
///
/// # Errors
/// Names what is not there, or holds nothing or too much.
pub(super) fn sources(inputs: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut walk = Walk::default();
    for input in inputs {
        if input.as_os_str() == OsStr::new("-") {
            walk.found.push(Source::StandardInput);
            continue;
        }
        let metadata = std::fs::metadata(input)
            .map_err(|e| Failure::usage(format!("{}: {e}; name a file", input.display())))?;
        if !metadata.is_dir() {
            walk.found.push(Source::File(input.clone()));
            continue;
        }
        let before = walk.found.len();
        walk.folder(input, 0)?;
        if walk.found.len() == before {
            let empty = format!("{}: holds no files; name another folder", input.display());
            return Err(Failure::usage(empty));
        }
    }
    Ok(walk.found)
}

#[derive(Default)]
struct Walk {
    found: Vec<Source>,
    entries: usize,
}

impl Walk {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<(), Failure> {
        if depth > DEEPEST {
            self.unread(folder, format!("more than {DEEPEST} folders deep"));
            return Ok(());
        }
        let mut entries = Vec::new();
        let listed = std::fs::read_dir(folder).and_then(|all| {
            for entry in all {
                let entry = entry?;
                entries.push((entry.path(), entry.file_type()?));
                self.entries += 1;
                if self.entries > MOST {
                    break;
                }
            }
            Ok(())
        });
        if self.entries > MOST {
            return Err(Failure::usage(format!(
                "{}: more than {MOST} files and folders; name a smaller part",
                folder.display()
            )));
        }
        if let Err(error) = listed {
            self.unread(folder, error.to_string());
        }
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        for (path, kind) in entries {
            if kind.is_dir() {
                self.folder(&path, depth + 1)?;
            } else if kind.is_file() {
                self.found.push(Source::File(path));
            }
        }
        Ok(())
    }

    fn unread(&mut self, folder: &Path, why: String) {
        let fault = Fault {
            rule: "input",
            section: String::new(),
            message: format!("the folder cannot be read: {why}"),
        };
        self.found.push(Source::Unread(folder.to_owned(), fault));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_walked_in_order_and_links_are_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        std::fs::create_dir(at("b")).unwrap();
        for name in ["c", "a", "b/z", "b/y"] {
            std::fs::write(at(name), "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("a"), at("d")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(home.path(), at("e")).unwrap();
        let found = sources(&[home.path().to_owned(), "-".into()]).unwrap();
        let files = ["a", "b/y", "b/z", "c"].map(|name| Source::File(at(name)));
        assert_eq!(found[..4], files);
        assert_eq!(found[4..], [Source::StandardInput]);
    }

    #[test]
    fn depth_is_bounded() {
        let home = tempfile::tempdir().unwrap();
        let mut folder = home.path().to_owned();
        for _ in 0..=DEEPEST {
            folder.push("f");
        }
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("too-deep"), "").unwrap();
        let found = sources(&[home.path().to_owned()]).unwrap();
        assert!(
            matches!(&found[..], [Source::Unread(path, _)] if *path == folder),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let home = tempfile::tempdir().unwrap();
        for path in [home.path().join("absent"), home.path().to_owned()] {
            let failure = sources(std::slice::from_ref(&path)).unwrap_err();
            assert!(failure.message.contains(path.to_str().unwrap()));
        }
    }
}
