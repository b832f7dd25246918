//! What a reader says of a request: LLRPStatus.

use std::fmt;

use super::error::Error;
use super::names::part;
use super::wire::{Out, Part};

/// Whether a request succeeded, and if not, what was wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The code; 0 is success. From 100 on the message is wrong, from 200 on a parameter,
    /// from 300 on a field; 401 is a fault of the device.
    pub code: u16,
    /// What the reader says about it.
    pub description: String,
    /// Which field, counted from 0, and what is wrong with it.
    pub field: Option<(u16, u16)>,
    /// Which parameter, by its type, and what is wrong with it.
    pub parameter: Option<(u16, u16)>,
}

impl Status {
    /// Success.
    #[must_use]
    pub fn success() -> Self {
        Self::default()
    }

    /// Whether it is success.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.code == 0
    }

    pub(super) fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let mut status = Self {
            code: from.u16()?,
            description: from.text()?,
            ..Self::default()
        };
        while let Some((kind, mut body)) = from.parameter()? {
            match kind {
                part::FIELD_ERROR => {
                    let field = (body.u16()?, body.u16()?);
                    from.once(&mut status.field, field, kind)?;
                }
                part::PARAMETER_ERROR => {
                    let parameter = (body.u16()?, body.u16()?);
                    // Which of its own parameters it was is not looked into.
                    from.once(&mut status.parameter, parameter, kind)?;
                }
                _ => continue,
            }
            body.skip_rest()?;
        }
        Ok(status)
    }

    pub(super) fn write(&self, out: &mut Out) -> Result<(), Error> {
        let pair = |out: &mut Out, (what, code): (u16, u16)| {
            out.u16(what);
            out.u16(code);
            Ok(())
        };
        out.tlv(part::LLRP_STATUS, |out| {
            out.u16(self.code);
            out.counted("ErrorDescription", self.description.as_bytes())?;
            if let Some(field) = self.field {
                out.tlv(part::FIELD_ERROR, |out| pair(out, field))?;
            }
            if let Some(parameter) = self.parameter {
                out.tlv(part::PARAMETER_ERROR, |out| pair(out, parameter))?;
            }
            Ok(())
        })
    }

    /// The only parameter that counts in a message that only says how a request went.
    pub(super) fn only(mut from: Part<'_>) -> Result<Self, Error> {
        let mut status = None;
        while let Some((kind, body)) = from.parameter()? {
            if kind == part::LLRP_STATUS {
                from.once(&mut status, Self::read(body)?, kind)?;
            }
        }
        from.wanted(status, part::LLRP_STATUS)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match self.code {
            0 => return f.write_str("success"),
            100 | 200 => "a parameter is wrong",
            101 | 201 => "a field is wrong",
            102 | 202 => "a parameter is not expected",
            103 | 203 => "a parameter is missing",
            104 | 204 => "a parameter is there twice",
            105 | 205 => "there are too many parameters",
            106 | 206 => "a field is too great",
            107 | 207 => "a parameter is unknown",
            108 | 208 => "a field is unknown",
            109 => "the message is not supported",
            110 => "the version is not supported",
            111 | 209 => "a parameter is not supported",
            300 => "an attribute is not valid",
            301 => "an attribute is out of range",
            401 => "the device has a fault",
            _ => "an error",
        };
        write!(f, "status {}, {said}", self.code)?;
        if let Some((field, _)) = self.field {
            write!(f, " (field {field})")?;
        }
        if let Some((parameter, _)) = self.parameter {
            write!(f, " ({})", super::names::parameter(parameter))?;
        }
        if !self.description.is_empty() {
            write!(f, ": {}", self.description)?;
        }
        Ok(())
    }
}
