//! Completing the word before the cursor: each further Tab takes the next that fits.

use super::command::completions;
use super::input::Line;
use super::subject::Subject;
use super::text::clean;
use crate::app::Model;

/// Words that are offered.
const MOST: usize = 50;

/// What fits, and which of it stands there.
#[derive(Debug, Clone, Default)]
pub(super) struct Completing {
    words: Vec<String>,
    at: usize,
}

impl Completing {
    /// Whether there is nothing to choose from.
    pub(super) const fn is_empty(&self) -> bool {
        self.words.len() < 2
    }

    /// What fits.
    pub(super) fn words(&self) -> Vec<&str> {
        self.words.iter().map(|word| word.trim_end()).collect()
    }

    /// Something else was done.
    pub(super) fn over(&mut self) {
        self.words.clear();
    }

    /// Completes; whether there was something to.
    pub(super) fn next(
        &mut self,
        line: &mut Line,
        open: Option<&Subject>,
        model: &Model,
        back: bool,
    ) -> bool {
        if self.words.is_empty() {
            let (bytes, words) = completions(line.before(), open, model);
            // What goes into the line is what is shown of it.
            let words = words.into_iter().take(MOST).map(|word| clean(&word));
            self.words = words.collect();
            let Some(first) = self.words.first() else {
                return false;
            };
            line.replace_before(bytes, first);
            self.at = 0;
            if self.words.len() == 1 {
                self.words.clear();
            }
            return true;
        }
        let count = self.words.len();
        let next = match back {
            true => (self.at + count - 1) % count,
            false => (self.at + 1) % count,
        };
        let old = self.words.get(self.at).map_or(0, String::len);
        if let Some(word) = self.words.get(next) {
            line.replace_before(old, word);
        }
        self.at = next;
        true
    }
}
