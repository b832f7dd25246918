//! `/commands`: what they are, and what is meant by one. Pure functions.

use stanchion::services::presence::Availability;
use stanchion::stanza::Text;
use stanchion::{BareJid, Jid};

use super::subject::Subject;
use crate::app::{Model, Order};

/// All, with what they take and what they do.
pub(super) const ALL: &[(&str, &str, &str)] = &[
    ("open", "ADDRESS", "a conversation with that address"),
    ("join", "ROOM [NICK]", "enter a room"),
    ("leave", "", "leave this room"),
    ("topic", "TEXT", "what this room is about"),
    ("invite", "ADDRESS [ROOM]", "ask somebody into a room"),
    (
        "status",
        "available|busy|away|unavailable [TEXT]",
        "how we are",
    ),
    ("add", "ADDRESS [NAME]", "a contact, to see how they are"),
    ("remove", "[ADDRESS]", "a contact"),
    ("search", "[WORDS]", "look for messages"),
    ("watch", "ADDRESS", "the things behind an address"),
    ("unwatch", "[ADDRESS]", "no more of them"),
    ("set", "PARAMETER VALUE", "something at this thing"),
    ("me", "TEXT", "say what we do"),
    ("help", "", "all keys and commands"),
    ("quit", "", "leave"),
];

/// What is meant.
#[derive(Debug)]
pub(super) enum Meaning {
    /// The desk is to do that.
    Order(Order),
    /// The desk is to do that once a person said yes to it.
    Sure(String, Order),
    /// That is to be shown.
    Open(Subject, Option<Order>),
    /// Messages with these words are looked for.
    Search(String),
    /// Help.
    Help,
    /// Ending.
    Quit,
}

/// What a line says, its slash left out, while that is open.
///
/// # Errors
/// What is wrong, and how it is written.
pub(super) fn meaning(
    line: &str,
    open: Option<&Subject>,
    model: &Model,
) -> Result<Meaning, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let talk = match open {
        Some(Subject::Talk(with)) => Some(with),
        _ => None,
    };
    let room = || {
        talk.filter(|with| model.rooms.contains_key(*with))
            .ok_or_else(|| "this is no room: open it first".to_owned())
    };
    Ok(match word {
        "open" | "msg" => {
            let with = account(word, rest)?;
            Meaning::Open(Subject::Talk(with.clone()), Some(Order::Open(with)))
        }
        "join" => {
            let (name, nick) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let room = room_named(name, model)?;
            let nick = Some(nick.trim().to_owned()).filter(|nick| !nick.is_empty());
            let order = Order::Join {
                room: room.clone(),
                nick,
                password: None,
            };
            Meaning::Open(Subject::Talk(room), Some(order))
        }
        "leave" => Meaning::Order(Order::Leave(room()?.clone())),
        "topic" => Meaning::Order(Order::Topic {
            room: room()?.clone(),
            topic: text(rest)?,
        }),
        "invite" => {
            let (whom, to) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let to = match to.trim() {
                "" => room()?.clone(),
                name => room_named(name, model)?,
            };
            let whom = account(word, whom)?;
            Meaning::Order(Order::Invite { room: to, whom })
        }
        "status" => {
            let (how, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let availability = match how {
                "available" | "online" => Availability::Available,
                "chat" | "chatty" => Availability::Chatty,
                "busy" | "dnd" => Availability::Busy,
                "away" => Availability::Away,
                "xa" => Availability::ExtendedAway,
                "unavailable" | "offline" => Availability::Unavailable,
                _ => return Err(usage(word)),
            };
            let text = text.trim().to_owned();
            Meaning::Order(Order::Status { availability, text })
        }
        "add" => {
            let (who, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let who = account(word, who)?;
            let name = match name.trim() {
                "" => None,
                name => Some(text(name)?),
            };
            Meaning::Order(Order::Add { who, name })
        }
        "remove" => {
            let who = named_or_open(word, rest, open)?;
            let sure = format!(
                "Remove {} from the contacts? Neither sees how the other is then.",
                model.name_of(&who)
            );
            Meaning::Sure(sure, Order::Remove(who))
        }
        "search" => Meaning::Search(rest.to_owned()),
        "watch" => {
            let jid: Jid = rest.parse().map_err(|_| usage(word))?;
            Meaning::Order(Order::Watch(jid))
        }
        "unwatch" => Meaning::Order(Order::Unwatch(named_or_open(word, rest, open)?)),
        "set" => {
            let Some(Subject::Thing(of)) = open else {
                return Err("this is no thing: open it first".to_owned());
            };
            let split = rest.split_once('=');
            let split = split.or_else(|| rest.split_once(char::is_whitespace));
            let Some((parameter, value)) = split else {
                return Err(usage(word));
            };
            Meaning::Order(Order::Set {
                of: of.clone(),
                parameter: text(parameter.trim())?,
                value: value.trim().to_owned(),
            })
        }
        "me" => {
            let to = talk.ok_or_else(|| "open a conversation first".to_owned())?;
            if rest.is_empty() {
                return Err(usage(word));
            }
            Meaning::Order(Order::Say {
                to: to.clone(),
                text: format!("/me {rest}"),
            })
        }
        "help" => Meaning::Help,
        "quit" | "exit" => Meaning::Quit,
        _ => {
            return Err(format!(
                "there is no /{word}; /help shows what there is, // says a line that begins \
                 with a slash"
            ));
        }
    })
}

fn usage(word: &str) -> String {
    let known = ALL.iter().find(|(name, ..)| *name == word);
    match known {
        Some((name, takes, _)) => format!("write /{name} {takes}"),
        None => format!("/{word} cannot be read"),
    }
}

fn account(word: &str, written: &str) -> Result<BareJid, String> {
    let jid: Result<BareJid, _> = written.parse();
    jid.ok()
        .filter(|jid| jid.local().is_some())
        .ok_or_else(|| format!("{}; an address is name@domain", usage(word)))
}

fn named_or_open(word: &str, written: &str, open: Option<&Subject>) -> Result<BareJid, String> {
    match (written, open) {
        ("", Some(Subject::Talk(with))) => Ok(with.clone()),
        ("", Some(Subject::Thing(of))) => Ok(of.account.clone()),
        (written, _) => account(word, written),
    }
}

/// A room by its address, or by its name alone where another one tells the service.
fn room_named(written: &str, model: &Model) -> Result<BareJid, String> {
    if written.contains('@') {
        return account("join", written);
    }
    let known = model
        .rooms
        .keys()
        .find(|room| room.local() == Some(written));
    if let Some(room) = known {
        return Ok(room.clone());
    }
    let service = model.rooms.keys().next().map(|room| room.domain());
    match service {
        Some(service) if !written.is_empty() => account("join", &format!("{written}@{service}")),
        _ => Err("write /join ROOM [NICK]; a room is name@service".to_owned()),
    }
}

fn text(written: &str) -> Result<Text, String> {
    Text::new(written).map_err(|e| format!("that cannot be sent: {e}"))
}

/// What the word before the cursor may become: commands at the start of the line, what a
/// command takes, or who is here. How many bytes of the line that replaces, and the words.
pub(super) fn completions(
    before: &str,
    open: Option<&Subject>,
    model: &Model,
) -> (usize, Vec<String>) {
    let begun = before.rfind(char::is_whitespace).map_or(0, |at| {
        at + before
            .get(at..)
            .and_then(|s| s.chars().next())
            .map_or(1, char::len_utf8)
    });
    let word = before.get(begun..).unwrap_or_default();
    let small = word.to_lowercase();
    if begun == 0
        && let Some(command) = word.strip_prefix('/')
    {
        let names = ALL.iter().map(|(name, ..)| *name);
        let fit = names.filter(|name| name.starts_with(command));
        return (word.len(), fit.map(|name| format!("/{name} ")).collect());
    }
    if before
        .strip_prefix("/status ")
        .is_some_and(|rest| rest.len() == word.len())
    {
        let all = ["available ", "busy ", "away ", "unavailable "];
        let fit = all.iter().filter(|how| how.starts_with(&small));
        return (word.len(), fit.map(|how| (*how).to_owned()).collect());
    }
    if let (Some(_), Some(Subject::Thing(of))) = (before.strip_prefix("/set "), open) {
        let controls = model
            .things
            .get(of)
            .and_then(|thing| thing.controls.as_ref());
        let names = controls
            .into_iter()
            .flatten()
            .map(|c| format!("{} ", c.name));
        return (
            word.len(),
            names.filter(|name| name.starts_with(word)).collect(),
        );
    }
    if word.is_empty() {
        return (0, Vec::new());
    }
    let mut found = Vec::new();
    if let Some(Subject::Talk(with)) = open
        && let Some(room) = model.rooms.get(with)
        && !before.starts_with('/')
    {
        let behind = if begun == 0 { ": " } else { " " };
        let nicks = room.members.keys();
        let fit = nicks.filter(|nick| nick.to_lowercase().starts_with(&small));
        found.extend(fit.take(50).map(|nick| format!("{nick}{behind}")));
    }
    if before.starts_with('/') {
        let all = model.persons.keys().chain(model.rooms.keys());
        let fit = all.filter(|jid| jid.as_str().starts_with(&small));
        found.extend(fit.take(50).map(|jid| format!("{jid} ")));
    }
    (word.len(), found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let mut model = Model::new("anna@home.example".parse().unwrap());
        let room: BareJid = "lounge@rooms.home.example".parse().unwrap();
        let member = |nick: &str| crate::app::Member {
            nick: nick.to_owned(),
            role: "participant".to_owned(),
            affiliation: "none".to_owned(),
            jid: None,
        };
        model.apply(
            1,
            crate::app::Event::Room {
                room,
                change: crate::app::RoomChange::Entered {
                    nick: "anna".to_owned(),
                    members: vec![member("Bob"), member("bertha"), member("carol")],
                    topic: String::new(),
                },
            },
        );
        model
    }

    #[test]
    fn a_command_that_is_wrong_says_how_it_is_written() {
        let model = model();
        for (line, told) in [
            ("join", "write /join"),
            ("status tired", "available|busy"),
            ("invite bob@home.example", "no room"),
            ("set on true", "no thing"),
            ("add home.example", "name@domain"),
            ("frobnicate", "there is no /frobnicate"),
        ] {
            let error = meaning(line, None, &model).unwrap_err();
            assert!(error.contains(told), "{line}: {error}");
        }
    }

    #[test]
    fn a_room_may_be_named_by_its_first_part_where_the_service_is_known() {
        let meant = meaning("join attic Ann", None, &model()).unwrap();
        let Meaning::Open(Subject::Talk(room), Some(Order::Join { nick, .. })) = meant else {
            panic!("{meant:?}")
        };
        assert_eq!(room.as_str(), "attic@rooms.home.example");
        assert_eq!(nick.as_deref(), Some("Ann"));
    }

    #[test]
    fn words_are_completed_by_commands_nicknames_and_addresses() {
        let model = model();
        let room = Subject::Talk("lounge@rooms.home.example".parse().unwrap());
        let of = |before: &str| completions(before, Some(&room), &model);
        assert_eq!(of("/st"), (3, vec!["/status ".to_owned()]));
        assert_eq!(of("/status b"), (1, vec!["busy ".to_owned()]));
        assert_eq!(
            of("b"),
            (1, vec!["Bob: ".to_owned(), "bertha: ".to_owned()])
        );
        assert_eq!(of("hi Bo"), (2, vec!["Bob ".to_owned()]));
        assert_eq!(of("hi\u{3000}日"), (3, vec![]));
        assert_eq!(of("").1.len(), 0);
    }
}
