//! From bytes to sentences of NMEA 0183: `$`, two letters for the talker, three for what it
//! says, fields between commas, `*` and a checksum. One without a right checksum is counted
//! and left out. No I/O, and never more than [`MOST`] bytes are kept.

/// The longest sentence that is taken, without its end of line. The standard says 82;
/// receivers of many systems say a little more.
pub(crate) const MOST: usize = 160;
/// The most fields that are looked at.
const FIELDS: usize = 32;

/// Cuts sentences out of what a line says.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// From behind `$` on; `None` between sentences.
    kept: Option<Vec<u8>>,
    bad: u64,
}

impl Framer {
    /// Sentences that were left out: cut off, too long, or with a wrong checksum or none.
    pub(crate) const fn bad(&self) -> u64 {
        self.bad
    }

    /// Takes one byte in. What stands between `$` and `*`, once its line is whole.
    pub(crate) fn take(&mut self, byte: u8) -> Option<String> {
        match (byte, &mut self.kept) {
            // `!` begins those that carry something else; they are framed alike.
            (b'$' | b'!', kept) => {
                let cut_off = kept.replace(Vec::new()).is_some();
                self.bad += u64::from(cut_off);
                None
            }
            (_, None) => None,
            (b'\r' | b'\n', kept) => {
                let text = kept.take().as_deref().and_then(checked);
                self.bad += u64::from(text.is_none());
                text
            }
            (_, Some(kept)) if kept.len() < MOST => {
                kept.push(byte);
                None
            }
            (_, kept) => {
                *kept = None;
                self.bad += 1;
                None
            }
        }
    }
}

/// What stands before `*`, if it has the checksum behind it.
fn checked(line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?;
    let (said, sum) = text.rsplit_once('*')?;
    let wanted = match sum.len() {
        2 => u8::from_str_radix(sum, 16).ok()?,
        _ => return None,
    };
    (checksum(said.as_bytes()) == wanted).then(|| said.to_owned())
}

/// All characters between `$` and `*`, exclusive or.
pub(crate) fn checksum(said: &[u8]) -> u8 {
    said.iter().fold(0, |sum, byte| sum ^ byte)
}

/// A sentence, and its fields from behind its name on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sentence<'a> {
    /// Who says it: `GP`, `GL`, `GA`, `GN` for several, and others.
    pub(crate) talker: &'a str,
    /// What it says: `GGA`.
    pub(crate) kind: &'a str,
    fields: Vec<&'a str>,
}

impl<'a> Sentence<'a> {
    /// Reads what stands between `$` and `*`. `None` for those of one maker, which begin
    /// with `P`, and for what is none.
    pub(crate) fn read(said: &'a str) -> Option<Self> {
        let mut fields = said.split(',').take(FIELDS);
        let name = fields.next()?;
        let is_name = name.len() == 5 && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_name || name.starts_with('P') {
            return None;
        }
        let (talker, kind) = name.split_at(2);
        Some(Self {
            talker,
            kind,
            fields: fields.map(str::trim).collect(),
        })
    }

    /// The field at that place, counted from 1 behind the name as in the standard; empty if
    /// it is not there.
    pub(crate) fn field(&self, place: usize) -> &'a str {
        let field = place.checked_sub(1).and_then(|at| self.fields.get(at));
        field.copied().unwrap_or_default()
    }
}

/// A number in decimal digits, and how many stand behind its point.
pub(crate) fn decimal(text: &str) -> Option<(f64, usize)> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if digits.len() > 20 || whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    Some((text.parse().ok()?, fraction.len()))
}

/// `ddmm.mmmm` and its hemisphere, in degrees, with the decimals that they are worth.
pub(crate) fn degrees(text: &str, hemisphere: &str, most: f64) -> Option<(f64, usize)> {
    let sign = match hemisphere {
        "N" | "E" => 1.0,
        "S" | "W" => -1.0,
        _ => return None,
    };
    let point = text.find('.').unwrap_or(text.len());
    let (degrees, minutes) = text.split_at_checked(point.checked_sub(2)?)?;
    let (degrees, none) = decimal(degrees)?;
    let (minutes, decimals) = decimal(minutes)?;
    let told = degrees + minutes / 60.0;
    let holds = none == 0 && minutes < 60.0 && (0.0..=most).contains(&told);
    holds.then_some((sign * told, decimals + 2))
}

/// `hhmmss.ss`, in milliseconds since midnight.
pub(crate) fn time_of_day(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if clock.len() != 6 || !is_number(clock) || !is_number(fraction) {
        return None;
    }
    let part = |at: usize| clock.get(at..at + 2)?.parse::<i64>().ok();
    let (hour, minute, second) = (part(0)?, part(2)?, part(4)?);
    let thousandths = fraction.get(..3).unwrap_or(fraction);
    let scale = [0, 100, 10, 1].get(thousandths.len())?;
    let ms = thousandths.parse().unwrap_or(0) * scale;
    let holds = hour < 24 && minute < 60 && second <= 60;
    holds.then_some(((hour * 60 + minute) * 60 + second) * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(framer: &mut Framer, bytes: &[u8]) -> Vec<String> {
        bytes.iter().filter_map(|b| framer.take(*b)).collect()
    }

    #[test]
    fn a_sentence_has_a_right_checksum() {
        let mut framer = Framer::default();
        let line = b"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48\r\n";
        assert_eq!(heard(&mut framer, line).len(), 1);
        for at in 1..line.len() - 2 {
            let mut wrong = line.to_vec();
            wrong[at] ^= 2;
            assert!(heard(&mut framer, &wrong).is_empty(), "{at}");
        }
        assert_eq!(framer.bad(), line.len() as u64 - 3);
        assert!(heard(&mut framer, b"$GPVTG,054.7\r\n").is_empty());
    }

    #[test]
    fn one_that_is_cut_off_does_not_take_the_next_with_it() {
        let line = b"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48\r\n";
        for cut in 1..line.len() - 2 {
            let mut framer = Framer::default();
            let bytes = [&line[..cut], line].concat();
            assert_eq!(heard(&mut framer, &bytes).len(), 1, "{cut}");
            assert_eq!(framer.bad(), 1);
        }
    }

    #[test]
    fn a_position_is_told_in_degrees_with_the_decimals_that_it_is_worth() {
        let (told, decimals) = degrees("4807.038", "N", 90.0).unwrap();
        assert!((told - 48.1173).abs() < 1e-9, "{told}");
        assert_eq!(decimals, 5);
        let (told, _) = degrees("12202.26957864", "W", 180.0).unwrap();
        assert!((told + 122.037_826_310_6).abs() < 1e-9, "{told}");
        for (text, hemisphere) in [
            ("9000.001", "N"),
            ("4860.000", "N"),
            ("4807.038", ""),
            ("7.0", "N"),
            ("4é07.0", "N"),
            ("-4807.0", "N"),
            ("", "S"),
        ] {
            assert_eq!(degrees(text, hemisphere, 90.0), None, "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_one() {
        assert_eq!(time_of_day("123519"), Some(45_319_000));
        assert_eq!(time_of_day("172814.05"), Some(62_894_050));
        assert_eq!(time_of_day("235960.999999"), Some(86_400_999));
        for text in ["", "24", "240000", "126000", "12351", "123519,", "+12351"] {
            assert_eq!(time_of_day(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_and_the_next_sentence_is_heard(
            noise in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(b'$'), Just(b'*'), Just(b','), Just(b'\n')],
                0..400,
            ),
        ) {
            let mut framer = Framer::default();
            for said in heard(&mut framer, &noise) {
                let _ = Sentence::read(&said);
            }
            prop_assert!(framer.kept.as_ref().is_none_or(|kept| kept.len() <= MOST));
            let line = b"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48\r\n";
            prop_assert_eq!(heard(&mut framer, line).len(), 1);
        }

        #[test]
        fn any_text_may_stand_in_a_field(text in ".{0,24}") {
            let _ = (decimal(&text), time_of_day(&text));
            if let Some((told, _)) = degrees(&text, "S", 90.0) {
                prop_assert!((-90.0..=0.0).contains(&told));
            }
        }
    }
}
