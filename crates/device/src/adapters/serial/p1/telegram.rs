//! From bytes to telegrams: `/` begins one at the start of a line, `!` and four hexadecimal
//! digits end it (IEC 62056-21, DSMR 5.0.2 P1 §6.2). One whose checksum is wrong is counted
//! and left out; what is between telegrams does not matter. No I/O, and never more than
//! [`MOST`] bytes are kept.

/// The longest telegram that is taken. Real ones have about 1 kB; messages to the consumer
/// may add 2 kB.
pub(crate) const MOST: usize = 16 * 1024;

/// Cuts telegrams out of what a line says.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// From `/` on; up to `!` while its checksum is read.
    kept: Vec<u8>,
    state: State,
    at_start_of_line: bool,
    bad: u64,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// Between telegrams.
    #[default]
    Outside,
    /// In one.
    Inside,
    /// Behind its `!`, with the digits so far.
    Checksum { digits: u8, value: u16 },
}

impl Framer {
    /// Nothing heard yet: the first byte may be the start of a line.
    pub(crate) fn new() -> Self {
        Self {
            at_start_of_line: true,
            ..Self::default()
        }
    }

    /// Telegrams that were left out: cut off, too long, or with a wrong checksum or none.
    pub(crate) const fn bad(&self) -> u64 {
        self.bad
    }

    /// Takes one byte in. The text of a telegram, from `/` to `!`, once it is whole.
    pub(crate) fn take(&mut self, byte: u8) -> Option<String> {
        let at_start = std::mem::replace(&mut self.at_start_of_line, matches!(byte, b'\n' | b'\r'));
        match (self.state, byte) {
            (state, b'/') if at_start => {
                if !matches!(state, State::Outside) {
                    self.bad = self.bad.saturating_add(1);
                }
                self.kept.clear();
                self.kept.push(byte);
                self.state = State::Inside;
                None
            }
            (State::Outside, _) => None,
            (State::Inside, b'!') if at_start => {
                self.kept.push(byte);
                let (digits, value) = (0, 0);
                self.state = State::Checksum { digits, value };
                None
            }
            (State::Inside, _) => {
                if self.kept.len() >= MOST {
                    self.drop_it();
                } else {
                    self.kept.push(byte);
                }
                None
            }
            (State::Checksum { digits, value }, _) => self.checksum(digits, value, byte),
        }
    }

    fn checksum(&mut self, digits: u8, value: u16, byte: u8) -> Option<String> {
        match char::from(byte).to_digit(16).map(u16::try_from) {
            Some(Ok(digit)) if digits < 4 => {
                let (digits, value) = (digits + 1, value << 4 | digit);
                if digits < 4 {
                    self.state = State::Checksum { digits, value };
                    return None;
                }
                let right = crc16(&self.kept) == value;
                let text = right.then(|| String::from_utf8(std::mem::take(&mut self.kept)).ok());
                let Some(Some(text)) = text else {
                    self.drop_it();
                    return None;
                };
                self.state = State::Outside;
                Some(text)
            }
            _ => {
                self.drop_it();
                None
            }
        }
    }

    fn drop_it(&mut self) {
        self.bad = self.bad.saturating_add(1);
        self.kept.clear();
        self.state = State::Outside;
    }
}

/// CRC16 with the polynomial x^16 + x^15 + x^2 + 1, least significant bit first, from zero
/// (DSMR 5.0.2 P1 §6.2.3).
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| match crc & 1 {
            1 => crc >> 1 ^ 0xA001,
            _ => crc >> 1,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(body: &str) -> Vec<u8> {
        let body = format!("/TST5meter\r\n\r\n{body}!");
        let crc = crc16(body.as_bytes());
        format!("{body}{crc:04X}\r\n").into_bytes()
    }

    fn heard(framer: &mut Framer, bytes: &[u8]) -> Vec<String> {
        bytes.iter().filter_map(|b| framer.take(*b)).collect()
    }

    #[test]
    fn the_checksum_is_the_one_of_the_published_check_value() {
        assert_eq!(crc16(b"123456789"), 0xBB3D);
    }

    #[test]
    fn a_telegram_with_a_wrong_checksum_is_left_out_and_counted() {
        let mut framer = Framer::new();
        let mut wrong = whole("1-0:1.7.0(01.193*kW)\r\n");
        wrong[20] ^= 1;
        assert!(heard(&mut framer, &wrong).is_empty());
        assert_eq!(framer.bad(), 1);
        let right = whole("1-0:1.7.0(01.193*kW)\r\n");
        assert_eq!(heard(&mut framer, &right).len(), 1);
    }

    #[test]
    fn a_telegram_without_a_checksum_is_left_out() {
        let mut framer = Framer::new();
        assert!(heard(&mut framer, b"/TST5\r\n\r\n1-0:1.7.0(1*kW)\r\n!\r\n").is_empty());
        assert_eq!(framer.bad(), 1);
    }

    #[test]
    fn one_that_is_cut_off_does_not_take_the_next_with_it() {
        let telegram = whole("1-0:1.7.0(01.193*kW)\r\n");
        for cut in 1..telegram.len() - 2 {
            let mut framer = Framer::new();
            let mut bytes = telegram[..cut].to_vec();
            // The line was interrupted, and somebody plugged it in again.
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(&telegram);
            let last = heard(&mut framer, &bytes).pop();
            assert_eq!(last.unwrap().as_bytes(), &telegram[..telegram.len() - 6]);
        }
    }

    #[test]
    fn what_never_ends_is_not_kept() {
        let mut framer = Framer::new();
        let bytes = [&b"/TST5\r\n"[..], &[b'x'; 3 * MOST]].concat();
        assert!(heard(&mut framer, &bytes).is_empty());
        assert_eq!((framer.bad(), framer.kept.len()), (1, 0));
        assert!(framer.kept.capacity() <= 2 * MOST);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_and_the_next_telegram_is_heard(
            noise in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(b'/'), Just(b'!'), Just(b'\n'), Just(b'A')],
                0..600,
            ),
        ) {
            let mut framer = Framer::new();
            heard(&mut framer, &noise);
            prop_assert!(framer.kept.len() <= MOST);
            let telegram = whole("1-0:1.7.0(01.193*kW)\r\n");
            let bytes = [b"\r\n", &telegram[..]].concat();
            prop_assert_eq!(heard(&mut framer, &bytes).len(), 1);
        }
    }
}
