//! Fields and parameters: read from a part of a message, and written.

use super::error::Error;
use super::names::{self, parameter};

/// What is left of a message or a parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) name: &'static str,
    rest: &'a [u8],
}

impl<'a> Part<'a> {
    pub(super) const fn new(name: &'static str, rest: &'a [u8]) -> Self {
        Self { name, rest }
    }

    pub(super) fn bytes(&mut self, wanted: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.rest.split_at_checked(wanted).ok_or(Error::Ends {
            part: self.name,
            wanted,
            left: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Error::Ends {
            part: self.name,
            wanted: N,
            left: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn i8(&mut self) -> Result<i8, Error> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// A bit that has a byte: the other seven are reserved.
    pub(super) fn bit(&mut self) -> Result<bool, Error> {
        Ok(self.u8()? & 0x80 != 0)
    }

    /// Text with its length. Bytes that are not UTF-8 are shown as such.
    pub(super) fn text(&mut self) -> Result<String, Error> {
        let length = self.u16()?;
        let bytes = self.bytes(usize::from(length))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Bytes with their number.
    pub(super) fn counted_bytes(&mut self) -> Result<Vec<u8>, Error> {
        let length = self.u16()?;
        Ok(self.bytes(usize::from(length))?.to_vec())
    }

    /// Numbers with their count.
    pub(super) fn counted_u16s(&mut self) -> Result<Vec<u16>, Error> {
        let count = usize::from(self.u16()?);
        let bytes = self.bytes(count * 2)?;
        let pairs = bytes.chunks_exact(2);
        Ok(pairs
            .map(|pair| pair.iter().fold(0, |n, byte| (n << 8) | u16::from(*byte)))
            .collect())
    }

    /// The next parameter, by its type, and what is in it.
    pub(super) fn parameter(&mut self) -> Result<Option<(u16, Part<'a>)>, Error> {
        let Some(first) = self.rest.first() else {
            return Ok(None);
        };
        if first & 0x80 != 0 {
            let kind = first & 0x7f;
            let length = names::tv_length(u16::from(kind)).ok_or(Error::UnknownTv {
                within: self.name,
                kind,
            })?;
            let kind = u16::from(kind);
            self.u8()?;
            let mut body = Part::new(parameter(kind), self.rest);
            let bytes = body.bytes(length)?;
            self.rest = body.rest;
            return Ok(Some((kind, Part::new(parameter(kind), bytes))));
        }
        let left = self.rest.len();
        let kind = self.u16()? & 0x3ff;
        let length = usize::from(self.u16()?);
        let wrong = Error::ParameterLength {
            part: parameter(kind),
            within: self.name,
            length,
            left,
        };
        let body = length.checked_sub(4).ok_or_else(|| wrong.clone())?;
        let bytes = self.bytes(body).map_err(|_| wrong)?;
        Ok(Some((kind, Part::new(parameter(kind), bytes))))
    }

    /// What follows are parameters that nobody asked for.
    pub(super) fn skip_rest(&mut self) -> Result<(), Error> {
        while self.parameter()?.is_some() {}
        Ok(())
    }

    /// A parameter that must have been there.
    pub(super) fn wanted<T>(&self, found: Option<T>, kind: u16) -> Result<T, Error> {
        found.ok_or(Error::Missing {
            part: parameter(kind),
            within: self.name,
        })
    }

    /// Puts a parameter where there may be one.
    pub(super) fn once<T>(&self, place: &mut Option<T>, value: T, kind: u16) -> Result<(), Error> {
        if place.replace(value).is_some() {
            return Err(Error::Twice {
                part: parameter(kind),
                within: self.name,
            });
        }
        Ok(())
    }
}

/// What is written.
#[derive(Debug, Default)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn bit(&mut self, value: bool) {
        self.u8(if value { 0x80 } else { 0 });
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Bytes with their number, which may be no more than two bytes can say.
    pub(super) fn counted(&mut self, part: &'static str, bytes: &[u8]) -> Result<(), Error> {
        self.u16(short(part, bytes.len())?);
        self.bytes(bytes);
        Ok(())
    }

    pub(super) fn counted_u16s(&mut self, part: &'static str, values: &[u16]) -> Result<(), Error> {
        self.u16(short(part, values.len())?);
        values.iter().for_each(|value| self.u16(*value));
        Ok(())
    }

    /// A parameter without a length of its own.
    pub(super) fn tv(&mut self, kind: u16, body: &[u8]) {
        // The types of these parameters have seven bits.
        self.u8(0x80 | kind.to_be_bytes()[1]);
        self.bytes(body);
    }

    /// The same, if there is one.
    pub(super) fn tv_if<const N: usize>(&mut self, kind: u16, body: Option<[u8; N]>) {
        if let Some(body) = body {
            self.tv(kind, &body);
        }
    }

    /// A parameter with its length.
    pub(super) fn tlv(
        &mut self,
        kind: u16,
        body: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let start = self.0.len();
        self.u16(kind);
        self.u16(0);
        body(self)?;
        let length = short(parameter(kind), self.0.len() - start)?;
        if let Some(place) = self.0.get_mut(start + 2..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}

fn short(part: &'static str, length: usize) -> Result<u16, Error> {
    u16::try_from(length).map_err(|_| Error::TooLong { part, length })
}
