//! Walks at random: each run is a seed, and each seed another world, from a calm one to
//! one in which everything fails and both sides are restored over and over. The laws hold
//! at every step, and from wherever a run ends everything must come to an outcome.

use stanchion_reliability::delivery::sender::WINDOW;
use stanchion_stanza::payload::delivery::IdPrefix;
use stanchion_testkit::Random;

use crate::pair::{Action, Options, Pair, Verdictable};

/// Rounds without a fault after which every message has an outcome, and as many more as
/// there are messages: a sender may keep one alone in memory.
const ROUNDS: usize = 20;

/// What happens how often, in thousandths of the steps.
#[derive(Debug, Clone)]
struct Weather {
    messages: usize,
    steps: u64,
    crashes: u64,
    sender_restores: u64,
    receiver_restores: u64,
    reinstalls: u64,
    refusals: u64,
    deadlines: u64,
    copies: u32,
    losses: u64,
    on_their_way: usize,
    /// What arrives is handed over at once, in thousandths.
    eager: u32,
    /// Moments in which nothing fails.
    calms: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) steps: u64,
    pub(crate) messages: u64,
    pub(crate) delivered: u64,
    pub(crate) not_delivered: u64,
    pub(crate) rolled_back: u64,
    pub(crate) peer_reset: u64,
    pub(crate) rounds: usize,
}

impl Seen {
    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.messages += other.messages;
        self.delivered += other.delivered;
        self.not_delivered += other.not_delivered;
        self.rolled_back += other.rolled_back;
        self.peer_reset += other.peer_reset;
        self.rounds = self.rounds.max(other.rounds);
    }
}

/// A law that is broken, and where.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) law: String,
    pub(crate) steps: u64,
}

/// Few messages, and a sender that is restored again and again: rotation upon rotation.
fn forking_weather(random: &mut Random) -> Weather {
    let restores = 8 + random.below(30);
    Weather {
        messages: 3 + random.below(20) as usize,
        steps: 100 + random.below(400),
        crashes: *random.pick(&[0, 0, 8]),
        sender_restores: restores,
        receiver_restores: *random.pick(&[0, 0, 0, 8]),
        reinstalls: 0,
        refusals: 0,
        deadlines: *random.pick(&[0, 0, 20]),
        copies: *random.pick(&[50, 300, 500]),
        losses: *random.pick(&[0, 40]),
        on_their_way: *random.pick(&[20, 60]),
        eager: *random.pick(&[100, 600]),
        calms: *random.pick(&[0, 20, 100, 300]),
    }
}

fn any_weather(random: &mut Random) -> Weather {
    if random.chance(350) {
        return forking_weather(random);
    }
    let many = random.chance(30);
    let or_none = |random: &mut Random, most: u64| {
        if random.chance(500) {
            random.below(most) + 1
        } else {
            0
        }
    };
    Weather {
        // Enough to leave the window behind.
        messages: if many {
            WINDOW as usize + 24
        } else {
            1 + random.below(6) as usize
        },
        steps: if many { 1200 } else { 40 + random.below(260) },
        crashes: or_none(random, 40),
        sender_restores: or_none(random, 25),
        receiver_restores: if random.chance(400) {
            or_none(random, 20)
        } else {
            0
        },
        reinstalls: if random.chance(300) {
            or_none(random, 15)
        } else {
            0
        },
        refusals: or_none(random, 10),
        deadlines: or_none(random, 60),
        copies: *random.pick(&[0, 100, 300, 700]),
        losses: or_none(random, 80),
        on_their_way: *random.pick(&[6, 20, 60]),
        eager: *random.pick(&[200, 700]),
        calms: 0,
    }
}

fn any_options(random: &mut Random, fault: Option<&'static str>) -> Options {
    Options {
        unordered: random.chance(150),
        plain: random.chance(400),
        in_memory: *random.pick(&[1, 2, 4, 100, 100]),
        arrives_once: true,
        fault,
    }
}

/// One run.
pub(crate) fn run(seed: u64, fault: Option<&'static str>, tell: bool) -> Result<Seen, Broken> {
    let mut random = Random::new(seed);
    let weather = any_weather(&mut random);
    let options = any_options(&mut random, fault);
    if tell {
        println!("{weather:?} {options:?}");
    }
    let mut pair = Pair::new(options, weather.receiver_restores > 0);
    let mut steps = 0;
    let mut choices = Vec::new();
    let fails = |law, steps| Broken { law, steps };
    while steps < weather.steps {
        choices.clear();
        choose(&pair, &weather, &mut random, &mut choices);
        let Some(action) = draw(&choices, &mut random) else {
            break;
        };
        steps += 1;
        if tell {
            if let Action::Arrive { index, .. } | Action::Lose(index) = action {
                println!("{steps}: {action:?} {:?}", pair.network[index]);
            } else {
                println!("{steps}: {action:?}");
            }
        }
        pair.step(action).map_err(|law| fails(law, steps))?;
        if random.chance(weather.calms) && pair.both_live() {
            // All goes well for a while; copies of what was on its way stay there.
            let copies = pair.network.clone();
            pair.progress().map_err(|law| fails(law, steps))?;
            pair.network.extend(copies);
        }
        while pair.network.len() > weather.on_their_way {
            let lost = random.below(pair.network.len() as u64) as usize;
            pair.network.swap_remove(lost);
        }
    }
    let mut seen = Seen {
        steps,
        messages: pair.ledger.messages.len() as u64,
        ..Seen::default()
    };
    seen.rounds = pair
        .clone()
        .settle(ROUNDS + pair.ledger.messages.len())
        .map_err(|law| fails(law, steps))?;
    for message in &pair.ledger.messages {
        use crate::pair::ledger::Outcome::{Delivered, NotDelivered, PeerReset, RolledBack};
        match message.told {
            Some(Delivered) => seen.delivered += 1,
            Some(NotDelivered) => seen.not_delivered += 1,
            Some(RolledBack) => seen.rolled_back += 1,
            Some(PeerReset) => seen.peer_reset += 1,
            _ => {}
        }
    }
    Ok(seen)
}

fn draw(choices: &[(u64, Action)], random: &mut Random) -> Option<Action> {
    let all = choices.iter().map(|(weight, _)| weight).sum();
    if all == 0 {
        return None;
    }
    let mut at = random.below(all);
    for (weight, action) in choices {
        if at < *weight {
            return Some(*action);
        }
        at -= weight;
    }
    None
}

/// What can happen now, each with its weight.
fn choose(pair: &Pair, weather: &Weather, random: &mut Random, to: &mut Vec<(u64, Action)>) {
    if pair.sender.life.is_some() {
        sender(pair, weather, random, to);
    } else {
        to.push((150, Action::StartSender));
    }
    if pair.receiver.life.is_some() {
        receiver(pair, weather, random, to);
    } else {
        to.push((150, Action::StartReceiver));
    }
    if !pair.network.is_empty() {
        let most = pair.network.len() as u64;
        // Most often the newest; sometimes one from days ago.
        let index = if random.chance(400) {
            most - 1
        } else {
            random.below(most)
        } as usize;
        let for_receiver = pair.network[index].is_for_receiver();
        let up = if for_receiver {
            pair.receiver.life.is_some()
        } else {
            pair.sender.life.is_some()
        };
        if up {
            let arrive = Action::Arrive {
                index,
                copy: random.chance(weather.copies),
                eager: random.chance(weather.eager),
            };
            to.push((350, arrive));
        }
        to.push((weather.losses, Action::Lose(index)));
    }
    if weather.reinstalls > 0 {
        to.push((weather.reinstalls, Action::Reinstall));
    }
}

fn sender(pair: &Pair, weather: &Weather, random: &mut Random, to: &mut Vec<(u64, Action)>) {
    let sender = &pair.sender;
    if pair.ledger.messages.len() < weather.messages {
        let weight = if weather.messages > 20 { 400 } else { 80 };
        let load = random.chance(850);
        to.push((weight, Action::Accept { load }));
    }
    if !sender.pending.is_empty() {
        to.push((150, Action::SyncSender));
        if pair.may_refuse() {
            to.push((weather.refusals, Action::Refuse));
        }
    }
    let undurable = sender.undurable();
    if !undurable.is_empty() {
        let one = random.chance(300).then(|| *random.pick(&undurable));
        to.push((60, Action::Flush(one)));
    }
    if sender.may_load(pair.options.in_memory) {
        to.push((60, Action::Load));
    }
    if sender.is_closing() {
        to.push((150, Action::SendClose));
    }
    let places = sender.places();
    if !places.is_empty() {
        let place = *random.pick(&places);
        let due = sender.id(place).filter(|id| pair.ledger.get(*id).due);
        if pair.may_transmit(place) {
            if pair.was_sent(place) {
                // Clocks are arbitrary: either, at any time once it is due.
                let cancels = if due.is_some() { 200 } else { 0 };
                to.push((cancels, Action::Cancel(place)));
            }
            to.push((200, Action::Transmit(place)));
        }
        if due.is_some() && pair.may_expire(place) {
            to.push((150, Action::Expire(place)));
        }
        if due.is_none()
            && let Some(id) = sender.id(place)
        {
            to.push((weather.deadlines, Action::Due(id)));
        }
    }
    to.push((weather.crashes, Action::CrashSender));
    if weather.sender_restores > 0 {
        if sender.backups.len() < 4 {
            to.push((20, Action::BackUpSender));
        }
        if !sender.backups.is_empty() {
            let backup = random.below(sender.backups.len() as u64) as usize;
            to.push((weather.sender_restores, Action::RestoreSender(backup)));
        }
    }
}

fn receiver(pair: &Pair, weather: &Weather, random: &mut Random, to: &mut Vec<(u64, Action)>) {
    let receiver = &pair.receiver;
    if !receiver.pending.is_empty() {
        to.push((200, Action::SyncReceiver));
    }
    if receiver.may_hand_over(pair.options.unordered) {
        to.push((60, Action::HandOver));
        to.push((weather.deadlines / 4, Action::Late));
    }
    if let Some(first) = receiver.given() {
        // An application that takes one after the other, where order matters.
        let key = if pair.options.unordered {
            *random.pick(&receiver.all_given())
        } else {
            first
        };
        let verdict = match (random.chance(120), pair.options.plain) {
            (false, _) => Verdictable::Delivered,
            (true, true) => Verdictable::GivenUp,
            (true, false) => Verdictable::Rejected,
        };
        to.push((120, Action::Conclude(key, verdict)));
    }
    to.push((weather.crashes, Action::CrashReceiver));
    if weather.receiver_restores > 0 {
        if receiver.backups.len() < 4 {
            to.push((20, Action::BackUpReceiver));
        }
        if !receiver.backups.is_empty() {
            let backup = random.below(receiver.backups.len() as u64) as usize;
            to.push((weather.receiver_restores, Action::RestoreReceiver(backup)));
        }
    }
}

/// A world in which nothing fails and each message is transmitted once: `low` that rises
/// must be told, or a receiver waits for what will never come.
pub(crate) fn run_calm(seed: u64, fault: Option<&'static str>) -> Result<Seen, Broken> {
    let mut random = Random::new(seed);
    let mut options = any_options(&mut random, fault);
    options.in_memory = 100;
    let mut pair = Pair::new(options, false);
    let fails = |law, steps| Broken { law, steps };
    let messages = 2 + random.below(6);
    for _ in 0..messages {
        pair.step(Action::Accept { load: true })
            .map_err(|law| fails(law, 0))?;
    }
    while !pair.sender.pending.is_empty() {
        pair.step(Action::SyncSender).map_err(|law| fails(law, 0))?;
    }
    let mut once: Vec<u64> = (1..=messages).collect();
    let mut steps = 0;
    while !once.is_empty() {
        let mut choices = Vec::new();
        let at = random.below(once.len() as u64) as usize;
        // One of them is given up before it is sent.
        let place = once[at];
        if random.chance(300) {
            let id = IdPrefix::from_bits(place);
            pair.ledger.get_mut(id).due = true;
            choices.push((1, Action::Expire(place)));
        } else {
            choices.push((1, Action::Transmit(place)));
        }
        once.swap_remove(at);
        if let Some(action) = draw(&choices, &mut random) {
            pair.step(action).map_err(|law| fails(law, steps))?;
        }
        for _ in 0..random.below(12) {
            let mut choices = Vec::new();
            if !pair.network.is_empty() {
                let index = random.below(pair.network.len() as u64) as usize;
                let arrive = Action::Arrive {
                    index,
                    copy: false,
                    eager: random.chance(500),
                };
                choices.push((3, arrive));
            }
            let pending = [
                (!pair.sender.pending.is_empty(), Action::SyncSender),
                (!pair.receiver.pending.is_empty(), Action::SyncReceiver),
                (pair.sender.has_undurable(), Action::Flush(None)),
                (
                    pair.receiver.may_hand_over(pair.options.unordered),
                    Action::HandOver,
                ),
            ];
            choices.extend(pending.iter().filter(|p| p.0).map(|p| (2, p.1)));
            if let Some(key) = pair.receiver.given() {
                choices.push((2, Action::Conclude(key, Verdictable::Delivered)));
            }
            if let Some(action) = draw(&choices, &mut random) {
                steps += 1;
                pair.step(action).map_err(|law| fails(law, steps))?;
            }
        }
    }
    pair.rest().map_err(|law| fails(law, steps))?;
    if pair.ledger.all_told() {
        Ok(Seen {
            steps,
            messages,
            ..Seen::default()
        })
    } else {
        Err(fails(
            "every message has an outcome, without a second transmission where nothing fails"
                .to_owned(),
            steps,
        ))
    }
}
