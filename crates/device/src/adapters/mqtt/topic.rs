//! Topic names and filters (MQTT 3.1.1 §4.7): what is one, and what matches.

/// The longest topic that is taken, in bytes; MQTT itself has 65535.
pub(super) const MAX_TOPIC: usize = 1024;

/// Whether something may be published there.
pub(super) fn is_name(topic: &str) -> bool {
    (1..=MAX_TOPIC).contains(&topic.len()) && !topic.contains(['+', '#', '\0'])
}

/// Whether that may be subscribed to.
pub(super) fn is_filter(filter: &str) -> bool {
    if !(1..=MAX_TOPIC).contains(&filter.len()) || filter.contains('\0') {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        let lone = matches!(level, "+") || (level == "#" && last);
        if !lone && level.contains(['+', '#']) {
            return false;
        }
    }
    true
}

/// Whether a filter takes in a topic. Wildcards do not match what begins with `$` (§4.7.2).
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    for level in filter.split('/') {
        match (level, names.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_whole_levels() {
        assert!(matches("a/+/c", "a/b/c"));
        assert!(!matches("a/+/c", "a/b/d/c"));
        assert!(matches("a/#", "a/b/c") && matches("a/#", "a"));
        assert!(matches("#", "ä/b"));
        assert!(!matches("#", "$SYS/load") && matches("$SYS/#", "$SYS/load"));
        assert!(!matches("a/b", "a/b/c") && !matches("a/b/c", "a/b"));
    }

    #[test]
    fn what_is_no_filter_is_known() {
        for good in ["#", "+", "a/+/b", "a/#", "/", "+/+/#"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "#/a", "a/b+", "a\0b"] {
            assert!(!is_filter(bad), "{bad}");
        }
        assert!(is_name("a/b") && !is_name("a/+") && !is_name(""));
    }
}
