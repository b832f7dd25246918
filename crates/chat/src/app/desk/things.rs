//! Things of others: watched as long as the desk is there, asked what can be set, and set.

use std::sync::Arc;
use std::time::Duration;

use stanchion::Jid;
use stanchion::device::model::{Node, Sample, Setting};
use stanchion::device::remote::{Command, ReadError, SetError, Watch, WatchEvent};
use stanchion::stanza::payload::forms::{Field, FieldType, Form};
use stanchion::stanza::{Element, Text};
use tokio::time::Instant;

use super::super::event::Event;
use super::super::thing::{Control, ControlKind, ThingKey};
use super::{Held, keeping, telling};
use crate::exit::one_line;
use crate::things::value::Type;

/// A person sees no more than so much of something that changes all the time.
const PACE: Duration = Duration::from_millis(250);
/// Between two notices that something was left out.
const SELDOM: Duration = Duration::from_secs(60);

/// Watches all that is behind an address, until it is dropped.
pub(super) async fn watch(held: Arc<Held>, jid: Jid) {
    let mut watch = Watch::all();
    watch.min_interval = Some(PACE);
    let mut watching = held.client.things().watch(&jid, watch);
    let of = jid.to_bare();
    let mut said: Option<Instant> = None;
    loop {
        match watching.next().await {
            Ok(WatchEvent::Values(part)) => {
                let mut samples: Vec<Sample> = Vec::new();
                for one in part.values.into_iter().map(keeping::sample) {
                    // The fields of one moment belong together.
                    match samples.last_mut() {
                        Some(last) if last.thing == one.thing && last.at == one.at => {
                            last.readings.extend(one.readings);
                        }
                        _ => samples.push(one),
                    }
                }
                keeping::readings(&held, &jid, samples).await;
            }
            Ok(WatchEvent::Interrupted(error)) => {
                let why = Some(one_line(&error));
                let of = of.clone();
                held.tell(Event::Silent { of, why }).await;
            }
            Ok(WatchEvent::Subscribed { .. } | WatchEvent::Polling { .. }) => {
                let of = of.clone();
                held.tell(Event::Silent { of, why: None }).await;
            }
            // The newest of each value is there, but plots have gaps.
            Ok(WatchEvent::Coalesced(_) | WatchEvent::Missed(_)) => {
                if said.is_none_or(|at| at.elapsed() >= SELDOM) {
                    said = Some(Instant::now());
                    let text = format!("{jid} tells faster than is kept here: plots have gaps");
                    held.tell(telling::failure(text)).await;
                }
            }
            Ok(_) => {}
            Err(error) => return held.failed(&format!("{jid} is not watched"), &error).await,
        }
    }
}

/// Asks what can be set.
pub(super) async fn controls(held: &Held, of: ThingKey) {
    match form(held, &of).await {
        Ok(form) => {
            let controls = form.fields.iter().filter_map(control).collect();
            held.tell(Event::Controls { of, controls }).await;
        }
        Err(error) => {
            let what = format!("what can be set at {of}");
            held.failed(&what, &error).await;
        }
    }
}

async fn form(held: &Held, of: &ThingKey) -> Result<Form, ReadError> {
    let node = (!of.thing.is_empty()).then(|| Node::new(of.thing.clone()));
    let jid = of.account.clone().into();
    held.client.things().form(&jid, node).await
}

/// Sets a parameter, and tells what became of it.
pub(super) async fn set(held: &Held, of: ThingKey, parameter: Text, value: String) {
    let what = format!("{parameter} = {value}");
    let told = |outcome| Event::Commanded {
        of: of.clone(),
        what: what.clone(),
        outcome,
    };
    held.tell(told(None)).await;
    let kind = match form(held, &of).await {
        Ok(form) => Type::in_form(&form, &parameter),
        Err(_) => None,
    };
    let value = match kind.unwrap_or_else(|| Type::like(&value)).read(&value) {
        Ok(value) => value,
        Err(why) => return held.tell(told(Some(Err(why)))).await,
    };
    let setting = Setting {
        name: parameter,
        value,
    };
    let mut command = Command::set(setting.name, setting.value);
    if !of.thing.is_empty() {
        command = command.of(of.thing.clone());
    }
    let jid = of.account.clone().into();
    let outcome = match held.client.things().set(&jid, command).await {
        Ok(done) => Ok(done.text),
        Err(error) => {
            let why = one_line(&error);
            if matches!(error, SetError::InDoubt { .. }) {
                let text = format!("{of}: {what}: {why}");
                held.tell(telling::failure(text)).await;
            }
            Err(why)
        }
    };
    held.tell(told(Some(outcome))).await;
}

/// A field of a form as something that can be set.
fn control(field: &Field) -> Option<Control> {
    let name = field.var.clone()?;
    let rules = field.extensions.iter();
    let rules = rules.clone().find(|e| e.name() == "validate");
    let data_type = rules.and_then(|e| e.attr("datatype")).unwrap_or_default();
    let data_type = data_type.rsplit(':').next().unwrap_or_default();
    let kind = match field.kind {
        Some(FieldType::Boolean) => ControlKind::Switch,
        Some(FieldType::ListSingle) => {
            let options = field.options.iter().map(|option| {
                let label = option.label.as_ref().unwrap_or(&option.value);
                (option.value.to_string(), label.to_string())
            });
            ControlKind::Choice(options.collect())
        }
        Some(FieldType::Fixed | FieldType::Hidden) => return None,
        _ => match data_type {
            "boolean" => ControlKind::Switch,
            "int" | "integer" | "long" | "short" | "byte" => number(rules, true),
            "double" | "decimal" | "float" => number(rules, false),
            _ => ControlKind::Text,
        },
    };
    let label = field.label.as_ref().unwrap_or(&name).to_string();
    let now = field.values.first().map(ToString::to_string);
    Some(Control {
        name,
        label,
        kind,
        now,
    })
}

fn number(rules: Option<&Element>, whole: bool) -> ControlKind {
    let range = rules.and_then(|rules| rules.children().find(|e| e.name() == "range"));
    let bound = |name| range.and_then(|range| range.attr(name)?.parse().ok());
    ControlKind::Number {
        min: bound("min"),
        max: bound("max"),
        whole,
    }
}
