//! Whom to speak with, and how: decided by name, pin and configuration alone. Nothing that
//! is said on the network makes anybody trusted.

use std::collections::BTreeMap;

use stanchion_stanza::BareJid;
use stanchion_transport::security::Fingerprint;

/// Whether anything may be said unprotected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Plaintext {
    /// Never: whoever has no pinned certificate is refused.
    #[default]
    Refused,
    /// With those who have no pin: messages, and readings that anybody in the world may
    /// have. Nobody knows who they are, and everybody can listen. **Nothing is ever set so**,
    /// neither here nor there. Whoever has a pin is still spoken to over TLS alone.
    MessagesAndWhatAnybodyMayRead,
}

/// How a stream is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By TLS, and the other side shows that certificate.
    Pinned(Fingerprint),
    /// Not at all.
    Plain,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum No {
    /// There is no pin for that name.
    #[error("its certificate is not pinned here; pair the two first")]
    NotPinned,
    /// There is no name.
    #[error("it does not say who it is")]
    Nameless,
    /// It says that it is we.
    #[error("it goes by our own name")]
    OurName,
    /// It has a pin, and does not speak of protection.
    #[error("it is pinned, and speaks no TLS")]
    WithoutTls,
}

/// Who is trusted.
#[derive(Debug, Clone, Default)]
pub(super) struct Trust {
    pins: BTreeMap<BareJid, Fingerprint>,
    plaintext: Plaintext,
}

impl Trust {
    /// These, and that.
    #[must_use]
    pub(super) const fn new(pins: BTreeMap<BareJid, Fingerprint>, plaintext: Plaintext) -> Self {
        Self { pins, plaintext }
    }

    /// That name is whoever shows that certificate.
    pub(super) fn pin(&mut self, name: BareJid, certificate: Fingerprint) {
        self.pins.insert(name, certificate);
    }

    /// That name is nobody any more. Whether it was somebody.
    pub(super) fn forget(&mut self, name: &BareJid) -> bool {
        self.pins.remove(name).is_some()
    }

    /// Who is pinned as what.
    #[must_use]
    pub(super) fn pin_of(&self, name: &BareJid) -> Option<Fingerprint> {
        self.pins.get(name).copied()
    }

    /// How to speak to that name.
    ///
    /// # Errors
    /// [`No`].
    pub(super) fn to(&self, name: &BareJid, own: &BareJid) -> Result<Way, No> {
        if name == own {
            return Err(No::OurName);
        }
        match (self.pins.get(name), self.plaintext) {
            (Some(pin), _) => Ok(Way::Pinned(*pin)),
            (None, Plaintext::MessagesAndWhatAnybodyMayRead) => Ok(Way::Plain),
            (None, Plaintext::Refused) => Err(No::NotPinned),
        }
    }

    /// How to be spoken to by whoever says that it is `from`, and does or does not speak
    /// XMPP 1.0, without which there is no TLS (RFC 6120 §4.7.5).
    ///
    /// # Errors
    /// [`No`].
    pub(super) fn by(
        &self,
        from: Option<&BareJid>,
        own: &BareJid,
        modern: bool,
    ) -> Result<Way, No> {
        let Some(from) = from else {
            return match self.plaintext {
                Plaintext::MessagesAndWhatAnybodyMayRead => Ok(Way::Plain),
                Plaintext::Refused => Err(No::Nameless),
            };
        };
        match self.to(from, own)? {
            Way::Pinned(_) if !modern => Err(No::WithoutTls),
            way => Ok(way),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(name: &str) -> BareJid {
        name.parse().unwrap()
    }

    fn trust(plaintext: Plaintext) -> (Trust, Fingerprint) {
        let pin = Fingerprint::of(b"lamp");
        let pins = BTreeMap::from([(name("lamp@hall"), pin)]);
        (Trust::new(pins, plaintext), pin)
    }

    #[test]
    fn a_pinned_name_is_spoken_with_over_tls_alone_whatever_is_allowed_to_others() {
        let own = name("phone@here");
        for plaintext in [Plaintext::Refused, Plaintext::MessagesAndWhatAnybodyMayRead] {
            let (trust, pin) = trust(plaintext);
            let lamp = name("lamp@hall");
            assert_eq!(trust.to(&lamp, &own), Ok(Way::Pinned(pin)));
            assert_eq!(trust.by(Some(&lamp), &own, true), Ok(Way::Pinned(pin)));
            assert_eq!(trust.by(Some(&lamp), &own, false), Err(No::WithoutTls));
        }
    }

    #[test]
    fn a_stranger_is_refused_unless_plaintext_is_allowed() {
        let (own, stranger) = (name("phone@here"), name("stranger@there"));
        let (strict, _) = trust(Plaintext::Refused);
        assert_eq!(strict.to(&stranger, &own), Err(No::NotPinned));
        assert_eq!(strict.by(Some(&stranger), &own, true), Err(No::NotPinned));
        assert_eq!(strict.by(None, &own, false), Err(No::Nameless));
        let (lax, _) = trust(Plaintext::MessagesAndWhatAnybodyMayRead);
        assert_eq!(lax.to(&stranger, &own), Ok(Way::Plain));
        assert_eq!(lax.by(None, &own, false), Ok(Way::Plain));
    }

    #[test]
    fn nobody_is_we() {
        let own = name("phone@here");
        let (mut trust, pin) = trust(Plaintext::MessagesAndWhatAnybodyMayRead);
        trust.pin(own.clone(), pin);
        assert_eq!(trust.by(Some(&own), &own, true), Err(No::OurName));
    }

    #[test]
    fn who_is_forgotten_is_a_stranger() {
        let (mut trust, _) = trust(Plaintext::Refused);
        assert!(trust.forget(&name("lamp@hall")));
        assert_eq!(
            trust.to(&name("lamp@hall"), &name("a@b")),
            Err(No::NotPinned)
        );
    }

    proptest! {
        #[test]
        fn tls_is_never_left_out_for_who_is_pinned(modern: bool, lax: bool, user in "(lamp|door)") {
            let plaintext = match lax {
                true => Plaintext::MessagesAndWhatAnybodyMayRead,
                false => Plaintext::Refused,
            };
            let (trust, _) = trust(plaintext);
            let who = name(&format!("{user}@hall"));
            let way = trust.by(Some(&who), &name("a@b"), modern);
            prop_assert!(user != "lamp" || way != Ok(Way::Plain));
            prop_assert!(lax || way != Ok(Way::Plain));
        }
    }
}
