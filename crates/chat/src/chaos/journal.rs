//! A file of lines that only grows. A process that is killed while it writes leaves half a
//! line at most; the next one cuts it off, as nobody was told of it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::exit::Failure;

/// The open file.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens it, makes it if need be, and shows each whole line that is there.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn open(path: &Path, mut line: impl FnMut(&str)) -> Result<Self, Failure> {
        let mut read = || {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            let mut whole = 0;
            let mut text = Vec::new();
            let mut reader = BufReader::new(&file);
            loop {
                text.clear();
                let read = reader.read_until(b'\n', &mut text)?;
                let Some(complete) = text.strip_suffix(b"\n") else {
                    break;
                };
                whole += read as u64;
                line(&String::from_utf8_lossy(complete));
            }
            file.set_len(whole)?;
            file.seek(SeekFrom::Start(whole))?;
            Ok(file)
        };
        let path = path.to_owned();
        match read() {
            Ok(file) => Ok(Self { path, file }),
            Err(e) => Err(failed(&path, &e)),
        }
    }

    /// Appends whole lines, which end in a line feed. They survive this process.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn append(&mut self, lines: &str) -> Result<(), Failure> {
        self.file
            .write_all(lines.as_bytes())
            .map_err(|e| failed(&self.path, &e))
    }

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.file.sync_data().map_err(|e| failed(&self.path, &e))
    }
}

/// The wall clock in microseconds: what happened in several processes is set against it.
pub(super) fn micros() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros())
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_cut_off_and_whole_ones_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "a 1\nb 2\nc").unwrap();
        let mut seen = Vec::new();
        let mut journal = Journal::open(&path, |line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, ["a 1", "b 2"]);
        journal.append("d 4\n").unwrap();
        journal.sync().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a 1\nb 2\nd 4\n");
    }
}
