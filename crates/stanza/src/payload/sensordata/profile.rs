//! The profiles of sensor data and control: one tree, written in the long names of the
//! XEPs or in short ones. Which of them a peer understands is for whoever talks to it: its
//! features say so, and so does what it sends.

use super::super::{Payload, PayloadError};
use super::dialect::Dialect;
use crate::ns;
use crate::xml::Element;

/// In which words things are spoken of. Answer in the profile of the request.
///
/// The three compact ones are the same but for their namespaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The long names of XEP-0323 and XEP-0325.
    #[default]
    Legacy,
    /// The short names of IEEE P1451-99, `urn:ieee:iot:…`.
    Ieee,
    /// The same as `urn:nf:iot:…`, the commonest of the compact ones.
    Nf,
    /// The same as `urn:nfi:iot:…`.
    Nfi,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Legacy, Self::Ieee, Self::Nf, Self::Nfi];

    /// The namespace of sensor data, which is the feature that a peer announces
    /// (XEP-0030) if it has any.
    #[must_use]
    pub const fn sensor_data(self) -> &'static str {
        match self {
            Self::Legacy => ns::IOT_SENSORDATA,
            Self::Ieee => ns::IOT_SENSORDATA_IEEE,
            Self::Nf => ns::IOT_SENSORDATA_NF,
            Self::Nfi => ns::IOT_SENSORDATA_NFI,
        }
    }

    /// The namespace of control, and the feature of a peer that can be controlled.
    #[must_use]
    pub const fn control(self) -> &'static str {
        match self {
            Self::Legacy => ns::IOT_CONTROL,
            Self::Ieee => ns::IOT_CONTROL_IEEE,
            Self::Nf => ns::IOT_CONTROL_NF,
            Self::Nfi => ns::IOT_CONTROL_NFI,
        }
    }

    /// Whether it has the short names.
    #[must_use]
    pub const fn is_compact(self) -> bool {
        !matches!(self, Self::Legacy)
    }

    /// The namespace of subscriptions, and the feature of a device that tells by itself.
    #[must_use]
    pub const fn events(self) -> &'static str {
        match self {
            Self::Legacy => ns::IOT_EVENTS,
            Self::Ieee => ns::IOT_EVENTS_IEEE,
            Self::Nf => ns::IOT_EVENTS_NF,
            Self::Nfi => ns::IOT_EVENTS_NFI,
        }
    }

    pub(crate) const fn events_words(self) -> &'static Dialect {
        static WORDS: [Dialect; 4] = [
            Dialect::long(Profile::Legacy.events()),
            Dialect::compact(Profile::Ieee.events()),
            Dialect::compact(Profile::Nf.events()),
            Dialect::compact(Profile::Nfi.events()),
        ];
        &WORDS[self as usize]
    }

    pub(crate) const fn sensor_data_words(self) -> &'static Dialect {
        static WORDS: [Dialect; 4] = [
            Dialect::long(Profile::Legacy.sensor_data()),
            Dialect::compact(Profile::Ieee.sensor_data()),
            Dialect::compact(Profile::Nf.sensor_data()),
            Dialect::compact(Profile::Nfi.sensor_data()),
        ];
        &WORDS[self as usize]
    }

    pub(crate) const fn control_words(self) -> &'static Dialect {
        static WORDS: [Dialect; 4] = [
            Dialect::long(Profile::Legacy.control()),
            Dialect::compact(Profile::Ieee.control()),
            Dialect::compact(Profile::Nf.control()),
            Dialect::compact(Profile::Nfi.control()),
        ];
        &WORDS[self as usize]
    }
}

/// A payload that is spoken in every [`Profile`]; as a [`Payload`] it is the legacy one.
///
/// ```
/// use stanchion_stanza::{Element, Payload};
/// use stanchion_stanza::payload::sensordata::{Accepted, Profile, Profiled, Request};
///
/// let asked: Element = Request::momentary(7).to_element_in(Profile::Nf);
/// assert!(!Request::matches(&asked));
/// let Some((profile, request)) = Request::find_any([&asked])? else { panic!() };
/// let answer = Accepted { id: request.id, queued: false }.to_element_in(profile);
/// assert_eq!(answer.ns(), "urn:nf:iot:sd:1.0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Profiled: Payload {
    /// Local name and namespace of the element in `profile`.
    #[must_use]
    fn name_in(profile: Profile) -> (&'static str, &'static str);

    /// Reads the payload from an element of which [`Profiled::profile_of`] says `profile`.
    ///
    /// # Errors
    /// As [`Payload::from_element`].
    fn from_element_in(element: &Element, profile: Profile) -> Result<Self, PayloadError>;

    /// Writes the payload in the words of `profile`.
    fn to_element_in(&self, profile: Profile) -> Element;

    /// In which profile `element` is this payload, if it is.
    #[must_use]
    fn profile_of(element: &Element) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| {
            let (name, ns) = Self::name_in(*profile);
            element.is(name, ns)
        })
    }

    /// Reads the first of `elements` that is this payload in any profile, and tells in
    /// which.
    ///
    /// # Errors
    /// As [`Payload::from_element`].
    fn find_any<'a>(
        elements: impl IntoIterator<Item = &'a Element>,
    ) -> Result<Option<(Profile, Self)>, PayloadError> {
        elements
            .into_iter()
            .find_map(|e| Some((Self::profile_of(e)?, e)))
            .map(|(profile, e)| Ok((profile, Self::from_element_in(e, profile)?)))
            .transpose()
    }
}

/// A payload from its two names, its namespace and its words, read and written by
/// functions `read` and `write` that take the words.
macro_rules! profiled {
    ($name:ident, $long:literal, $short:literal, $ns:ident, $words:ident) => {
        impl Payload for $name {
            const NAME: &'static str = $long;
            const NS: &'static str = Profile::Legacy.$ns();

            fn from_element(element: &Element) -> Result<Self, PayloadError> {
                Self::from_element_in(element, Profile::Legacy)
            }

            fn to_element(&self) -> Element {
                self.to_element_in(Profile::Legacy)
            }
        }

        impl Profiled for $name {
            fn name_in(profile: Profile) -> (&'static str, &'static str) {
                let name = if profile.is_compact() { $short } else { $long };
                (name, profile.$ns())
            }

            fn from_element_in(element: &Element, profile: Profile) -> Result<Self, PayloadError> {
                Self::read(element.view(), profile.$words())
            }

            fn to_element_in(&self, profile: Profile) -> Element {
                self.write(profile.$words())
            }
        }
    };
}
pub(crate) use profiled;
