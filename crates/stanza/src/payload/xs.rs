//! XML Schema datatypes (Part 2) as attributes use them: what of their many spellings is
//! read, and the one that is written. Dates and times stay text: this crate has no
//! calendar.

use crate::xml::Element;

/// A boolean whose default is `false` (§3.2.2): `true` or `1`. Anything else is false:
/// what is not said in so many words is not the case.
pub(crate) fn flag(element: &Element, name: &str) -> bool {
    matches!(element.attr(name), Some("true" | "1"))
}
