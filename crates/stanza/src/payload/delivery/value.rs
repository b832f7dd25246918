//! How values of attributes are written, each in one spelling, and read back strictly (ids of
//! messages in an earlier one, too).
//! What they mean is told by their types, in `names` and `tokens`.

use std::fmt;

use super::InvalidDelivery;

/// The largest sequence number, 2⁵³; the smallest is 1. Any program can hold it, even one
/// whose only numbers are floating.
pub const MAX_SEQ: u64 = 1 << 53;

/// A value of an attribute. None has a character that XML would have to escape.
pub(super) trait Value: Sized {
    /// Reads the one spelling of a value.
    fn read(written: &str) -> Result<Self, InvalidDelivery>;

    /// Writes it.
    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result;
}

/// `Display` and `FromStr` of a public value, in the spelling of the wire.
macro_rules! spelled {
    ($($name:ident),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::payload::delivery::value::Value::write(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::payload::delivery::InvalidDelivery;

            /// Reads the spelling of the wire.
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                $crate::payload::delivery::value::Value::read(s)
            }
        }
    )*};
}
pub(super) use spelled;

const fn misspelt<T>(what: &'static str, form: &'static str) -> Result<T, InvalidDelivery> {
    Err(InvalidDelivery::Spelling { what, form })
}

/// Whether these are digits, and no zero leads.
fn is_decimal(digits: &str) -> bool {
    match digits.as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn write_decimal(mut number: u64, out: &mut impl fmt::Write) -> fmt::Result {
    // 2⁶⁴ has 20 digits.
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.write_str(ascii(&digits[first..]))
}

/// What was made of ASCII alone.
fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl Value for u32 {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        let number = is_decimal(written).then(|| written.parse().ok());
        number.flatten().map_or_else(
            || misspelt("number", "0 to 4294967295, without leading zeros"),
            Ok,
        )
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write_decimal(u64::from(*self), out)
    }
}

/// A moment, in milliseconds of Unix time.
impl Value for i64 {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        let well_formed = match written.strip_prefix('-') {
            Some(digits) => is_decimal(digits) && digits != "0",
            None => is_decimal(written),
        };
        let number = well_formed.then(|| written.parse().ok());
        number.flatten().map_or_else(
            || misspelt("moment", "milliseconds of Unix time, a whole number"),
            Ok,
        )
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        if *self < 0 {
            out.write_str("-")?;
        }
        write_decimal(self.unsigned_abs(), out)
    }
}

/// A flag: `0` or `1`.
impl Value for bool {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        match written {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => misspelt("flag", "0 or 1"),
        }
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        out.write_str(if *self { "1" } else { "0" })
    }
}

/// A sequence number, 1 to [`MAX_SEQ`].
pub(super) struct Seq(pub(super) u64);

impl Value for Seq {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        let number = is_decimal(written).then(|| written.parse().ok());
        match number.flatten() {
            Some(seq @ 1..=MAX_SEQ) => Ok(Self(seq)),
            _ => misspelt("sequence number", "1 to 9007199254740992"),
        }
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write_decimal(self.0, out)
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const fn sextet(letter: u8) -> Option<u64> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(value as u64)
}

/// The first `N` letters of base64url (RFC 4648 §5) of the big-endian bytes of `bits`: 11
/// for all eight of them, 8 for the first six, 6 for the first four.
pub(super) fn write_base64url<const N: usize>(bits: u64, out: &mut impl fmt::Write) -> fmt::Result {
    // Two zero bits follow the 64, so that eleven letters have six each.
    let bits = u128::from(bits) << 2;
    let letters: [u8; N] = std::array::from_fn(|at| LETTERS[(bits >> (60 - 6 * at)) as usize & 63]);
    out.write_str(ascii(&letters))
}

/// What [`write_base64url`] wrote in `letters` letters, if it can have written it: bits
/// that no byte has are zero (RFC 4648 §3.5).
pub(super) fn read_base64url(written: &str, letters: usize) -> Option<u64> {
    if written.len() != letters {
        return None;
    }
    let mut bits = 0;
    for letter in written.bytes() {
        bits = bits << 6 | u128::from(sextet(letter)?);
    }
    let spare = letters * 6 % 8;
    let value = bits >> spare;
    (value << spare == bits).then_some(value as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail by panic")]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    fn written(value: &impl Value) -> String {
        let mut out = String::new();
        value.write(&mut out).unwrap();
        out
    }

    proptest! {
        #[test]
        fn tokens_are_the_base64url_of_their_bytes(long: u64, short: u32) {
            let mut out = String::new();
            write_base64url::<11>(long, &mut out).unwrap();
            prop_assert_eq!(&out, &URL_SAFE_NO_PAD.encode(long.to_be_bytes()));
            prop_assert_eq!(read_base64url(&out, 11), Some(long));
            out.clear();
            write_base64url::<6>(u64::from(short) << 32, &mut out).unwrap();
            prop_assert_eq!(&out, &URL_SAFE_NO_PAD.encode(short.to_be_bytes()));
            prop_assert_eq!(read_base64url(&out, 6), Some(u64::from(short)));
            out.clear();
            write_base64url::<8>(long, &mut out).unwrap();
            prop_assert_eq!(&out, &URL_SAFE_NO_PAD.encode(&long.to_be_bytes()[..6]));
            prop_assert_eq!(read_base64url(&out, 8), Some(long >> 16));
        }

        #[test]
        fn base64url_is_judged_as_another_decoder_judges_it(s in "[A-Ca-c0-2_=+/-]{5,12}") {
            for (letters, bytes) in [(11, 8), (8, 6), (6, 4)] {
                let other = URL_SAFE_NO_PAD.decode(&s).ok().filter(|b| b.len() == bytes);
                let other = other.map(|b| b.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
                prop_assert_eq!(read_base64url(&s, letters), other);
            }
        }

        #[test]
        fn numbers_are_written_as_everybody_writes_them(number: u32, moment: i64) {
            prop_assert_eq!(written(&number), number.to_string());
            prop_assert_eq!(written(&moment), moment.to_string());
            prop_assert_eq!(u32::read(&written(&number)), Ok(number));
            prop_assert_eq!(i64::read(&written(&moment)), Ok(moment));
        }
    }

    #[test]
    fn the_ends_of_every_range_come_back() {
        for moment in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(i64::read(&written(&moment)), Ok(moment));
        }
        for seq in [1, 10, MAX_SEQ] {
            assert_eq!(Seq::read(&written(&Seq(seq))).unwrap().0, seq);
        }
        assert_eq!(u32::read("4294967295"), Ok(u32::MAX));
    }

    #[test]
    fn a_number_has_one_spelling() {
        let long = "9".repeat(10_000);
        let never = [
            "", " ", "+1", "01", "00", "1 ", " 1", "1.0", "1e3", "0x1", "١", "-",
        ];
        for s in never.into_iter().chain([long.as_str()]) {
            assert!(u32::read(s).is_err(), "{s}");
            assert!(i64::read(s).is_err(), "{s}");
            assert!(Seq::read(s).is_err(), "{s}");
        }
        for s in ["-0", "-01", "9223372036854775808", "-9223372036854775809"] {
            assert!(i64::read(s).is_err(), "{s}");
        }
        for s in ["0", "-1", "9007199254740993", "18446744073709551616"] {
            assert!(Seq::read(s).is_err(), "{s}");
        }
        for s in ["-1", "4294967296"] {
            assert!(u32::read(s).is_err(), "{s}");
        }
        for s in ["", "2", "true", "01", "false"] {
            assert!(bool::read(s).is_err(), "{s}");
        }
    }
}
