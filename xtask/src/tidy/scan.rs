//! Reading Rust source without compiling it: what is code, and what is a test.
//!
//! Comments and the insides of literals are blanked out, byte for byte, so
//! that line numbers stay and a word in a string is no finding.

use std::ops::Range;

/// The source with comments, strings and character literals made blank.
pub(super) fn code(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => comment_end(bytes, at),
            b'r' if !in_word(bytes, at) => raw_string_end(bytes, at).unwrap_or(at),
            b'"' => string_end(bytes, at, b'"'),
            b'\'' if is_char(bytes, at) => string_end(bytes, at, b'\''),
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    // Blanks replace whole literals, so what is left is still UTF-8.
    String::from_utf8_lossy(&out).into_owned()
}

/// The code without its tests: modules and items marked `#[cfg(test)]`.
pub(super) fn code_without_tests(source: &str) -> String {
    let mut code = code(source);
    for range in test_ranges(&code).into_iter().rev() {
        let blank: String = code[range.clone()]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        code.replace_range(range, &blank);
    }
    code
}

/// How many lines the source has, its `#[cfg(test)]` parts not counted.
pub(super) fn lines_without_tests(source: &str) -> usize {
    let tests: usize = test_ranges(&code(source))
        .into_iter()
        .map(|range| source[range].lines().count())
        .sum();
    source.lines().count() - tests
}

/// The line, from 1, of a byte offset.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// Byte offsets of `word` where it is not part of a longer name.
pub(super) fn find_words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            // A word that itself begins or ends with punctuation needs no border there.
            let starts_open = name(word.chars().next()) && name(code[..*at].chars().next_back());
            let ends_open =
                name(word.chars().next_back()) && name(code[at + word.len()..].chars().next());
            !starts_open && !ends_open
        })
}

/// From each `#[cfg(test)]` to the end of what it marks.
fn test_ranges(code: &str) -> Vec<Range<usize>> {
    const MARK: &str = "#[cfg(test)]";
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices(MARK) {
        if ranges.last().is_some_and(|last| last.end > start) {
            continue;
        }
        let mut depth = 0usize;
        let mut end = code.len();
        for (at, byte) in code.bytes().enumerate().skip(start + MARK.len()) {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                b';' => {}
                _ => continue,
            }
            if depth == 0 {
                end = at + 1;
                break;
            }
        }
        ranges.push(start..end);
    }
    ranges
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |n| at + n)
}

/// Block comments nest.
fn comment_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0usize;
    let mut at = at;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The end of `r"…"` or `r#"…"#` at this place, if there is one.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    bytes[open + 1..]
        .windows(close.len())
        .position(|window| window == close)
        .map(|n| open + 1 + n + close.len())
}

/// Whether the byte continues a name; `br"…"` begins a raw string all the same.
fn in_word(bytes: &[u8], at: usize) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(b'b' | b'c') => at.checked_sub(2).is_some_and(|before| name(bytes[before])),
        Some(byte) => name(byte),
        None => false,
    }
}

/// Whether a quote begins a character and not a lifetime.
fn is_char(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at + 1) {
        Some(b'\\') => true,
        Some(first) => {
            let length = match first {
                0..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            bytes.get(at + 1 + length) == Some(&b'\'')
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_not_code() {
        let source =
            "a // tokio\nb /* x /* y */ tokio */ c \"tok\\\"io\" r#\"to\"kio\"# '\"' d<'e> 'é' f";
        let code = code(source);
        assert!(!code.contains("kio"), "{code}");
        let left: Vec<_> = code.split_whitespace().collect();
        assert_eq!(left, ["a", "b", "c", "d<'e>", "f"]);
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn tests_are_cut_to_their_last_brace() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    const B: &str = \"}\";\n    fn b() {}\n}\nfn c() {}\n";
        let code = code_without_tests(source);
        assert!(code.contains("fn a") && code.contains("fn c") && !code.contains("fn b"));
        assert_eq!(lines_without_tests(source), 2);
    }

    #[test]
    fn an_item_for_tests_ends_with_its_semicolon() {
        let code = code_without_tests("#[cfg(test)]\nuse a::b;\nfn c() {}\n");
        assert!(!code.contains("use") && code.contains("fn c"));
    }

    #[test]
    fn a_word_is_not_found_inside_a_longer_one() {
        assert_eq!(find_words("tokio_x xtokio tokio::net", "tokio").count(), 1);
        assert_eq!(
            find_words("my_rand::x rand::y", "rand::").collect::<Vec<_>>(),
            [11]
        );
    }
}
