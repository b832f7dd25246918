//! Where a run of plain bytes ends, found eight bytes at a time: runs in stanzas are
//! short, and a call of a vector routine would cost more than it saves.

const ONES: u64 = u64::MAX / 0xFF;
const HIGHS: u64 = ONES << 7;

/// The high bit of each byte of `word` that is `byte`. Above the lowest such byte there may
/// be others that are wrong: the first is what matters.
const fn equal(word: u64, byte: u8) -> u64 {
    let zero_where_equal = word ^ (ONES * byte as u64);
    zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & HIGHS
}

/// The same for bytes below the blank.
const fn below_blank(word: u64) -> u64 {
    word.wrapping_sub(ONES * b' ' as u64) & !word & HIGHS
}

/// How many bytes stand before the first `quote`, `<`, `&` or control character.
pub(super) fn plain_value(bytes: &[u8], quote: u8) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let odd = equal(word, quote) | equal(word, b'<') | equal(word, b'&') | below_blank(word);
        if odd != 0 {
            return 8 * at + odd.trailing_zeros() as usize / 8;
        }
    }
    let odd = |b: &u8| *b == quote || matches!(b, b'<' | b'&' | 0..b' ');
    8 * words.len() + rest.iter().position(odd).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_odd_byte_ends_a_value_wherever_it_stands() {
        for quote in [b'"', b'\''] {
            for odd in 0..=u8::MAX {
                let ends = odd == quote || matches!(odd, b'<' | b'&' | 0..b' ');
                for (before, behind) in (0..20).flat_map(|b| (0..20).map(move |a| (b, a))) {
                    // Bytes that borrow from their neighbours, should the sums do so.
                    let filler = [b'!', 0x80, b' ', 0xFF, b'('];
                    let fill = |n| filler.iter().cycle().take(n).copied();
                    let bytes: Vec<u8> = fill(before).chain([odd]).chain(fill(behind)).collect();
                    let length = if ends { before } else { bytes.len() };
                    assert_eq!(plain_value(&bytes, quote), length, "{bytes:?}");
                }
            }
        }
    }
}
