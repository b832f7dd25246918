//! Names on the local network: `user@machine` (XEP-0174 §3), as an address, as the instance
//! of a service, and with a number behind it when it is taken.

use stanchion_stanza::BareJid;

/// What is looked for (XEP-0174 §3).
pub const SERVICE: &str = "_presence._tcp.local.";
/// Bytes of an instance's name: it is one label (RFC 6763 §4.1.1).
pub(super) const MOST_BYTES: usize = 63;
/// The highest number that is put behind a name that is taken.
pub const MOST_TRIES: u32 = 99;

/// Why a name cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no user before the `@`.
    #[error("{0:?} is no user@machine: put the user before an @")]
    NoUser(String),
    /// The machine is no host's name.
    #[error("{0:?} is no machine's name: take letters, digits and hyphens of ASCII, up to 63")]
    Machine(String),
    /// It does not fit into one label.
    #[error("{0:?} is longer than 63 bytes, number included: shorten it")]
    Long(String),
}

/// Which half of a name is taken (XEP-0174 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// By another application on the machine.
    User,
    /// By another machine.
    Machine,
}

/// A name and the numbers behind its halves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnName {
    user: String,
    machine: String,
    numbers: (u32, u32),
}

impl OwnName {
    /// That name, without numbers.
    ///
    /// # Errors
    /// [`NameError`].
    pub(super) fn new(name: &BareJid) -> Result<Self, NameError> {
        let user = name.local();
        let user = user.ok_or_else(|| NameError::NoUser(name.as_str().to_owned()))?;
        let machine = name.domain();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let odd = machine.is_empty()
            || machine.len() > MOST_BYTES
            || machine.starts_with('-')
            || machine.ends_with('-')
            || !machine.bytes().all(plain);
        if odd {
            return Err(NameError::Machine(machine.to_owned()));
        }
        let own = Self {
            user: user.to_owned(),
            machine: machine.to_owned(),
            numbers: (0, 0),
        };
        own.fits()
    }

    fn fits(self) -> Result<Self, NameError> {
        let name = self.instance();
        match name.len() <= MOST_BYTES {
            true => Ok(self),
            false => Err(NameError::Long(name)),
        }
    }

    /// The next one, as that half is taken; none after [`MOST_TRIES`], or if it would be
    /// too long.
    #[must_use]
    pub(super) fn next(&self, taken: Half) -> Option<Self> {
        let mut next = self.clone();
        let number = match taken {
            Half::User => &mut next.numbers.0,
            Half::Machine => &mut next.numbers.1,
        };
        *number += 1;
        (*number <= MOST_TRIES)
            .then(|| next.fits().ok())
            .flatten()
            .filter(|next| next.jid().is_some())
    }

    /// The instance's name: `user@machine`.
    #[must_use]
    pub(super) fn instance(&self) -> String {
        format!(
            "{}@{}",
            numbered(&self.user, self.numbers.0),
            self.machine()
        )
    }

    /// The machine's name.
    #[must_use]
    pub(super) fn machine(&self) -> String {
        numbered(&self.machine, self.numbers.1)
    }

    /// The same as an address; none if the number made it no address.
    #[must_use]
    pub(super) fn jid(&self) -> Option<BareJid> {
        BareJid::new(&self.instance()).ok()
    }
}

fn numbered(name: &str, number: u32) -> String {
    match number {
        0 => name.to_owned(),
        number => format!("{name}-{number}"),
    }
}

/// Whose service that is, by its full name; none if it is none of these, or its instance is
/// no address.
#[must_use]
pub(super) fn of_service(full: &str) -> Option<BareJid> {
    let at = full.len().checked_sub(SERVICE.len() + 1)?;
    let (instance, service) = full.split_at_checked(at)?;
    let service = service.strip_prefix('.')?;
    if !service.eq_ignore_ascii_case(SERVICE) {
        return None;
    }
    let instance = unescaped(instance)?;
    if instance.len() > MOST_BYTES {
        return None;
    }
    let name = BareJid::new(&instance).ok()?;
    name.local().is_some().then_some(name)
}

/// An instance as it is meant: dots and backslashes stand behind a backslash, other bytes
/// perhaps as three decimal digits (RFC 6763 §4.3, RFC 1035 §5.1).
fn unescaped(instance: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(instance.len());
    let mut rest = instance.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let next = rest.next()?;
        if !next.is_ascii_digit() {
            bytes.push(next);
            continue;
        }
        let digits = [next, rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(digits.parse().ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own(name: &str) -> Result<OwnName, NameError> {
        OwnName::new(&name.parse().unwrap())
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number_behind_the_half_that_is() {
        let juliet = own("juliet@pronto").unwrap();
        let second = juliet.next(Half::Machine).unwrap();
        assert_eq!(second.instance(), "juliet@pronto-1");
        let third = second.next(Half::Machine).unwrap();
        assert_eq!(third.instance(), "juliet@pronto-2");
        let fourth = third.next(Half::User).unwrap();
        assert_eq!(fourth.instance(), "juliet-1@pronto-2");
        assert_eq!(fourth.machine(), "pronto-2");
        assert_eq!(fourth.jid().unwrap().as_str(), "juliet-1@pronto-2");
    }

    #[test]
    fn numbers_come_to_an_end() {
        let mut name = own("a@b").unwrap();
        for _ in 0..MOST_TRIES {
            name = name.next(Half::User).unwrap();
        }
        assert_eq!(name.next(Half::User), None);
        let long = format!("{}@b", "a".repeat(61));
        assert_eq!(own(&long).unwrap().next(Half::User), None, "too long");
    }

    #[test]
    fn a_name_that_is_no_label_is_refused() {
        assert!(matches!(own("pronto"), Err(NameError::NoUser(_))));
        for machine in ["a@b.example", "a@b\u{fc}ro", "a@192.168.0.1"] {
            assert!(
                matches!(own(machine), Err(NameError::Machine(_))),
                "{machine}"
            );
        }
        let long = format!("{}@pronto", "a".repeat(60));
        assert!(matches!(own(&long), Err(NameError::Long(_))));
    }

    #[test]
    fn a_service_is_told_by_its_instance() {
        let name = |full: &str| of_service(full).map(|n| n.as_str().to_owned());
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(name("lamp@hall._presence._tcp.local."), some("lamp@hall"));
        assert_eq!(name("lamp@hall._PRESENCE._tcp.local."), some("lamp@hall"));
        assert_eq!(name("a\\.b@hall._presence._tcp.local."), some("a.b@hall"));
        assert_eq!(name("a\\046b@hall._presence._tcp.local."), some("a.b@hall"));
        for none in [
            "",
            "._presence._tcp.local.",
            "hall._presence._tcp.local.",
            "lamp@hall._http._tcp.local.",
            "lamp@hall (2)._presence._tcp.local.",
            "lamp@hall/x._presence._tcp.local.",
            "lamp\\",
            "a\\999b@hall._presence._tcp.local.",
        ] {
            assert_eq!(name(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_service_is_called_is_read_or_left_out(full in "\\PC{0,90}") {
            let _ = of_service(&full);
            let _ = of_service(&format!("{full}.{SERVICE}"));
        }

        #[test]
        fn our_own_name_is_read_as_it_is_written(user in "[a-z][a-z0-9.]{0,15}", machine in "[a-z][a-z0-9]{0,15}") {
            let own = own(&format!("{user}@{machine}")).unwrap();
            let escaped = own.instance().replace('.', "\\.");
            let read = of_service(&format!("{escaped}.{SERVICE}")).unwrap();
            prop_assert_eq!(read.as_str().to_owned(), own.instance());
        }
    }
}
