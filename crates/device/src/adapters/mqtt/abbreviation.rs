//! The short names of Home Assistant's discovery, and `~`: an announcement as if it had been
//! written out. What it says is [`discovery`](super::discovery)'s. Sans-IO.

use serde_json::{Map, Value as Json};

/// Short names, and what they stand for.
pub(super) const SHORT: &[(&str, &str)] = &[
    ("avty", "availability"),
    ("avty_mode", "availability_mode"),
    ("avty_t", "availability_topic"),
    ("avty_tpl", "availability_template"),
    ("bri_cmd_t", "brightness_command_topic"),
    ("bri_cmd_tpl", "brightness_command_template"),
    ("bri_scl", "brightness_scale"),
    ("bri_stat_t", "brightness_state_topic"),
    ("bri_val_tpl", "brightness_value_template"),
    ("cmd_t", "command_topic"),
    ("cmd_tpl", "command_template"),
    ("cmps", "components"),
    ("cns", "connections"),
    ("dev", "device"),
    ("dev_cla", "device_class"),
    ("exp_aft", "expire_after"),
    ("ids", "identifiers"),
    ("ops", "options"),
    ("p", "platform"),
    ("pl_avail", "payload_available"),
    ("pl_not_avail", "payload_not_available"),
    ("pl_off", "payload_off"),
    ("pl_on", "payload_on"),
    ("pl_prs", "payload_press"),
    ("ret", "retain"),
    ("stat_cla", "state_class"),
    ("stat_off", "state_off"),
    ("stat_on", "state_on"),
    ("stat_t", "state_topic"),
    ("stat_val_tpl", "state_value_template"),
    ("t", "topic"),
    ("uniq_id", "unique_id"),
    ("unit_of_meas", "unit_of_measurement"),
    ("val_tpl", "value_template"),
];

/// The same with long names, and with `~` replaced in topics; one level deep, and a level
/// more in `device` and `availability`.
pub(super) fn expanded(options: Map<String, Json>) -> Map<String, Json> {
    let base = options.get("~").and_then(Json::as_str).map(str::to_owned);
    let mut long = expanded_by(options, base.as_deref());
    if let Some(Json::Object(device)) = long.get_mut("device") {
        *device = expanded_by(std::mem::take(device), None);
    }
    if let Some(Json::Array(list)) = long.get_mut("availability") {
        for one in list {
            if let Json::Object(one) = one {
                *one = expanded_by(std::mem::take(one), base.as_deref());
            }
        }
    }
    long
}

fn expanded_by(options: Map<String, Json>, base: Option<&str>) -> Map<String, Json> {
    let mut long = Map::new();
    for (key, mut value) in options {
        let full = SHORT.iter().find(|(short, _)| *short == key);
        let key = full.map_or(key, |(_, full)| (*full).to_owned());
        if let (Some(base), Json::String(text)) = (base, &mut value)
            && key.ends_with("topic")
        {
            if let Some(rest) = text.strip_prefix('~') {
                *text = format!("{base}{rest}");
            } else if let Some(rest) = text.strip_suffix('~') {
                *text = format!("{rest}{base}");
            }
        }
        long.insert(key, value);
    }
    long
}
