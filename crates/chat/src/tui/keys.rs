//! Which key does what, everywhere on the screen. What a pane does with its own keys is in
//! the pane's file; all of them are told here, for the help.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::input::Edit;

/// What a key asks for wherever the cursor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Help.
    Help,
    /// The delivery view.
    Delivery,
    /// The right pane, or not.
    Aside,
    /// The question that waits.
    Question,
    /// Looking for messages.
    Search,
    /// The list, to write whom one looks for.
    Goto,
    /// The conversation above in the list.
    Above,
    /// That below.
    Below,
    /// The next one with something new.
    Unread,
    /// A page towards the past.
    PageUp,
    /// A page towards now.
    PageDown,
    /// The newest message.
    Bottom,
    /// Choosing a message.
    Choose,
    /// Drawing everything anew.
    Redraw,
    /// Ending.
    Quit,
    /// Dropping what is written, else ending.
    Interrupt,
}

/// What a key asks for, if it is one that does the same everywhere.
pub(super) fn act(key: KeyEvent) -> Option<Act> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    Some(match key.code {
        KeyCode::F(1) => Act::Help,
        KeyCode::F(2) => Act::Delivery,
        KeyCode::F(3) => Act::Aside,
        KeyCode::F(4) => Act::Question,
        KeyCode::Char('f') if control => Act::Search,
        KeyCode::Char('g') if control => Act::Goto,
        KeyCode::Char('p') if control => Act::Above,
        KeyCode::Char('n') if control => Act::Below,
        KeyCode::Up if alt => Act::Above,
        KeyCode::Down if alt => Act::Below,
        KeyCode::Char('a') if alt => Act::Unread,
        KeyCode::PageUp => Act::PageUp,
        KeyCode::PageDown => Act::PageDown,
        KeyCode::End if control => Act::Bottom,
        KeyCode::Up if control => Act::Choose,
        KeyCode::Char('l') if control => Act::Redraw,
        KeyCode::Char('q') if control => Act::Quit,
        KeyCode::Char('c') if control => Act::Interrupt,
        _ => return None,
    })
}

/// What a key does to a text.
pub(super) fn edit(key: KeyEvent) -> Option<Edit> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    Some(match key.code {
        KeyCode::Left if control || alt => Edit::WordLeft,
        KeyCode::Right if control || alt => Edit::WordRight,
        KeyCode::Left => Edit::Left,
        KeyCode::Right => Edit::Right,
        KeyCode::Home => Edit::Home,
        KeyCode::End if !control => Edit::End,
        KeyCode::Backspace if control || alt => Edit::CutWord,
        KeyCode::Backspace => Edit::Backspace,
        KeyCode::Delete if control || alt => Edit::CutWordRight,
        KeyCode::Delete => Edit::Delete,
        KeyCode::Char('a') if control => Edit::Home,
        KeyCode::Char('e') if control => Edit::End,
        KeyCode::Char('b') if control => Edit::Left,
        KeyCode::Char('d') if control => Edit::Delete,
        KeyCode::Char('h') if control => Edit::Backspace,
        KeyCode::Char('u') if control => Edit::CutToStart,
        KeyCode::Char('k') if control => Edit::CutToEnd,
        KeyCode::Char('w') if control => Edit::CutWord,
        KeyCode::Char('y') if control => Edit::Paste,
        KeyCode::Char('b') if alt => Edit::WordLeft,
        KeyCode::Char('f') if alt => Edit::WordRight,
        KeyCode::Char('d') if alt => Edit::CutWordRight,
        _ => return None,
    })
}

/// The letter that a key writes.
pub(super) fn letter(key: KeyEvent) -> Option<char> {
    let plain = key.modifiers - KeyModifiers::SHIFT;
    // AltGr comes as both where the terminal tells of it.
    let writes = plain.is_empty() || plain == (KeyModifiers::CONTROL | KeyModifiers::ALT);
    match key.code {
        KeyCode::Char(c) if writes => Some(c),
        _ => None,
    }
}

/// All keys, for the help: under a heading, the keys and what they do.
pub(super) const ALL: &[(&str, &[(&str, &str)])] = &[
    (
        "Everywhere",
        &[
            ("F1, or ? in an empty line", "this help"),
            ("F2", "delivery: figures, queue, what the connection did"),
            ("F3", "who is in the room, which devices a contact has"),
            ("F4", "answer a request or an invitation"),
            ("Ctrl-F", "look for messages"),
            ("Ctrl-G", "go to somebody: write a part of the name"),
            (
                "Ctrl-P, Ctrl-N, Alt-Up, Alt-Down",
                "the conversation above, below",
            ),
            ("Alt-A", "the next one with something new"),
            ("PageUp, PageDown", "a page towards the past, towards now"),
            ("Ctrl-End", "the newest message"),
            (
                "Tab, Shift-Tab",
                "the next pane; in a text, complete the word",
            ),
            ("Esc", "back"),
            (
                "Ctrl-C",
                "drop what is written; in an empty line twice: leave",
            ),
            ("Ctrl-L", "draw everything anew"),
            ("Ctrl-Q", "leave"),
            (
                "The mouse",
                "choose, scroll; with Shift: mark text to copy it",
            ),
        ],
    ),
    (
        "In the line",
        &[
            ("Enter", "send"),
            ("Alt-Enter, Ctrl-J", "a new line"),
            ("Up, Down", "what was sent before; in a text, its lines"),
            ("Ctrl-Up", "choose a message"),
            ("Home, End, Ctrl-A, Ctrl-E", "the line's start, end"),
            ("Ctrl-Left, Ctrl-Right, Alt-B, Alt-F", "a word"),
            (
                "Ctrl-W, Alt-D, Ctrl-U, Ctrl-K",
                "cut a word, to the start, to the end",
            ),
            ("Ctrl-Y", "put back what was cut"),
        ],
    ),
    (
        "With a message chosen",
        &[
            ("Up, Down", "another one"),
            ("r", "say again what failed or is in doubt"),
            ("c", "take it back, while it is not settled"),
            ("e", "correct it, if it is our last"),
            ("q", "quote it"),
        ],
    ),
    (
        "In the list",
        &[
            ("Up, Down, Enter", "choose, open"),
            ("/", "show those only whose name has what follows"),
        ],
    ),
    (
        "At a thing",
        &[
            ("Up, Down, Enter", "choose what is to be set, set it"),
            ("r", "ask again what can be set"),
        ],
    ),
];
