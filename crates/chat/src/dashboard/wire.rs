//! What the pages read: the model as JSON, by serde alone. Texts of strangers are cut here,
//! and nothing that they say is anything but a string: what could be a tag, control a
//! terminal or turn the direction of writing is escaped on the wire, too.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use stanchion::BareJid;
use stanchion::device::model::{Value, kind_of, units};
use stanchion::services::history::{self, Direction, Place};
use stanchion::services::presence::Availability;
use stanchion::stanza::Text;
use stanchion::stanza::payload::roster::Subscription;

use crate::app;
use crate::app::{ControlKind, LinkState, Model, Severity, Stage, TalkKind, ThingKey};
use crate::terminal::is_harmful;
use crate::things::format::{unit, written};

/// Characters of a message's text.
const BODY: usize = 20_000;
/// Characters of what people write about a room or themselves, and of reasons.
const LINE: usize = 2000;
/// Characters of a name or a value.
const NAME: usize = 500;
/// What can be set at one thing, and what one of them can be.
const CHOICES: usize = 256;
/// Numbers of the past that a whole state has, of all fields together.
const PAST: usize = 12_000;
/// Of one field.
const PAST_OF_FIELD: usize = 60;

/// The beginning of a text.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    // A character has at least one byte.
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

fn some(text: &str, most: usize) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then(|| cut(text, most))
}

/// JSON in one line, in which nothing means anything to a terminal or to HTML.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = 0;
        for (at, c) in fragment.char_indices() {
            if matches!(c, '<' | '>' | '&') || is_harmful(c) {
                writer.write_all(&fragment.as_bytes()[rest..at])?;
                write!(writer, "\\u{:04x}", u32::from(c))?;
                rest = at + c.len_utf8();
            }
        }
        writer.write_all(&fragment.as_bytes()[rest..])
    }
}

/// A value as JSON, at the end of `to`.
pub(super) fn write(to: &mut Vec<u8>, value: &impl Serialize) {
    let before = to.len();
    let mut serializer = Serializer::with_formatter(&mut *to, Harmless);
    if let Err(error) = value.serialize(&mut serializer) {
        tracing::error!(%error, "something cannot be shown");
        to.truncate(before);
        to.extend_from_slice(b"null");
    }
}

/// An event of the stream (HTML Living Standard, 9.2), at the end of `to`.
pub(super) fn event(to: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    to.extend_from_slice(b"event: ");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\ndata: ");
    write(to, value);
    to.extend_from_slice(b"\n\n");
}

const fn availability(availability: Availability) -> &'static str {
    match availability {
        Availability::Available => "available",
        Availability::Chatty => "chatty",
        Availability::Away => "away",
        Availability::Busy => "busy",
        Availability::ExtendedAway => "extended-away",
        Availability::Unavailable => "unavailable",
    }
}

/// How an availability is written; none for another word.
pub(super) fn to_availability(word: &str) -> Option<Availability> {
    let all = [
        Availability::Available,
        Availability::Chatty,
        Availability::Away,
        Availability::Busy,
        Availability::ExtendedAway,
        Availability::Unavailable,
    ];
    all.into_iter().find(|one| availability(*one) == word)
}

/// Everything, for a page that knows nothing yet.
#[derive(Serialize)]
pub(super) struct State<'a> {
    account: &'a str,
    csrf: &'a str,
    link: Link<'a>,
    own: Own<'a>,
    persons: Vec<Person<'a>>,
    asked: Vec<Asked<'a>>,
    invited: Vec<Invited<'a>>,
    rooms: Vec<Room<'a>>,
    talks: Vec<Talk<'a>>,
    things: Vec<Thing<'a>>,
    flow: Flow<'a>,
    notices: Vec<Notice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tour: Option<&'a serde_json::Value>,
}

impl<'a> State<'a> {
    /// Of all that, at a moment in Unix milliseconds. `link_at` is when the connection
    /// changed last.
    pub(super) fn of(
        model: &'a Model,
        csrf: &'a str,
        now: i64,
        link_at: i64,
        tour: Option<&'a serde_json::Value>,
    ) -> Self {
        let fields: usize = model.things.values().map(|t| t.fields.len()).sum();
        let past = (PAST / fields.max(1)).min(PAST_OF_FIELD);
        let things = model.things.values();
        Self {
            account: model.account.as_str(),
            csrf,
            link: Link::of(&model.link, now, link_at),
            own: Own::of(model),
            persons: model.persons.values().map(Person::of).collect(),
            asked: model.asked.iter().map(Asked::of).collect(),
            invited: model.invited.iter().map(Invited::of).collect(),
            rooms: model.rooms.values().map(Room::of).collect(),
            talks: model.talks.values().map(|t| Talk::of(model, t)).collect(),
            things: things.map(|thing| Thing::whole(thing, past)).collect(),
            flow: Flow {
                now: &model.flow.now,
                past: &model.flow.past,
            },
            notices: model.notices.iter().map(Notice::of).collect(),
            tour,
        }
    }
}

/// The connection.
#[derive(Serialize)]
pub(super) struct Link<'a> {
    state: &'static str,
    server: Option<&'a str>,
    jid: Option<&'a str>,
    resumed: bool,
    secured: Option<Secured<'a>>,
    retry_in: Option<u64>,
    why: Option<Cow<'a, str>>,
    since: i64,
    streams: u64,
    failovers: u64,
    turns: Vec<Turn<'a>>,
}

#[derive(Serialize)]
struct Secured<'a> {
    tls: Option<&'a str>,
    cipher: Option<&'a str>,
    mechanism: &'a str,
    binding: Option<&'a str>,
    proved: bool,
}

#[derive(Serialize)]
struct Turn<'a> {
    at: i64,
    server: Option<&'a str>,
    up: bool,
    text: Cow<'a, str>,
}

impl<'a> Link<'a> {
    pub(super) fn of(link: &'a app::Link, now: i64, at: i64) -> Self {
        let turns = link.turns.iter().map(|turn| Turn {
            at: turn.at,
            server: turn.server.as_deref(),
            up: turn.up,
            text: cut(&turn.text, LINE),
        });
        let mut told = Self {
            state: "connecting",
            server: link.server.as_deref(),
            jid: None,
            resumed: false,
            secured: None,
            retry_in: None,
            why: None,
            since: link.since,
            streams: link.streams,
            failovers: link.failovers,
            turns: turns.collect(),
        };
        match &link.state {
            LinkState::Connecting => {}
            LinkState::Up {
                jid,
                server,
                resumed,
                secured,
            } => {
                told.state = "up";
                told.jid = Some(jid);
                told.server = Some(server);
                told.resumed = *resumed;
                told.secured = Some(Secured {
                    tls: secured.tls.as_deref(),
                    cipher: secured.cipher.as_deref(),
                    mechanism: &secured.mechanism,
                    binding: secured.binding.as_deref(),
                    proved: secured.proved,
                });
            }
            LinkState::Waiting { retry_in, why } => {
                let ago = u64::try_from(now.saturating_sub(at)).unwrap_or_default();
                told.state = "waiting";
                told.retry_in = Some(retry_in.saturating_sub(ago));
                told.why = Some(cut(why, LINE));
            }
            LinkState::Refused { why } => {
                told.state = "refused";
                told.why = Some(cut(why, LINE));
            }
            LinkState::Closed => told.state = "closed",
        }
        told
    }
}

/// How we are.
#[derive(Serialize)]
pub(super) struct Own<'a> {
    availability: &'static str,
    text: Cow<'a, str>,
}

impl<'a> Own<'a> {
    pub(super) fn of(model: &'a Model) -> Self {
        Self {
            availability: availability(model.own.0),
            text: cut(&model.own.1, LINE),
        }
    }
}

/// Somebody.
#[derive(Serialize)]
pub(super) struct Person<'a> {
    jid: &'a str,
    name: Cow<'a, str>,
    availability: &'static str,
    status: Cow<'a, str>,
    contact: bool,
    subscription: Option<&'static str>,
    thing: bool,
    silent: Option<Cow<'a, str>>,
    devices: Vec<Device<'a>>,
}

#[derive(Serialize)]
struct Device<'a> {
    resource: Cow<'a, str>,
    availability: &'static str,
    text: Cow<'a, str>,
}

impl<'a> Person<'a> {
    pub(super) fn of(person: &'a app::Person) -> Self {
        let devices = person.at.iter().take(CHOICES).map(|at| Device {
            resource: cut(&at.resource, NAME),
            availability: availability(at.availability),
            text: cut(&at.text, LINE),
        });
        let contact = person.contact.as_ref();
        Self {
            jid: person.jid.as_str(),
            name: cut(person.name(), NAME),
            availability: person.availability().map_or("unknown", availability),
            status: cut(person.status(), LINE),
            contact: contact.is_some(),
            subscription: contact.map(|contact| match contact.subscription {
                Subscription::To => "to",
                Subscription::From => "from",
                Subscription::Both => "both",
                _ => "none",
            }),
            thing: person.thing,
            silent: person.silent.as_deref().map(|why| cut(why, LINE)),
            devices: devices.collect(),
        }
    }
}

/// Something of which only the address matters.
#[derive(Serialize)]
pub(super) struct Gone<'a> {
    pub(super) jid: &'a str,
}

/// Somebody who asks to see our presence.
#[derive(Serialize)]
pub(super) struct Asked<'a> {
    by: &'a str,
    text: Cow<'a, str>,
}

impl<'a> Asked<'a> {
    pub(super) fn of((by, text): (&'a BareJid, &'a String)) -> Self {
        Self {
            by: by.as_str(),
            text: cut(text, LINE),
        }
    }
}

/// Somebody who does not any more.
#[derive(Serialize)]
pub(super) struct NotAsked<'a> {
    pub(super) by: &'a str,
}

/// A room that wants us.
#[derive(Serialize)]
pub(super) struct Invited<'a> {
    room: &'a str,
    by: Option<Cow<'a, str>>,
    reason: Option<Cow<'a, str>>,
}

impl<'a> Invited<'a> {
    pub(super) fn of(
        (room, (by, reason)): (&'a BareJid, &'a (Option<String>, Option<String>)),
    ) -> Self {
        Self {
            room: room.as_str(),
            by: by.as_deref().map(|by| cut(by, NAME)),
            reason: reason.as_deref().map(|reason| cut(reason, LINE)),
        }
    }
}

/// A room that does not any more.
#[derive(Serialize)]
pub(super) struct NotInvited<'a> {
    pub(super) room: &'a str,
}

/// A room.
#[derive(Serialize)]
pub(super) struct Room<'a> {
    jid: &'a str,
    name: Cow<'a, str>,
    entered: bool,
    refused: Option<Cow<'a, str>>,
    nick: Cow<'a, str>,
    topic: Cow<'a, str>,
    gap: bool,
    members: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    nick: Cow<'a, str>,
    role: &'a str,
    affiliation: &'a str,
    jid: Option<&'a str>,
}

impl<'a> Room<'a> {
    pub(super) fn of(room: &'a app::Room) -> Self {
        let members = room.members.values().map(|member| Member {
            nick: cut(&member.nick, NAME),
            role: &member.role,
            affiliation: &member.affiliation,
            jid: member.jid.as_deref(),
        });
        Self {
            jid: room.jid.as_str(),
            name: cut(room.name(), NAME),
            entered: room.entered,
            refused: room.refused.as_deref().map(|why| cut(why, LINE)),
            nick: cut(&room.nick, NAME),
            topic: cut(&room.topic, LINE),
            gap: room.gap,
            members: members.collect(),
        }
    }
}

/// A conversation, without its messages.
#[derive(Serialize)]
pub(super) struct Talk<'a> {
    with: &'a str,
    name: String,
    kind: &'static str,
    unread: u64,
    latest: i64,
    preview: Cow<'a, str>,
    writes: bool,
}

impl<'a> Talk<'a> {
    pub(super) fn of(model: &'a Model, talk: &'a app::Talk) -> Self {
        Self {
            with: talk.with.as_str(),
            name: cut(&model.name_of(&talk.with), NAME).into_owned(),
            kind: match talk.kind {
                TalkKind::Person => "person",
                TalkKind::Room => "room",
            },
            unread: talk.unread,
            latest: talk.latest,
            preview: cut(&talk.preview, NAME),
            writes: talk.writes,
        }
    }
}

/// A conversation that is not shown any more.
#[derive(Serialize)]
pub(super) struct TalkGone<'a> {
    pub(super) with: &'a str,
}

/// A message.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    with: &'a str,
    place: String,
    at: i64,
    row: i64,
    out: bool,
    author: Option<&'a str>,
    nick: Cow<'a, str>,
    id: Option<&'a str>,
    body: Cow<'a, str>,
    edits: u32,
    stage: Option<&'static str>,
    why: Option<Cow<'a, str>>,
    can: Vec<&'static str>,
    unread: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    snippet: Option<String>,
}

/// `AT-ROW`.
fn place(place: Place) -> String {
    format!("{}-{}", place.at.as_unix_ms(), place.row)
}

/// The other way.
pub(super) fn to_place(text: &str) -> Option<Place> {
    let (at, row) = text.rsplit_once('-')?;
    Some(Place {
        at: stanchion::reliability::store::WallTime::from_unix_ms(at.parse().ok()?),
        row: row.parse().ok()?,
    })
}

impl<'a> Entry<'a> {
    pub(super) fn of(model: &'a Model, entry: &'a history::Entry) -> Self {
        let out = entry.direction == Direction::Out;
        let room = model.rooms.get(&entry.conversation);
        let talk = model.talks.get(&entry.conversation);
        let is_room = room.is_some() || talk.is_some_and(|talk| talk.kind == TalkKind::Room);
        let said_by = entry.author.as_ref().filter(|_| is_room);
        let nick = match (said_by.and_then(|author| author.resource()), room) {
            (Some(nick), _) => cut(nick, NAME),
            (None, Some(room)) if out => cut(&room.nick, NAME),
            _ if out => Cow::Borrowed(model.account.local().unwrap_or_default()),
            _ => Cow::Owned(cut(&model.name_of(&entry.conversation), NAME).into_owned()),
        };
        let stage = Stage::of(entry);
        let mut can = Vec::new();
        if stage.is_some_and(Stage::can_be_cancelled) && entry.id.is_some() {
            can.push("cancel");
        }
        if stage.is_some_and(Stage::can_be_said_again) {
            can.push("again");
        }
        Self {
            with: entry.conversation.as_str(),
            place: place(entry.place),
            at: entry.place.at.as_unix_ms(),
            row: entry.place.row,
            out,
            author: entry.author.as_ref().map(|author| author.as_str()),
            nick,
            id: entry.id.as_deref(),
            body: cut(&entry.body, BODY),
            edits: entry.edits,
            stage: stage.map(Stage::word),
            why: entry.why.as_deref().map(|why| cut(why, LINE)),
            can,
            unread: entry.unread,
            snippet: None,
        }
    }

    /// One that was looked for.
    pub(super) fn found(model: &'a Model, found: &'a history::Found) -> Self {
        let marks = [history::Found::OPEN, history::Found::CLOSE];
        Self {
            snippet: Some(cut(&found.snippet, LINE).replace(marks, "")),
            ..Self::of(model, &found.entry)
        }
    }
}

/// A part of a conversation.
#[derive(Serialize)]
pub(super) struct Part<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) first: bool,
}

/// What a search found.
#[derive(Serialize)]
pub(super) struct Found<'a> {
    pub(super) words: &'a str,
    pub(super) found: Vec<Entry<'a>>,
}

/// A thing, or what is new of it.
#[derive(Serialize)]
pub(super) struct Thing<'a> {
    account: &'a str,
    thing: Cow<'a, str>,
    at: i64,
    fields: BTreeMap<&'a str, Field<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    controls: Option<Option<Vec<Control<'a>>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Option<Command<'a>>>,
}

#[derive(Serialize)]
struct Field<'a> {
    at: i64,
    value: Cow<'a, str>,
    number: Option<f64>,
    unit: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    series: Vec<(i64, f64)>,
}

impl<'a> Field<'a> {
    fn of(field: &'a app::Field, past: usize) -> Self {
        // The last one is the value itself.
        let before = field.series.len().saturating_sub(1);
        let skip = before.saturating_sub(past);
        let series = field.series.iter().take(before).skip(skip);
        Self {
            at: field.at,
            value: value(&field.value),
            number: app::as_number(&field.value),
            unit: units::display(unit(&field.value)),
            r#type: kind(&field.value),
            series: series.copied().collect(),
        }
    }
}

fn value(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Date(text)
        | Value::DateTime(text)
        | Value::Duration(text)
        | Value::Enum { value: text, .. }
        | Value::String(text)
        | Value::Time(text) => cut(text, NAME),
        Value::Numeric { value, .. } => cut(value.as_str(), NAME),
        other => Cow::Owned(written(other)),
    }
}

/// As in the JSON of samples.
fn kind(value: &Value) -> &'static str {
    use stanchion::device::model::Kind;
    match kind_of(value) {
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::DateTime => "dateTime",
        Kind::Duration => "duration",
        Kind::Enum => "enum",
        Kind::Int => "int",
        Kind::Long => "long",
        Kind::Numeric => "numeric",
        Kind::Time => "time",
        _ => "string",
    }
}

impl<'a> Thing<'a> {
    /// All of it.
    fn whole(thing: &'a app::Thing, past: usize) -> Self {
        let fields = thing.fields.iter();
        let controls = thing.controls.as_deref();
        Self {
            fields: fields
                .map(|(name, field)| (&**name, Field::of(field, past)))
                .collect(),
            controls: Some(controls.map(all_controls)),
            command: Some(thing.command.as_ref().map(Command::of)),
            ..Self::named(&thing.key, thing.at)
        }
    }

    /// Some of its fields.
    pub(super) fn new(thing: &'a app::Thing, fields: impl Iterator<Item = &'a Text>) -> Self {
        let fields = fields.filter_map(|name| {
            let field = thing.fields.get(name)?;
            Some((&**name, Field::of(field, 0)))
        });
        Self {
            fields: fields.collect(),
            ..Self::named(&thing.key, thing.at)
        }
    }

    fn named(key: &'a ThingKey, at: i64) -> Self {
        Self {
            account: key.account.as_str(),
            thing: Cow::Borrowed(&key.thing),
            at,
            fields: BTreeMap::new(),
            controls: None,
            command: None,
        }
    }
}

#[derive(Serialize)]
struct Control<'a> {
    name: &'a str,
    label: Cow<'a, str>,
    kind: &'static str,
    min: Option<f64>,
    max: Option<f64>,
    whole: bool,
    choices: Vec<(&'a str, Cow<'a, str>)>,
    now: Option<Cow<'a, str>>,
}

fn all_controls(controls: &[app::Control]) -> Vec<Control<'_>> {
    controls.iter().take(CHOICES).map(Control::of).collect()
}

impl<'a> Control<'a> {
    fn of(control: &'a app::Control) -> Self {
        let mut told = Self {
            name: &control.name,
            label: cut(&control.label, NAME),
            kind: "text",
            min: None,
            max: None,
            whole: false,
            choices: Vec::new(),
            now: control.now.as_deref().map(|now| cut(now, NAME)),
        };
        match &control.kind {
            ControlKind::Switch => told.kind = "switch",
            ControlKind::Number { min, max, whole } => {
                told.kind = "number";
                (told.min, told.max, told.whole) = (*min, *max, *whole);
            }
            ControlKind::Choice(choices) => {
                let choices = choices.iter().take(CHOICES);
                told.kind = "choice";
                told.choices = choices
                    .map(|(value, label)| (value.as_str(), cut(label, NAME)))
                    .collect();
            }
            ControlKind::Text => {}
        }
        told
    }
}

/// A command to a thing.
#[derive(Serialize)]
struct Command<'a> {
    what: Cow<'a, str>,
    outcome: Option<&'static str>,
    text: Option<Cow<'a, str>>,
}

impl<'a> Command<'a> {
    fn of((what, outcome): &'a (String, Option<Result<String, String>>)) -> Self {
        let (outcome, text) = match outcome {
            None => (None, None),
            Some(Ok(text)) => (Some("done"), some(text, LINE)),
            Some(Err(why)) => (Some("failed"), some(why, LINE)),
        };
        Self {
            what: cut(what, LINE),
            outcome,
            text,
        }
    }
}

/// What can be set at a thing.
#[derive(Serialize)]
pub(super) struct Controls<'a> {
    account: &'a str,
    thing: &'a str,
    controls: Option<Vec<Control<'a>>>,
}

impl<'a> Controls<'a> {
    pub(super) fn of(thing: &'a app::Thing) -> Self {
        Self {
            account: thing.key.account.as_str(),
            thing: &thing.key.thing,
            controls: thing.controls.as_deref().map(all_controls),
        }
    }
}

/// What became of a command.
#[derive(Serialize)]
pub(super) struct Commanded<'a> {
    account: &'a str,
    thing: &'a str,
    #[serde(flatten)]
    command: Option<Command<'a>>,
}

impl<'a> Commanded<'a> {
    pub(super) fn of(thing: &'a app::Thing) -> Self {
        Self {
            account: thing.key.account.as_str(),
            thing: &thing.key.thing,
            command: thing.command.as_ref().map(Command::of),
        }
    }
}

#[derive(Serialize)]
struct Flow<'a> {
    now: &'a app::Gauge,
    past: &'a VecDeque<app::Gauge>,
}

/// Something that a person should know.
#[derive(Serialize)]
pub(super) struct Notice<'a> {
    at: i64,
    severity: &'static str,
    text: Cow<'a, str>,
}

impl<'a> Notice<'a> {
    pub(super) fn of(notice: &'a app::Notice) -> Self {
        Self {
            at: notice.at,
            severity: match notice.severity {
                Severity::Info => "info",
                Severity::Failure => "failure",
                Severity::Warning => "warning",
            },
            text: cut(&notice.text, LINE),
        }
    }
}
