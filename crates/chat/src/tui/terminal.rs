//! The terminal as a whole screen, and given back as it was on every way out: at the end, by
//! a signal, by a panic.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    SetTitle, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

use super::text::clean;
use crate::exit::Failure;

/// Bytes of a frame that go out at once.
const FRAME: usize = 64 * 1024;

/// The screen; dropping it gives the terminal back.
#[derive(Debug)]
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    title: String,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// There is none, or it does not let itself be taken.
    pub(super) fn take() -> Result<Self, Failure> {
        if !io::stdin().is_terminal() || !stdout().is_terminal() {
            return Err(Failure::usage(
                "stanchion chat needs a terminal for both its input and its output; `stanchion \
                 send` and `stanchion listen` work without one",
            ));
        }
        let failed = |e: io::Error| Failure::failed(format!("the terminal: {e}"));
        give_back_on_panic();
        enable_raw_mode().map_err(failed)?;
        let taken = execute!(
            stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            EnableFocusChange,
            EnableMouseCapture
        );
        let out = BufWriter::with_capacity(FRAME, stdout());
        let inner = taken.and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(out)));
        match inner {
            Ok(inner) => Ok(Self {
                inner,
                title: String::new(),
            }),
            Err(error) => {
                give_back();
                Err(failed(error))
            }
        }
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (u16, u16) {
        let size = self.inner.size();
        size.map_or((80, 24), |size| (size.width, size.height))
    }

    /// Draws a frame: what is otherwise than in the last one.
    ///
    /// # Errors
    /// The terminal's: it is gone, as a rule.
    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if PANICKED.load(Ordering::Relaxed) {
            return Err(io::Error::other(
                "a part of the client panicked; start again",
            ));
        }
        queue!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        self.inner.draw(view)?;
        queue!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        io::Write::flush(self.inner.backend_mut())
    }

    /// Names the window, if that is another name.
    pub(super) fn name(&mut self, title: &str) {
        let title = clean(title);
        if title != self.title {
            let _ = execute!(self.inner.backend_mut(), SetTitle(&title));
            self.title = title;
        }
    }

    /// Draws the next frame as if nothing stood on the screen.
    pub(super) fn forget(&mut self) {
        // What cannot be cleared is told by the next frame.
        let _ = self.inner.clear();
    }

    /// A sound.
    pub(super) fn bell(&mut self) {
        let out = self.inner.backend_mut();
        let _ = out.write_all(b"\x07").and_then(|()| io::Write::flush(out));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// As it was before. Whatever of it fails, the rest is tried.
fn give_back() {
    let mut out = stdout();
    let _ = execute!(out, EndSynchronizedUpdate);
    let _ = execute!(
        out,
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste
    );
    let _ = execute!(out, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// Whether something panicked: the terminal was given back then, and nothing is drawn on it.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// A panic tells of itself on a terminal that shows it.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.store(true, Ordering::Relaxed);
            give_back();
            before(panic);
        }));
    });
}
