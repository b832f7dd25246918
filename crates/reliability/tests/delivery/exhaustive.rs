//! Every walk there is, in a small world: few messages, a crash of each side, and a network
//! in which whatever was ever sent may arrive at any time, in any order, any number of
//! times, or never. That is what two servers are that lose, keep and repeat: a copy that
//! the first one holds for days, and one that the second one brings at once.

use stanchion_stanza::payload::delivery::IdPrefix;
use stateright::{Checker, Model, Property};

use crate::pair::{Action, Options, Pair, Verdictable};

/// What happens at most so many times.
#[derive(Debug, Clone)]
struct World {
    options: Options,
    messages: usize,
    crashes: u8,
    /// The messages that may become due.
    deadlines: u64,
    /// How often the sender is put back to a backup, which is made once, at any time.
    restores: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    pair: Pair,
    sender_crashes: u8,
    receiver_crashes: u8,
    restores: u8,
    broken: Option<String>,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            pair: Pair::new(self.options.clone(), false),
            sender_crashes: 0,
            receiver_crashes: 0,
            restores: 0,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        let pair = &state.pair;
        if pair.sender.life.is_none() {
            actions.push(Action::StartSender);
        } else {
            self.sender(state, actions);
        }
        if pair.receiver.life.is_none() {
            actions.push(Action::StartReceiver);
        } else {
            if !pair.receiver.pending.is_empty() {
                actions.push(Action::SyncReceiver);
            }
            if pair.receiver.may_hand_over(false) {
                actions.push(Action::HandOver);
            }
            if let Some(key) = pair.receiver.given() {
                actions.push(Action::Conclude(key, Verdictable::Delivered));
            }
            if state.receiver_crashes < self.crashes {
                actions.push(Action::CrashReceiver);
            }
        }
        for (index, stanza) in pair.network.iter().enumerate() {
            // Where the transaction of one is not durable, the next one waits.
            let up = if stanza.is_for_receiver() {
                pair.receiver.life.is_some() && pair.receiver.pending.is_empty()
            } else {
                pair.sender.life.is_some()
            };
            if up {
                actions.push(Action::Arrive {
                    index,
                    copy: true,
                    eager: false,
                });
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::CrashSender => state.sender_crashes += 1,
            Action::CrashReceiver => state.receiver_crashes += 1,
            Action::RestoreSender(_) => state.restores += 1,
            _ => {}
        }
        state.broken = state
            .pair
            .step(action)
            .and_then(|()| self.sync(&mut state))
            .err();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no law is broken", |_: &Self, state: &State| {
                state.broken.is_none()
            }),
            Property::always(
                "all comes to an outcome once faults stop",
                |_: &Self, state: &State| {
                    state.broken.is_some() || state.pair.clone().settle(20).is_ok()
                },
            ),
            Property::sometimes("all is delivered", |world: &Self, state: &State| {
                state.pair.ledger.messages.len() == world.messages && state.pair.ledger.all_told()
            }),
        ]
    }
}

impl World {
    /// Where no crash can come any more, what is not durable yet is as good as late.
    fn sync(&self, state: &mut State) -> Result<(), String> {
        let stays = state.sender_crashes == self.crashes && state.restores == self.restores;
        while stays && !state.pair.sender.pending.is_empty() {
            state.pair.step(Action::SyncSender)?;
        }
        while state.receiver_crashes == self.crashes && !state.pair.receiver.pending.is_empty() {
            state.pair.step(Action::SyncReceiver)?;
        }
        Ok(())
    }

    fn sender(&self, state: &State, actions: &mut Vec<Action>) {
        let (pair, sender) = (&state.pair, &state.pair.sender);
        if pair.ledger.messages.len() < self.messages {
            actions.push(Action::Accept { load: true });
        }
        if !sender.pending.is_empty() {
            actions.push(Action::SyncSender);
        }
        if sender.has_undurable() {
            actions.push(Action::Flush(None));
        }
        if sender.is_closing() {
            actions.push(Action::SendClose);
        }
        for place in sender.places() {
            let Some(id) = sender.id(place) else {
                continue;
            };
            let due = pair.ledger.get(id).due;
            if !due && id <= IdPrefix::from_bits(self.deadlines) {
                actions.push(Action::Due(id));
            }
            if due && pair.may_expire(place) {
                actions.push(Action::Expire(place));
            } else if pair.may_transmit(place) {
                actions.push(if due {
                    Action::Cancel(place)
                } else {
                    Action::Transmit(place)
                });
            }
        }
        if state.sender_crashes < self.crashes {
            actions.push(Action::CrashSender);
        }
        if state.restores < self.restores {
            actions.push(if sender.backups.is_empty() {
                Action::BackUpSender
            } else {
                Action::RestoreSender(0)
            });
        }
    }
}

fn check(world: World) -> usize {
    let told = format!("{world:?}");
    let checker = world
        .checker()
        .threads(std::thread::available_parallelism().map_or(1, usize::from))
        .spawn_bfs()
        .join();
    println!(
        "{told}: {} states, {} of them different",
        checker.state_count(),
        checker.unique_state_count()
    );
    checker.assert_properties();
    checker.unique_state_count()
}

fn world(plain: bool, messages: usize, crashes: u8, deadlines: u64, restores: u8) -> World {
    World {
        options: Options {
            unordered: false,
            plain,
            in_memory: 100,
            arrives_once: false,
            fault: None,
        },
        messages,
        crashes,
        deadlines,
        restores,
    }
}

#[test]
fn the_laws_of_delivery_hold_on_every_walk_with_one_message() {
    for plain in [false, true] {
        assert!(check(world(plain, 1, 1, 1, 0)) > 1000);
    }
    assert!(check(world(false, 1, 1, 1, 1)) > 1000);
}

#[test]
fn the_laws_of_delivery_hold_on_every_walk_with_a_restore_of_the_sender() {
    assert!(check(world(false, 2, 0, 0, 1)) > 10_000);
}

#[test]
#[ignore = "a minute or two: see docs/testing.md"]
fn the_laws_of_delivery_hold_on_every_walk_with_two_messages() {
    assert!(check(world(false, 2, 0, 1, 1)) > 50_000);
    for plain in [false, true] {
        assert!(check(world(plain, 2, 1, 1, 0)) > 100_000);
    }
}
