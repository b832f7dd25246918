//! What a person says with Enter, and what they are asked.

use super::command;
use super::dialog::{Question, Reply};
use super::input::Line;
use super::screen::{Do, Over, Screen};
use super::search::{self, Search};
use super::subject::Subject;
use crate::app::{Answer, Model, Order, Severity};

impl Screen {
    pub(super) fn send(&mut self, model: &Model, deeds: &mut Vec<Do>) {
        let text = self.line.text().trim_end().to_owned();
        if text.trim().is_empty() {
            return;
        }
        let said = match text.strip_prefix('/') {
            Some(command) if !command.starts_with('/') && !command.starts_with("me ") => {
                match command::meaning(command, self.open.as_ref(), model) {
                    Ok(meaning) => self.mean(meaning, deeds),
                    Err(wrong) => return self.tell(Severity::Failure, wrong),
                }
                let begun = self.sent.remember(&text);
                if self.line.text().trim_end() == text {
                    self.line = begun;
                }
                return;
            }
            Some(rest) if rest.starts_with('/') => rest.to_owned(),
            _ => text.clone(),
        };
        let Some(Subject::Talk(with)) = self.open.clone() else {
            let text = match self.open {
                Some(_) => "a thing does not listen: /set PARAMETER VALUE sets something",
                None => "open a conversation first: Ctrl-G, or /open name@domain",
            };
            return self.tell(Severity::Failure, text.to_owned());
        };
        self.line = self.sent.remember(&text);
        deeds.push(Do::Order(match self.correcting.take() {
            Some(_) => Order::Correct {
                with: with.clone(),
                text: said,
            },
            None => Order::Say {
                to: with.clone(),
                text: said,
            },
        }));
        let look = self.looks.entry(with).or_default();
        (look.bottom, look.new_from) = (None, None);
    }

    fn mean(&mut self, meaning: command::Meaning, deeds: &mut Vec<Do>) {
        match meaning {
            command::Meaning::Order(order) => deeds.push(Do::Order(order)),
            command::Meaning::Sure(text, order) => {
                self.over = Some(Over::Question(Question::sure(text, "Yes", order)));
            }
            command::Meaning::Open(subject, order) => {
                self.line.take();
                self.open(subject, deeds);
                self.enter();
                let opens = matches!(order, Some(Order::Open(_)));
                deeds.extend(order.filter(|_| !opens).map(Do::Order));
            }
            command::Meaning::Search(words) => self.search(words, deeds),
            command::Meaning::Help => self.over = Some(Over::Help(0)),
            command::Meaning::Quit => deeds.push(Do::Quit),
        }
    }

    pub(super) fn search(&mut self, words: String, deeds: &mut Vec<Do>) {
        let open = match &self.open {
            Some(Subject::Talk(with)) => Some(with.clone()),
            _ => None,
        };
        let mut search = Search {
            line: Line::of(&words),
            with: None,
            open,
            ..Search::default()
        };
        if let search::Came::Ask(order) = search.ask() {
            deeds.push(Do::Order(order));
        }
        self.over = Some(Over::Search(search));
    }

    // ---- questions ------------------------------------------------------------------

    /// What waits for an answer, in a line.
    pub(super) fn question_line(&self, model: &Model) -> Option<String> {
        let asked = model.asked.keys().find(|who| !self.later.contains(*who));
        if let Some(who) = asked {
            return Some(format!("{who} asks to see how you are"));
        }
        let mut invited = model.invited.iter();
        let (room, (by, _)) = invited.find(|(room, _)| !self.later.contains(*room))?;
        let by = by.as_deref().unwrap_or("somebody");
        Some(format!("{by} invites you to {room}"))
    }

    /// Puts the first question; those that were put off come last.
    pub(super) fn ask(&mut self, model: &Model) {
        let asked = model.asked.iter().map(|(who, text)| (who, Some(text)));
        let invited = model.invited.keys().map(|room| (room, None));
        let mut all: Vec<_> = asked.chain(invited).collect();
        all.sort_by_key(|(who, _)| self.later.contains(*who));
        let Some((who, text)) = all.first() else {
            return self.tell(Severity::Info, "nothing is asked".to_owned());
        };
        let who = (*who).clone();
        let later = Reply {
            key: 'l',
            word: "Later",
            orders: Vec::new(),
        };
        let reply = |key, word, order| Reply {
            key,
            word,
            orders: vec![order],
        };
        let (text, replies) = match text {
            Some(said) => {
                let said = match said.is_empty() {
                    true => String::new(),
                    false => format!("\nThey say: {said}"),
                };
                let answer = |answer| Order::Answer {
                    to: who.clone(),
                    answer,
                };
                let text = format!("May {who} see whether and how you are there?{said}");
                let accept = reply('a', "Accept, and ask for theirs", answer(Answer::Accept));
                let deny = reply('d', "Deny", answer(Answer::Deny));
                (text, vec![later, accept, deny])
            }
            None => {
                let invited = model.invited.get(&who);
                let (by, why) = invited.cloned().unwrap_or_default();
                let by = by.unwrap_or_else(|| "Somebody".to_owned());
                let why = why.filter(|why| !why.is_empty());
                let why = why.map(|why| format!("\nThey say: {why}"));
                let text = format!("{by} invites you to {who}.{}", why.unwrap_or_default());
                let join = Order::Join {
                    room: who.clone(),
                    nick: None,
                    password: None,
                };
                let decline = reply('d', "Decline", Order::Decline(who.clone()));
                (text, vec![later, reply('j', "Join", join), decline])
            }
        };
        // Whatever is answered, it is not put again by itself.
        self.later.insert(who);
        self.over = Some(Over::Question(Question {
            text,
            replies,
            at: 0,
        }));
    }
}
