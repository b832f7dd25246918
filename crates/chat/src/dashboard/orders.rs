//! What a page wants, from JSON: each field is checked here, so that an [`Order`] is one that
//! can be carried out, and what is wrong is said in a line that a person understands.

use serde::Deserialize;
use stanchion::stanza::Text;
use stanchion::{BareJid, Jid};

use super::wire;
use crate::app::{Answer, Order, ThingKey};
use crate::exit::one_line;

/// Bytes of an order, all in all: the longest text with every character escaped.
pub(super) const MOST: usize = 256 * 1024;
/// Bytes of what is said.
const SAID: usize = 64 * 1024;
/// Bytes of a status, a topic, a value, words to look for.
const LINE: usize = 4096;
/// Bytes of a name, a password, an id.
const NAME: usize = 1023;

/// What a page wants.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Something of the client.
    Order(Order),
    /// A button of the tour was pressed.
    Tour(String),
}

/// As it stands in JSON.
#[derive(Debug, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
enum Wish {
    Say {
        to: String,
        text: String,
    },
    Correct {
        with: String,
        text: String,
    },
    Cancel {
        id: String,
    },
    Again {
        with: String,
        place: String,
    },
    Open {
        with: String,
    },
    Older {
        with: String,
        than: String,
    },
    Seen {
        with: String,
        place: String,
    },
    Writing {
        with: String,
    },
    Search {
        words: String,
        with: Option<String>,
    },
    Status {
        availability: String,
        #[serde(default)]
        text: String,
    },
    Add {
        who: String,
        name: Option<String>,
    },
    Remove {
        who: String,
    },
    Answer {
        to: String,
        answer: String,
    },
    Join {
        room: String,
        nick: Option<String>,
        password: Option<String>,
    },
    Decline {
        room: String,
    },
    Leave {
        room: String,
    },
    Topic {
        room: String,
        topic: String,
    },
    Invite {
        room: String,
        whom: String,
    },
    Watch {
        jid: String,
    },
    Unwatch {
        jid: String,
    },
    Controls {
        account: String,
        #[serde(default)]
        thing: String,
    },
    Set {
        account: String,
        #[serde(default)]
        thing: String,
        parameter: String,
        value: String,
    },
    Tour {
        button: String,
    },
}

/// Reads an order.
///
/// # Errors
/// What is wrong and what to write, in one line.
pub(super) fn read(json: &[u8]) -> Result<Wanted, String> {
    let wish = serde_json::from_slice(json)
        .map_err(|error| format!("this is no order: {}", one_line(&error)))?;
    let order = match wish {
        Wish::Say { to, text } => Order::Say {
            to: account("to", &to)?,
            text: said(text)?,
        },
        Wish::Correct { with, text } => Order::Correct {
            with: account("with", &with)?,
            text: said(text)?,
        },
        Wish::Cancel { id } => Order::Cancel {
            id: filled("id", id, NAME)?,
        },
        Wish::Again { with, place } => Order::Again {
            with: account("with", &with)?,
            place: self::place("place", &place)?,
        },
        Wish::Open { with } => Order::Open(account("with", &with)?),
        Wish::Older { with, than } => Order::Older {
            with: account("with", &with)?,
            than: place("than", &than)?,
        },
        Wish::Seen { with, place } => Order::Seen {
            with: account("with", &with)?,
            place: self::place("place", &place)?,
        },
        Wish::Writing { with } => Order::Writing(account("with", &with)?),
        Wish::Search { words, with } => Order::Search {
            words: filled("words", words, LINE)?,
            with: with.map(|with| account("with", &with)).transpose()?,
        },
        Wish::Status { availability, text } => Order::Status {
            availability: wire::to_availability(&availability).ok_or(
                "availability is to be available, chatty, away, busy, extended-away or \
                 unavailable",
            )?,
            text: short("text", text, LINE)?,
        },
        Wish::Add { who, name } => Order::Add {
            who: account("who", &who)?,
            name: some(name).map(|name| word("name", name)).transpose()?,
        },
        Wish::Remove { who } => Order::Remove(account("who", &who)?),
        Wish::Answer { to, answer } => Order::Answer {
            to: account("to", &to)?,
            answer: match answer.as_str() {
                "accept" => Answer::Accept,
                "deny" => Answer::Deny,
                _ => return Err("answer is to be accept or deny".to_owned()),
            },
        },
        Wish::Join {
            room,
            nick,
            password,
        } => Order::Join {
            room: account("room", &room)?,
            nick: some(nick)
                .map(|nick| short("nick", nick, NAME))
                .transpose()?,
            password: some(password)
                .map(|password| word("password", password))
                .transpose()?,
        },
        Wish::Decline { room } => Order::Decline(account("room", &room)?),
        Wish::Leave { room } => Order::Leave(account("room", &room)?),
        Wish::Topic { room, topic } => Order::Topic {
            room: account("room", &room)?,
            topic: text("topic", short("topic", topic, LINE)?)?,
        },
        Wish::Invite { room, whom } => Order::Invite {
            room: account("room", &room)?,
            whom: account("whom", &whom)?,
        },
        Wish::Watch { jid } => Order::Watch(
            Jid::new(&jid).map_err(|error| format!("jid is no address: {}", one_line(&error)))?,
        ),
        Wish::Unwatch { jid } => Order::Unwatch(account("jid", &jid)?),
        Wish::Controls { account, thing } => Order::Controls(key(&account, thing)?),
        Wish::Set {
            account,
            thing,
            parameter,
            value,
        } => Order::Set {
            of: key(&account, thing)?,
            parameter: text("parameter", filled("parameter", parameter, NAME)?)?,
            value: short("value", value, LINE)?,
        },
        Wish::Tour { button } => return Ok(Wanted::Tour(filled("button", button, NAME)?)),
    };
    Ok(Wanted::Order(order))
}

/// An address without a resource.
///
/// # Errors
/// What is wrong, of the field of that name.
pub(super) fn account(name: &str, text: &str) -> Result<BareJid, String> {
    BareJid::new(text).map_err(|error| {
        let why = one_line(&error);
        format!("{name} is to be an address such as anna@example.org: {why}")
    })
}

/// The address of a thing.
///
/// # Errors
/// What is wrong.
pub(super) fn key(of: &str, thing: String) -> Result<ThingKey, String> {
    Ok(ThingKey {
        account: account("account", of)?,
        thing: text("thing", short("thing", thing, NAME)?)?,
    })
}

/// A place of a conversation.
///
/// # Errors
/// What is wrong, of the field of that name.
pub(super) fn place(name: &str, text: &str) -> Result<stanchion::services::history::Place, String> {
    wire::to_place(text).ok_or_else(|| format!("{name} is to be the place of a message: AT-ROW"))
}

/// A text for a stanza, which must be one that XML can say.
///
/// # Errors
/// What is wrong, of the field of that name.
pub(super) fn text(name: &str, text: String) -> Result<Text, String> {
    Text::new(text).map_err(|error| format!("{name}: {}", one_line(&error)))
}

fn said(said: String) -> Result<String, String> {
    let said = filled("text", said, SAID)?;
    // As the stanza would, before it is kept anywhere.
    text("text", said.clone())?;
    Ok(said)
}

fn word(name: &str, word: String) -> Result<Text, String> {
    text(name, short(name, word, NAME)?)
}

/// What was left empty was not said.
fn some(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn filled(name: &str, text: String, most: usize) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err(format!("{name} is empty")),
        false => short(name, text, most),
    }
}

fn short(name: &str, text: String, most: usize) -> Result<String, String> {
    match text.len() > most {
        true => Err(format!("{name} is too long: at most {most} bytes")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_can_be_said() {
        for json in [
            r#"{"order":"say","to":"bob@home.example","text":"hello"}"#,
            r#"{"order":"correct","with":"bob@home.example","text":"hello"}"#,
            r#"{"order":"cancel","id":"x"}"#,
            r#"{"order":"again","with":"bob@home.example","place":"-5-7"}"#,
            r#"{"order":"open","with":"bob@home.example"}"#,
            r#"{"order":"older","with":"bob@home.example","than":"5-7"}"#,
            r#"{"order":"seen","with":"bob@home.example","place":"5-7"}"#,
            r#"{"order":"writing","with":"bob@home.example"}"#,
            r#"{"order":"search","words":"a b"}"#,
            r#"{"order":"search","words":"a b","with":"bob@home.example"}"#,
            r#"{"order":"status","availability":"extended-away","text":""}"#,
            r#"{"order":"add","who":"bob@home.example","name":null}"#,
            r#"{"order":"remove","who":"bob@home.example"}"#,
            r#"{"order":"answer","to":"bob@home.example","answer":"deny"}"#,
            r#"{"order":"join","room":"tea@rooms.example","nick":null,"password":null}"#,
            r#"{"order":"leave","room":"tea@rooms.example"}"#,
            r#"{"order":"decline","room":"tea@rooms.example"}"#,
            r#"{"order":"topic","room":"tea@rooms.example","topic":""}"#,
            r#"{"order":"invite","room":"tea@rooms.example","whom":"bob@home.example"}"#,
            r#"{"order":"watch","jid":"lamp@home.example/a"}"#,
            r#"{"order":"unwatch","jid":"lamp@home.example"}"#,
            r#"{"order":"controls","account":"lamp@home.example","thing":""}"#,
            r#"{"order":"set","account":"lamp@home.example","thing":"hall","parameter":"on","value":"true"}"#,
        ] {
            let read = read(json.as_bytes());
            assert!(matches!(read, Ok(Wanted::Order(_))), "{json}: {read:?}");
        }
        let tour = read(br#"{"order":"tour","button":"kill"}"#);
        assert!(matches!(tour, Ok(Wanted::Tour(button)) if button == "kill"));
    }

    #[test]
    fn what_is_wrong_with_an_order_is_said() {
        let long = "x".repeat(SAID + 1);
        let long = format!(r#"{{"order":"say","to":"bob@home.example","text":"{long}"}}"#);
        for (json, said) in [
            ("", "no order"),
            ("[]", "no order"),
            (r#"{"order":"explode"}"#, "explode"),
            (r#"{"order":"say","to":"bob@home.example"}"#, "text"),
            (r#"{"order":"cancel","id":"x","really":true}"#, "really"),
            (r#"{"order":"cancel","id":7}"#, "string"),
            (
                r#"{"order":"say","to":"@","text":"x"}"#,
                "to is to be an address",
            ),
            (
                r#"{"order":"say","to":"a@b/c","text":"x"}"#,
                "to is to be an address",
            ),
            (
                r#"{"order":"say","to":"a@b","text":" \n"}"#,
                "text is empty",
            ),
            (r#"{"order":"say","to":"a@b","text":"\u0000"}"#, "text: "),
            (&long, "too long"),
            (r#"{"order":"seen","with":"a@b","place":"7"}"#, "AT-ROW"),
            (
                r#"{"order":"status","availability":"asleep"}"#,
                "availability is",
            ),
            (
                r#"{"order":"answer","to":"a@b","answer":"maybe"}"#,
                "accept or deny",
            ),
            (r#"{"order":"watch","jid":""}"#, "jid is no address"),
        ] {
            let told = read(json.as_bytes()).map(|_| ()).unwrap_err();
            assert!(told.contains(said), "{json}: {told}");
            assert!(!told.contains('\n'), "{told}");
        }
    }
}
