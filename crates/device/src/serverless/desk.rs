//! What is served to whom: stanzas of neighbours go to the services, and what these want
//! goes out. Without I/O. Two laws stand here: nobody speaks for another, and over a stream
//! without protection nothing is ever set.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::Up;
use stanchion_services::request::Outstanding;
use stanchion_services::waiter::Waiter;
use stanchion_services::{Input, Output, Request, RequestError, Service, Taken};
use stanchion_stanza::payload::control::Set;
use stanchion_stanza::payload::disco::{DiscoInfo, Identity};
use stanchion_stanza::payload::sensordata::Profiled as _;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, MessageType, StanzaError};
use stanchion_stanza::stream::StreamFeatures;
use stanchion_stanza::{BareJid, Element, Iq, Jid, Message, Payload as _, Stanza, Text, ns};

use crate::host::{self, HostEvent};
use crate::remote;

/// The domain of those whom nobody knows: one that no account has (RFC 6761 §6.4).
pub(super) const NOBODY: &str = "plaintext.invalid";
/// The resource that services are told we have; it is on no wire.
const RESOURCE: &str = "serverless";

/// A service, whichever it is.
pub trait Served: Send {
    /// As [`Service::features`].
    fn features(&self) -> Vec<Text>;
    /// As [`Service::handle`].
    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken;
    /// As [`Service::poll_output`]; what it tells observers goes nowhere, and what it wants
    /// kept is not.
    fn poll(&mut self, now: Now) -> Wanted;
}

impl<S: Service> Served for S {
    fn features(&self) -> Vec<Text> {
        Service::features(self)
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        Service::handle(self, now, input)
    }

    fn poll(&mut self, now: Now) -> Wanted {
        wanted(self, now, |_| {})
    }
}

/// What a service wants, as far as there is any of it without a server.
#[derive(Debug)]
#[non_exhaustive]
pub enum Wanted {
    /// To say something to somebody.
    Transmit(Stanza),
    /// To ask.
    Request {
        /// The service's own name for it.
        tag: u64,
        /// What.
        request: Request,
    },
    /// Nothing more before that time.
    Wait(Option<Duration>),
}

fn wanted<S: Service>(service: &mut S, now: Now, mut observe: impl FnMut(S::Event)) -> Wanted {
    loop {
        match service.poll_output() {
            Output::Transmit(stanza) => return Wanted::Transmit(stanza),
            Output::Request { tag, request } => return Wanted::Request { tag, request },
            Output::Wait(due) => return Wanted::Wait(due),
            Output::Event(event) => observe(event),
            // There is no store, and nothing here outlives us: it is as durable as it gets.
            Output::Keep { tag: Some(tag), .. } => {
                service.handle(now, Input::Kept { tag });
            }
            // Of servers, archives and rooms there are none.
            _ => {}
        }
    }
}

/// Who says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Speaker {
    /// Who it is to our services: its name if that is proven, nobody's otherwise.
    pub(super) known_as: Jid,
    /// Whose answers it gives: whom we went to is asked under that name.
    pub(super) answers_as: Jid,
    /// Nothing protects what it says.
    pub(super) plain: bool,
}

impl Speaker {
    /// Somebody whose certificate is pinned for that name.
    pub(super) fn pinned(name: &BareJid) -> Self {
        Self {
            known_as: name.clone().into(),
            answers_as: name.clone().into(),
            plain: false,
        }
    }

    /// Somebody on the unprotected stream of that number; `dialled` is whom we meant to
    /// reach by it.
    pub(super) fn plain(stream: u64, dialled: Option<&BareJid>) -> Option<Self> {
        // A number before a domain is an address.
        let nobody = Jid::new(&format!("{stream}@{NOBODY}")).ok()?;
        Some(Self {
            answers_as: dialled.map_or_else(|| nobody.clone(), |name| name.clone().into()),
            known_as: nobody,
            plain: true,
        })
    }
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Act {
    /// Say that to whoever is known so, if there is a stream.
    Say { to: Jid, stanza: Stanza },
    /// Ask that; `id` fails with [`Desk::unheard`].
    Ask { to: BareJid, id: String, iq: Iq },
    /// A message for the application; `true` if nobody knows whom it is from.
    Hand { message: Message, plain: bool },
}

enum Owner {
    Remote(u64),
    Host(u64),
    Other(usize, u64),
    Caller(Waiter<Result<Option<Element>, RequestError>>),
}

/// The services, and what is asked.
pub(super) struct Desk {
    own: BareJid,
    pub(super) host: Option<host::State>,
    pub(super) remote: remote::State,
    others: Vec<Box<dyn Served>>,
    outstanding: Outstanding<Owner>,
    /// To whom each question that is out went, and when its time is over.
    asked: BTreeMap<String, (BareJid, Duration)>,
    acts: VecDeque<Act>,
    events: VecDeque<HostEvent>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Desk {
    /// `secret` is random.
    pub(super) fn new(
        now: Now,
        own: BareJid,
        host: Option<host::State>,
        others: Vec<Box<dyn Served>>,
        secret: u64,
    ) -> Self {
        // The half that nobody else sees.
        let low = u32::try_from(secret >> 32).unwrap_or_default();
        let mut desk = Self {
            own: own.clone(),
            host,
            remote: remote::State::new(low),
            others,
            outstanding: Outstanding::new(secret),
            asked: BTreeMap::new(),
            acts: VecDeque::new(),
            events: VecDeque::new(),
        };
        desk.named(now, own);
        desk
    }

    /// We go by that name now.
    pub(super) fn named(&mut self, now: Now, own: BareJid) {
        self.own = own;
        let Ok(jid) = self.own.with_resource(RESOURCE) else {
            return;
        };
        let up = Up::new(jid, true, StreamFeatures::default(), None);
        if let Some(host) = &mut self.host {
            Service::handle(host, now, Input::Up(&up));
        }
        Service::handle(&mut self.remote, now, Input::Up(&up));
        for other in &mut self.others {
            other.handle(now, Input::Up(&up));
        }
    }

    /// What we can do.
    pub(super) fn info(&self) -> DiscoInfo {
        let mut features = vec![Text::from_static(ns::DISCO_INFO)];
        if let Some(host) = &self.host {
            // A command that acts once needs an outbox at both ends: not between neighbours.
            let all = Service::features(host).into_iter();
            features.extend(all.filter(|f| &**f != ns::THING_COMMAND));
        }
        features.extend(self.others.iter().flat_map(|other| other.features()));
        features.sort();
        features.dedup();
        let identity = Identity {
            category: Text::from_static("client"),
            kind: Text::from_static("bot"),
            name: Some(Text::from_static("Stanchion")),
            lang: None,
        };
        DiscoInfo {
            identities: vec![identity],
            features,
            ..DiscoInfo::default()
        }
    }

    // ---- what is heard --------------------------------------------------------------

    /// A neighbour says something. Whatever it claims, it is from `speaker`.
    pub(super) fn hear(&mut self, now: Now, speaker: &Speaker, stanza: Stanza) {
        match stanza {
            Stanza::Iq(iq) => self.iq(now, speaker, iq),
            Stanza::Message(message) => self.message(now, speaker, message),
            // It is told in the record (XEP-0174 §5).
            Stanza::Presence(_) => {}
        }
    }

    fn iq(&mut self, now: Now, speaker: &Speaker, mut iq: Iq) {
        iq.header.to = Some(self.own.clone().into());
        if !iq.is_request() {
            iq.header.from = Some(speaker.answers_as.clone());
            if let Some((owner, answer)) = self.outstanding.answered(&iq) {
                if let Some(id) = &iq.header.id {
                    self.asked.remove(&**id);
                }
                self.answered(now, owner, answer);
            }
            return;
        }
        iq.header.from = Some(speaker.known_as.clone());
        if speaker.plain && matches!(iq.kind, IqKind::Set(_)) {
            let why = "nothing is set over a stream without TLS";
            return self.refuse(&iq, ErrorType::Auth, DefinedCondition::Forbidden, why);
        }
        if let IqKind::Get(what) = &iq.kind
            && DiscoInfo::matches(what)
            && what.attr("node").is_none()
        {
            let answer = iq.result(Some(self.info().to_element()));
            return self.say(Stanza::Iq(answer));
        }
        let stanza = Stanza::Iq(iq);
        if self.offer(now, &stanza) == Taken::Yes {
            return;
        }
        if let Stanza::Iq(iq) = stanza {
            let why = "nobody here does that";
            let condition = DefinedCondition::ServiceUnavailable;
            self.refuse(&iq, ErrorType::Cancel, condition, why);
        }
    }

    fn message(&mut self, now: Now, speaker: &Speaker, mut message: Message) {
        message.header.to = Some(self.own.clone().into());
        // What we asked for comes in messages, from whom we asked.
        message.header.from = Some(speaker.answers_as.clone());
        let mut stanza = Stanza::Message(message);
        if Service::handle(&mut self.remote, now, Input::Stanza(&stanza)) == Taken::Yes {
            return;
        }
        if let Stanza::Message(message) = &mut stanza {
            message.header.from = Some(speaker.known_as.clone());
            let sets = !matches!(Set::find_any(&message.payloads), Ok(None));
            let acts_once = self.host.as_ref().is_some_and(|host| host.claims(message));
            let why = match (speaker.plain, sets, acts_once) {
                (true, true, _) | (true, _, true) => "nothing is set over a stream without TLS",
                (false, _, true) => "between neighbours, set by an iq",
                _ => "",
            };
            if !why.is_empty() {
                let message = message.clone();
                return self.bounce(&message, DefinedCondition::NotAllowed, why);
            }
        }
        // Services act on messages: for whom nobody knows, the application alone has them.
        if !speaker.plain && self.offer(now, &stanza) == Taken::Yes {
            return;
        }
        if let Stanza::Message(message) = stanza {
            let plain = speaker.plain;
            self.acts.push_back(Act::Hand { message, plain });
        }
    }

    fn offer(&mut self, now: Now, stanza: &Stanza) -> Taken {
        if let Some(host) = &mut self.host
            && Service::handle(host, now, Input::Stanza(stanza)) == Taken::Yes
        {
            return Taken::Yes;
        }
        let mut others = self.others.iter_mut();
        match others.any(|other| other.handle(now, Input::Stanza(stanza)) == Taken::Yes) {
            true => Taken::Yes,
            false => Taken::No,
        }
    }

    fn refuse(&mut self, iq: &Iq, kind: ErrorType, condition: DefinedCondition, why: &'static str) {
        let error = StanzaError::new(kind, condition).with_text(Text::from_static(why));
        self.say(Stanza::Iq(iq.refuse(error)));
    }

    /// Sends a message back, unless it is one that came back itself.
    pub(super) fn bounce(
        &mut self,
        message: &Message,
        condition: DefinedCondition,
        why: &'static str,
    ) {
        if message.kind == MessageType::Error {
            return;
        }
        let error = StanzaError::new(ErrorType::Cancel, condition);
        let error = error.with_text(Text::from_static(why));
        let mut back = Message {
            header: message.header.reply(),
            kind: MessageType::Error,
            payloads: Vec::new(),
        };
        back.payloads.push(error.to_element());
        self.say(Stanza::Message(back));
    }

    fn say(&mut self, stanza: Stanza) {
        let to = match &stanza {
            Stanza::Iq(iq) => &iq.header.to,
            Stanza::Message(message) => &message.header.to,
            Stanza::Presence(_) => return,
        };
        if let Some(to) = to.clone() {
            self.acts.push_back(Act::Say { to, stanza });
        }
    }

    // ---- what is asked --------------------------------------------------------------

    /// Asks a neighbour something; `waiter` hears the answer.
    pub(super) fn ask(
        &mut self,
        now: Now,
        request: Request,
        waiter: Waiter<Result<Option<Element>, RequestError>>,
    ) {
        self.put(now, request, Owner::Caller(waiter));
    }

    fn put(&mut self, now: Now, request: Request, owner: Owner) {
        let to = request.to.as_ref().map(Jid::to_bare);
        let due = now.monotonic.saturating_add(request.within);
        match self.outstanding.add(now.monotonic, request, owner) {
            Err(owner) => self.answered(now, owner, Err(RequestError::TooMany)),
            Ok(id) => {
                if let (Some(to), Some(iq)) = (to, self.outstanding.transmit(&id)) {
                    self.asked.insert(id.clone(), (to.clone(), due));
                    self.acts.push_back(Act::Ask { to, id, iq });
                }
            }
        }
    }

    /// That question never left us.
    pub(super) fn unheard(&mut self, now: Now, id: &str, why: &str) {
        self.fail(now, id, |by| {
            let condition = DefinedCondition::RecipientUnavailable;
            let error = StanzaError::new(ErrorType::Wait, condition);
            RequestError::Refused {
                by: Some(by),
                error: Box::new(error.with_text(Text::new(why).unwrap_or_default())),
                beside: None,
            }
        });
    }

    /// The last stream to that neighbour is lost: what it was asked has no answer.
    pub(super) fn lost(&mut self, now: Now, name: &BareJid) {
        let all = self.asked.iter().filter(|(_, (to, _))| to == name);
        let ids: Vec<String> = all.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.fail(now, &id, |_| RequestError::Lost);
        }
    }

    fn fail(&mut self, now: Now, id: &str, error: impl FnOnce(Jid) -> RequestError) {
        let Some((to, _)) = self.asked.remove(id) else {
            return;
        };
        let to = Jid::from(to);
        // As if it had refused: that takes the question off the table.
        let mut iq = Iq {
            header: stanchion_stanza::stanza::Header::default(),
            kind: IqKind::Error(StanzaError::default(), None),
        };
        iq.header.from = Some(to.clone());
        iq.header.id = Text::new(id).ok();
        if let Some((owner, _)) = self.outstanding.answered(&iq) {
            self.answered(now, owner, Err(error(to)));
        }
    }

    fn answered(&mut self, now: Now, owner: Owner, answer: Result<Option<Element>, RequestError>) {
        match owner {
            Owner::Remote(tag) => {
                Service::handle(&mut self.remote, now, Input::Answer { tag, answer });
            }
            Owner::Host(tag) => {
                if let Some(host) = &mut self.host {
                    Service::handle(host, now, Input::Answer { tag, answer });
                }
            }
            Owner::Other(slot, tag) => {
                if let Some(other) = self.others.get_mut(slot) {
                    other.handle(now, Input::Answer { tag, answer });
                }
            }
            Owner::Caller(waiter) => waiter.answer(answer),
        }
    }

    // ---- what is to be done ---------------------------------------------------------

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Now) {
        for (owner, error) in self.outstanding.expired(now.monotonic) {
            self.answered(now, owner, Err(error));
        }
        if let Some(host) = &mut self.host {
            Service::handle(host, now, Input::Tick);
        }
        Service::handle(&mut self.remote, now, Input::Tick);
        for other in &mut self.others {
            other.handle(now, Input::Tick);
        }
        self.asked.retain(|_, (_, due)| *due > now.monotonic);
    }

    /// What is to be done next.
    ///
    /// # Errors
    /// Nothing; when to come back.
    pub(super) fn poll(&mut self, now: Now) -> Result<Act, Option<Duration>> {
        loop {
            if let Some(act) = self.acts.pop_front() {
                return Ok(act);
            }
            let mut waits = vec![None; 2];
            if let Some(host) = &mut self.host {
                let events = &mut self.events;
                match wanted(host, now, |event| note(events, event)) {
                    Wanted::Transmit(stanza) => {
                        self.say(stanza);
                        continue;
                    }
                    Wanted::Request { tag, request } => {
                        self.put(now, request, Owner::Host(tag));
                        continue;
                    }
                    Wanted::Wait(at) => waits[0] = at,
                }
            }
            match wanted(&mut self.remote, now, |()| {}) {
                Wanted::Transmit(stanza) => {
                    self.say(stanza);
                    continue;
                }
                Wanted::Request { tag, request } => {
                    self.put(now, request, Owner::Remote(tag));
                    continue;
                }
                Wanted::Wait(at) => waits[1] = at,
            }
            let mut again = false;
            for slot in 0..self.others.len() {
                match self.others[slot].poll(now) {
                    Wanted::Transmit(stanza) => {
                        self.say(stanza);
                        again = true;
                        break;
                    }
                    Wanted::Request { tag, request } => {
                        self.put(now, request, Owner::Other(slot, tag));
                        again = true;
                        break;
                    }
                    Wanted::Wait(at) => waits.push(at),
                }
            }
            if !again {
                let due = self.outstanding.due().into_iter();
                return Err(due.chain(waits.into_iter().flatten()).min());
            }
        }
    }

    /// What happened with our things.
    pub(super) fn event(&mut self) -> Option<HostEvent> {
        self.events.pop_front()
    }
}

/// Events that wait to be told; the oldest go.
const MOST_EVENTS: usize = 256;

fn note(events: &mut VecDeque<HostEvent>, event: HostEvent) {
    if events.len() >= MOST_EVENTS {
        events.pop_front();
    }
    events.push_back(event);
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use stanchion_reliability::store::WallTime;
    use stanchion_services::allowed::Allowed;
    use stanchion_stanza::payload::control::{Parameter, Value as SettingValue};
    use stanchion_stanza::payload::sensordata::{Profile, Request as Readout};

    use super::*;
    use crate::adapter::{AdapterEvent, Report};
    use crate::host::{Access, Grant, HostConfig, Job};
    use crate::model::{ParameterKind, ParameterSpec, ThingSpec};

    const NOW: Now = Now {
        monotonic: Duration::from_secs(1),
        wall: WallTime::from_unix_ms(1_700_000_000_000),
    };

    fn name(name: &str) -> BareJid {
        name.parse().unwrap()
    }

    /// A desk with a lamp that may be set by those; and how often it is set.
    fn desk(who: Allowed) -> (Desk, Arc<Mutex<usize>>) {
        let set = Arc::<Mutex<usize>>::default();
        let count = Arc::clone(&set);
        let config = HostConfig {
            access: Access::nobody().with(Grant::to_all(who)),
            ..HostConfig::default()
        };
        let jobs = move |job: Job| {
            *count.lock().unwrap() += usize::from(matches!(job, Job::Set { .. }));
            Ok(())
        };
        let mut host = host::State::new(config, Box::new(jobs));
        let on = ParameterSpec::new(Text::from_static("on"), ParameterKind::Boolean);
        let lamp = ThingSpec::new(Text::from_static("lamp")).with_parameter(on);
        let report = Report::Things(vec![lamp]);
        let adapter = Arc::from("lamp");
        host.take(NOW, AdapterEvent { adapter, report });
        let desk = Desk::new(NOW, name("lamp@hall"), Some(host), Vec::new(), 7);
        (desk, set)
    }

    fn set(profile: Profile) -> Element {
        let on = Parameter {
            name: Text::from_static("on"),
            value: SettingValue::Boolean(true),
        };
        let set = Set {
            parameters: vec![on],
            ..Set::default()
        };
        set.to_element_in(profile)
    }

    fn iq(kind: IqKind, from: Option<&str>) -> Stanza {
        let header = stanchion_stanza::stanza::Header {
            id: Some(Text::from_static("1")),
            from: from.map(|from| from.parse().unwrap()),
            ..Default::default()
        };
        Stanza::Iq(Iq { header, kind })
    }

    fn said(desk: &mut Desk) -> Vec<Stanza> {
        let mut said = Vec::new();
        while let Ok(act) = desk.poll(NOW) {
            if let Act::Say { stanza, .. } = act {
                said.push(stanza);
            }
        }
        said
    }

    #[test]
    fn who_is_known_sets_in_its_own_name_whatever_it_claims() {
        let (mut lamp, set_times) = desk(Allowed::accounts([name("phone@pocket")]));
        let phone = Speaker::pinned(&name("phone@pocket"));
        lamp.hear(NOW, &phone, iq(IqKind::Set(set(Profile::Nf)), None));
        assert_eq!(*set_times.lock().unwrap(), 1);
        let other = Speaker::pinned(&name("other@pocket"));
        for claims in [None, Some("phone@pocket"), Some("lamp@hall")] {
            lamp.hear(NOW, &other, iq(IqKind::Set(set(Profile::Nf)), claims));
            let Some(Stanza::Iq(answer)) = said(&mut lamp).pop() else {
                panic!("no answer")
            };
            assert!(matches!(answer.kind, IqKind::Error(..)), "{claims:?}");
        }
        assert_eq!(*set_times.lock().unwrap(), 1);
    }

    #[test]
    fn a_command_that_acts_once_is_sent_back_between_neighbours() {
        let (mut lamp, set_times) = desk(Allowed::accounts([name("phone@pocket")]));
        let phone = Speaker::pinned(&name("phone@pocket"));
        let command = stanchion_stanza::payload::thing_command::Command { by: None };
        let message = Message::chat(name("lamp@hall").into())
            .with_payload(set(Profile::Nf))
            .with_payload(command.to_element());
        lamp.hear(NOW, &phone, Stanza::Message(message));
        assert_eq!(*set_times.lock().unwrap(), 0);
        assert!(
            matches!(&said(&mut lamp)[..], [Stanza::Message(m)] if m.kind == MessageType::Error)
        );
    }

    #[test]
    fn nobody_answers_for_whom_was_asked() {
        let (mut phone, _) = desk(Allowed::Nobody);
        let (waiter, mut answer) = Waiter::new();
        let asked = Request::get(Some(name("lamp@yard").into()), set(Profile::Nf));
        phone.ask(NOW, asked, waiter);
        let Ok(Act::Ask { id, .. }) = phone.poll(NOW) else {
            panic!("nothing is asked")
        };
        let mut result = Iq::get(None, Text::new(id).unwrap(), &DiscoInfo::default()).result(None);
        for other in [
            Speaker::pinned(&name("other@yard")),
            Speaker::plain(1, None).unwrap(),
        ] {
            result.header.from = Some(name("lamp@yard").into());
            phone.hear(NOW, &other, Stanza::Iq(result.clone()));
            assert!(answer.try_recv().is_err());
        }
        result.header.from = None;
        phone.hear(
            NOW,
            &Speaker::pinned(&name("lamp@yard")),
            Stanza::Iq(result),
        );
        assert_eq!(answer.try_recv().unwrap(), Ok(None));
    }

    #[test]
    fn what_was_asked_of_one_that_is_lost_is_lost() {
        let (mut phone, _) = desk(Allowed::Nobody);
        let (waiter, mut answer) = Waiter::new();
        let asked = Request::get(Some(name("lamp@yard").into()), set(Profile::Nf));
        phone.ask(NOW, asked, waiter);
        said(&mut phone);
        phone.lost(NOW, &name("other@yard"));
        assert!(answer.try_recv().is_err());
        phone.lost(NOW, &name("lamp@yard"));
        assert_eq!(answer.try_recv().unwrap(), Err(RequestError::Lost));
    }

    proptest! {
        /// The lamp may be set by anybody, and is not.
        #[test]
        fn plaintext_never_actuates(
            profile in proptest::sample::select(Profile::ALL.to_vec()),
            shape in 0..5_u8,
            dialled: bool,
            from in proptest::sample::select(vec![None, Some("lamp@hall"), Some("phone@pocket")]),
        ) {
            let (mut lamp, set_times) = desk(Allowed::Anybody);
            let whom = name("phone@pocket");
            let speaker = Speaker::plain(3, dialled.then_some(&whom)).unwrap();
            let chat = || Message::chat(name("lamp@hall").into());
            let read = Readout { id: 5.into(), ..Readout::default() }.to_element_in(profile);
            let mut stanza = match shape {
                0 => iq(IqKind::Set(set(profile)), from),
                1 => iq(IqKind::Get(set(profile)), from),
                2 => Stanza::Message(chat().with_payload(set(profile))),
                3 => Stanza::Message(chat().with_payload(read).with_payload(set(profile))),
                _ => iq(IqKind::Result(Some(set(profile))), from),
            };
            if let Stanza::Message(message) = &mut stanza {
                message.header.from = from.map(|from| from.parse().unwrap());
            }
            lamp.hear(NOW, &speaker, stanza);
            said(&mut lamp);
            prop_assert_eq!(*set_times.lock().unwrap(), 0);
        }
    }
}
