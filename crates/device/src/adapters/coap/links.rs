//! Which resources a server says that it has (RFC 6690): the links of `/.well-known/core`.
//! Without socket and clock.

/// Links that are looked at.
const MOST_LINKS: usize = 512;

/// A resource of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Its path, from `/` on.
    pub(super) path: String,
    /// Whether it can be observed (RFC 7641 §6).
    pub(super) observable: bool,
    /// Whether it says that it has plain text (`ct=0`), or does not say what it has.
    pub(super) text: bool,
}

/// The links of a document. What cannot be read is left out, and so are links to elsewhere.
pub(super) fn parse(document: &str) -> Vec<Link> {
    let parts = split(document, ',');
    parts.take(MOST_LINKS).filter_map(link).collect()
}

fn link(text: &str) -> Option<Link> {
    let mut parts = split(text, ';').map(str::trim);
    let target = parts.next()?.strip_prefix('<')?.strip_suffix('>')?;
    if !target.starts_with('/') || target.starts_with("//") {
        return None;
    }
    let mut link = Link {
        path: target.to_owned(),
        observable: false,
        text: true,
    };
    for part in parts {
        match part.split_once('=') {
            None if part == "obs" => link.observable = true,
            Some(("obs", _)) => link.observable = true,
            Some(("ct", formats)) => {
                let mut formats = formats.trim_matches('"').split(' ');
                link.text = formats.any(|format| format == "0");
            }
            _ => {}
        }
    }
    Some(link)
}

/// The parts between separators, but for those in quotes and in `<…>`.
fn split(text: &str, by: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped, mut target) = (false, false, false);
    text.split(move |c: char| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match c {
            '\\' if quoted => escaped = true,
            '"' if !target => quoted = !quoted,
            '<' if !quoted => target = true,
            '>' if !quoted => target = false,
            _ => return c == by && !quoted && !target,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_of_the_server_s_own_are_found_whatever_is_in_their_titles() {
        let document = concat!(
            r#"</>;title="General, Info; all";ct=0,</time>;rt="ticks";ct=0;obs,"#,
            r#"</big>;ct="40 50",<coap://elsewhere/x>,<//other/y>,</a,b>;title="\",</no>""#
        );
        let found = parse(document);
        let paths: Vec<_> = found.iter().map(|link| &*link.path).collect();
        assert_eq!(paths, ["/", "/time", "/big", "/a,b"]);
        assert!(found[1].observable && found[1].text);
        assert!(!found[2].text);
        assert!(found[3].text && !found[3].observable);
    }

    proptest! {
        #[test]
        fn no_document_panics(document in "[<>/a-c,;=\"\\\\ ]{0,60}") {
            for link in parse(&document) {
                prop_assert!(link.path.starts_with('/'));
            }
        }
    }
}
