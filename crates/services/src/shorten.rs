//! Texts of others, cut to what is worth remembering.

use stanchion_stanza::Text;

/// At most that many bytes of a text that somebody sent; none of an empty one.
pub(crate) fn shortened(text: &str, most: usize) -> Option<Text> {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Text::new(&text[..end]).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(shortened("a\u{e9}b", 2).as_deref(), Some("a"));
        assert_eq!(shortened("a\u{e9}b", 3).as_deref(), Some("a\u{e9}"));
        assert_eq!(shortened("ab", 9).as_deref(), Some("ab"));
        assert_eq!(shortened("\u{e9}", 1), None);
    }
}
