//! How a device says that it speaks this extension, and which device it is: a feature and
//! a form in service discovery (XEP-0030, XEP-0128), and an element in presence.

use super::shape::{Part, Reader, Sink, element};
use super::{Device, Place, StoreTag};
use crate::ns;
use crate::payload::disco::DiscoInfo;
use crate::payload::forms::{Field, Form, FormType};
use crate::payload::{Payload as _, PayloadError};
use crate::xml::Text;

/// The feature that a device announces in service discovery (XEP-0030 §3).
pub const FEATURE: &str = ns::DELIVERY;

const DEVICE: &str = "device";
const STORE: &str = "store";

/// The form that goes along with [`FEATURE`] (XEP-0128): `FORM_TYPE` is the feature, and
/// the fields `device` and `store` say who speaks.
#[must_use]
pub fn capability_form(place: &Place) -> Form {
    let field = |name, value: String| Field::new(Text::literal(name), Text::checked(value));
    Form::of(FormType::Result, Text::literal(FEATURE))
        .with(field(DEVICE, place.device.to_string()))
        .with(field(STORE, place.store.to_string()))
}

/// Who speaks, by an answer of service discovery: none unless the feature is announced
/// along with a form that says it. Several such forms make an answer ill-formed (XEP-0115
/// §5.4), and say nothing.
#[must_use]
pub fn place_of(info: &DiscoInfo) -> Option<Place> {
    if !info.has(FEATURE) {
        return None;
    }
    let forms = info.extensions.iter().filter(|e| Form::matches(e));
    let mut ours = forms
        .filter_map(|e| Form::from_element(e).ok())
        .filter(|form| form.form_type() == Some(FEATURE));
    let (form, None) = (ours.next()?, ours.next()) else {
        return None;
    };
    Some(Place {
        device: Device::new(form.value(DEVICE)?).ok()?,
        store: form.value(STORE)?.parse::<StoreTag>().ok()?,
    })
}

/// In presence, which device and store the resource is: `<at v='R1.s9'/>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At(pub Place);

element! {
    At, "at"
}

impl Part for At {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        element.attr("v").map(Self)
    }

    fn write(&self, to: &mut impl Sink) {
        to.attr("v", &self.0);
    }
}
