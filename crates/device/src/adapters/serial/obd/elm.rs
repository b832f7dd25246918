//! What an ELM327 says: lines up to its prompt `>`, and what they mean (ELM327 data sheet,
//! "Interpreting OBD messages" and "Error messages and alerts"). Answers of several CAN
//! frames are put together (ISO 15765-2, as the ELM327 shows them without headers). No I/O.

/// The longest answer that is taken; 4 kB are a whole ISO-TP message in short lines.
const MOST: usize = 16 * 1024;
/// The most messages of one answer: one of each control unit, or several short ones.
const MESSAGES: usize = 64;
/// The longest ISO-TP message (ISO 15765-2 §9.6.2).
const LONGEST: usize = 4095;

/// Gathers an answer.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    kept: Vec<u8>,
    too_long: bool,
}

impl Framer {
    /// Takes one byte in. The lines of an answer, once its prompt is there; of one that is
    /// too long, none.
    pub(crate) fn take(&mut self, byte: u8) -> Option<Vec<String>> {
        match byte {
            b'>' => {
                let kept = std::mem::take(&mut self.kept);
                if std::mem::take(&mut self.too_long) {
                    return Some(Vec::new());
                }
                let text = String::from_utf8_lossy(&kept);
                let lines = text.split(['\r', '\n']).map(str::trim);
                let lines = lines.filter(|line| !line.is_empty());
                Some(lines.map(str::to_ascii_uppercase).collect())
            }
            // The data sheet says to ignore these.
            0 => None,
            _ => {
                if self.kept.len() < MOST {
                    self.kept.push(byte);
                } else {
                    self.kept.clear();
                    self.too_long = true;
                }
                None
            }
        }
    }

    /// Whatever came before does not count.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `OK`.
    Fine,
    /// What the ELM327 says itself: its name, or a voltage.
    Said(Vec<String>),
    /// Messages of control units.
    Data(Vec<Vec<u8>>),
    /// Nobody in the car answered.
    NoData,
    /// `?`: the ELM327 did not know the command, and did nothing.
    NotUnderstood,
    /// There is no way into the car: nothing was sent.
    NoBus(String),
    /// Something came that cannot be relied upon.
    Garbled(String),
    /// The ELM327 began anew: its settings are lost.
    Restarted,
}

/// What the answer to `sent` means.
pub(crate) fn interpret(sent: &str, lines: &[String]) -> Reply {
    let own = sent.starts_with("AT");
    let mut said = Vec::new();
    let mut messages = Messages::default();
    for line in lines {
        let mut line = line.as_str();
        if line == sent {
            // The echo, as long as it is on.
            continue;
        }
        if let Some(rest) = line.strip_prefix("SEARCHING") {
            line = rest.trim_start_matches(['.', ' ']);
        }
        if let Some(rest) = line.strip_prefix("BUS INIT") {
            line = rest.trim_start_matches([':', '.', ' ']);
            line = line.strip_prefix("OK").unwrap_or(line).trim();
            if line.contains("ERROR") {
                return Reply::NoBus("BUS INIT: ERROR".to_owned());
            }
        }
        match line {
            "" => continue,
            "?" => return Reply::NotUnderstood,
            "NO DATA" => return Reply::NoData,
            "UNABLE TO CONNECT" => return Reply::NoBus(line.to_owned()),
            "LV RESET" | "LP ALERT" | "ACT ALERT" | "!LP ALERT" | "!ACT ALERT" => {
                return Reply::Restarted;
            }
            _ if own => said.push(line.to_owned()),
            _ if line.starts_with("ELM327 ") => return Reply::Restarted,
            _ => {
                if let Err(why) = messages.take(line) {
                    return Reply::Garbled(why);
                }
            }
        }
    }
    if own {
        return match said.iter().any(|line| line == "OK") {
            true => Reply::Fine,
            false => Reply::Said(said),
        };
    }
    messages.end()
}

/// Messages, put together of lines.
#[derive(Debug, Default)]
struct Messages {
    whole: Vec<Vec<u8>>,
    part: Option<Part>,
}

/// A message of several frames, as far as it came.
#[derive(Debug)]
struct Part {
    length: usize,
    bytes: Vec<u8>,
    /// The number of the next frame, from 0 to 15 and again.
    next: u8,
}

impl Messages {
    fn take(&mut self, line: &str) -> Result<(), String> {
        let garbled = || Err(line.chars().take(40).collect());
        let digits: String = line.chars().filter(|c| *c != ' ').collect();
        if let Some((number, digits)) = digits.split_once(':') {
            let number = u8::from_str_radix(number, 16).ok();
            let (Some(part), Some(bytes)) = (self.part.as_mut(), octets(digits)) else {
                return garbled();
            };
            // A frame that is missing, or of somebody else.
            if number != Some(part.next) {
                return garbled();
            }
            part.next = (part.next + 1) % 16;
            part.bytes.extend_from_slice(&bytes);
            if part.bytes.len() >= part.length {
                let part = self.part.take();
                return self.push(part.map(|part| {
                    let mut bytes = part.bytes;
                    bytes.truncate(part.length);
                    bytes
                }));
            }
            return Ok(());
        }
        if digits.len() == 3 {
            let length = usize::from_str_radix(&digits, 16).ok();
            let length = length.filter(|length| (1..=LONGEST).contains(length));
            let (Some(length), None) = (length, &self.part) else {
                return garbled();
            };
            let bytes = Vec::new();
            let next = 0;
            self.part = Some(Part {
                length,
                bytes,
                next,
            });
            return Ok(());
        }
        match octets(&digits) {
            Some(bytes) if !bytes.is_empty() => self.push(Some(bytes)),
            _ => garbled(),
        }
    }

    fn push(&mut self, message: Option<Vec<u8>>) -> Result<(), String> {
        if self.whole.len() >= MESSAGES {
            return Err("too many messages".to_owned());
        }
        self.whole.extend(message);
        Ok(())
    }

    fn end(self) -> Reply {
        match (self.part, self.whole) {
            (Some(_), _) => Reply::Garbled("a message that is cut off".to_owned()),
            (None, whole) if whole.is_empty() => Reply::Garbled("no message".to_owned()),
            (None, whole) => Reply::Data(whole),
        }
    }
}

/// Two digits each.
fn octets(digits: &str) -> Option<Vec<u8>> {
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) || !digits.len().is_multiple_of(2) {
        return None;
    }
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(sent: &str, said: &str) -> Reply {
        let mut framer = Framer::default();
        let mut heard = None;
        for byte in said.bytes() {
            heard = framer.take(byte).or(heard);
        }
        interpret(sent, &heard.unwrap())
    }

    fn data(said: &str) -> Vec<Vec<u8>> {
        match reply("0100", said) {
            Reply::Data(messages) => messages,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_of_one_frame_may_have_spaces_or_none() {
        let expected = vec![vec![0x41, 0x0C, 0x1A, 0xF8]];
        assert_eq!(data("410C1AF8\r\r>"), expected);
        assert_eq!(data("41 0C 1A F8 \r\n\r\n>"), expected);
        assert_eq!(data("0100\r410C1AF8\r\r>"), expected);
    }

    #[test]
    fn several_control_units_say_several_messages() {
        assert_eq!(data("410C1AF8\r410C1AF8\r\r>").len(), 2);
    }

    #[test]
    fn a_message_of_several_frames_is_put_together() {
        let vin = data("014\r0: 490201314434\r1: 47503030523535\r2: 42313233343536\r\r>");
        assert_eq!(vin.len(), 1);
        assert_eq!(vin[0].len(), 0x14);
        assert_eq!(&vin[0][3..], b"1D4GP00R55B123456");
        let long: String = (0..19)
            .map(|n| format!("{:X}:00112233445566\r", n % 16))
            .collect();
        assert_eq!(data(&format!("080\r{long}\r>"))[0].len(), 128);
    }

    #[test]
    fn frames_that_do_not_belong_together_are_no_message() {
        for said in [
            "014\r0:490201314434\r2:42313233343536\r>",
            "014\r0:490201314434\r>",
            "0:490201314434\r>",
            "014\r014\r0:490201314434\r>",
            "000\r>",
            "410C1\r>",
            "410C1AF8<DATA ERROR\r>",
            "CAN ERROR\r>",
            "BUFFER FULL\r>",
            "STOPPED\r>",
            "\r>",
            ">",
        ] {
            let reply = reply("0902", said);
            assert!(matches!(reply, Reply::Garbled(_)), "{said:?}: {reply:?}");
        }
    }

    #[test]
    fn what_the_elm327_says_itself_is_told_apart() {
        assert_eq!(
            reply("0100", "SEARCHING...\rUNABLE TO CONNECT\r\r>"),
            Reply::NoBus("UNABLE TO CONNECT".to_owned())
        );
        assert_eq!(
            reply("0100", "BUS INIT: ...ERROR\r\r>"),
            Reply::NoBus("BUS INIT: ERROR".to_owned())
        );
        assert_eq!(data("SEARCHING...4100BE3FA813\r\r>")[0].len(), 6);
        assert_eq!(data("BUS INIT: OK\r4100BE3FA813\r\r>")[0].len(), 6);
        assert_eq!(reply("01FF", "NO DATA\r\r>"), Reply::NoData);
        assert_eq!(reply("ZZ", "?\r\r>"), Reply::NotUnderstood);
        assert_eq!(reply("ATE0", "ATE0\rOK\r\r>"), Reply::Fine);
        assert_eq!(
            reply("ATRV", "12.6V\r\r>"),
            Reply::Said(vec!["12.6V".to_owned()])
        );
        assert_eq!(reply("010C", "\r\rELM327 v1.5\r\r>"), Reply::Restarted);
        assert_eq!(reply("010C", "LV RESET\r\r>"), Reply::Restarted);
    }

    #[test]
    fn what_never_ends_is_not_kept() {
        let mut framer = Framer::default();
        for _ in 0..5 * MOST {
            assert_eq!(framer.take(b'4'), None);
        }
        assert!(framer.kept.capacity() <= 2 * MOST);
        assert_eq!(framer.take(b'>'), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(b'>'), Just(b'\r'), Just(b':'), b'0'..=b'9', b'A'..=b'F'],
                0..600,
            ),
        ) {
            let mut framer = Framer::default();
            for byte in bytes {
                if let Some(lines) = framer.take(byte) {
                    for sent in ["0100", "ATZ"] {
                        if let Reply::Data(messages) = interpret(sent, &lines) {
                            prop_assert!(messages.iter().all(|m| (1..=LONGEST.max(MOST)).contains(&m.len())));
                        }
                    }
                }
            }
        }
    }
}
