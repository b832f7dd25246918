//! One point: where it lies, and how registers become its value and back.

use serde::Deserialize;
use stanchion_stanza::Text;

use super::plan::Span;
use super::wire::{MOST_WRITTEN, Request, Table};
use crate::adapter::Misuse;
use crate::model::{
    FieldSpec, Kind, ParameterKind, ParameterSpec, Sampling, SettingValue, Value, number,
};

/// A value of a device.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointConfig {
    /// The field's name, unique in its thing.
    pub name: String,
    /// The thing it belongs to. Default that of the device.
    #[serde(default)]
    pub thing: Option<String>,
    /// The table it lies in: `coil`, `discrete`, `input` or `holding`.
    pub kind: Table,
    /// Its address as it is on the wire: from 0 on. (Number 40001 of a manual is `holding`
    /// with address 0.)
    pub address: u16,
    /// What it is. Default `bool` of coils and discrete inputs, `u16` of registers.
    #[serde(default, rename = "type")]
    pub of: Option<Type>,
    /// For a `bool` in a register: which bit, 0 (the lowest) to 15. It can only be read.
    #[serde(default)]
    pub bit: Option<u8>,
    /// For a `string`: how many registers, 1 to 123.
    #[serde(default)]
    pub length: Option<u16>,
    /// In which order its bytes come. Default that of the device.
    #[serde(default)]
    pub order: Option<Order>,
    /// What one of the device's steps is worth. Default 1.
    #[serde(default = "one")]
    pub scale: f64,
    /// What is added after that. Default 0.
    #[serde(default)]
    pub offset: f64,
    /// How many decimals are told, 0 to 12. Default as many as `scale` and `offset` have;
    /// 3 for floating-point numbers.
    #[serde(default)]
    pub decimals: Option<u8>,
    /// The unit, as it is written on the wire, such as `Cel`. Default none.
    #[serde(default)]
    pub unit: String,
    /// Whether it may be set: coils and holding registers. Default `false`.
    #[serde(default)]
    pub writable: bool,
    /// The least that it may be set to, in its unit. Default what its type holds.
    #[serde(default)]
    pub min: Option<f64>,
    /// The most.
    #[serde(default)]
    pub max: Option<f64>,
    /// When its value is told.
    #[serde(default)]
    pub sampling: Sampling,
}

const fn one() -> f64 {
    1.0
}

/// What registers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Yes or no.
    Bool,
    /// 16 bits.
    U16,
    /// 16 bits, signed.
    I16,
    /// Two registers.
    U32,
    /// Two registers, signed.
    I32,
    /// Four registers.
    U64,
    /// Four registers, signed.
    I64,
    /// Two registers, IEEE 754.
    F32,
    /// Four registers, IEEE 754.
    F64,
    /// Two characters a register, up to the first NUL.
    String,
}

/// In which order the bytes of a value come; `a` is the highest of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As the specification has it: the highest register first, the high byte first.
    #[default]
    Abcd,
    /// The lowest register first.
    Cdab,
    /// The highest register first, the low byte first.
    Badc,
    /// The lowest register first, the low byte first.
    Dcba,
}

impl Order {
    /// From the wire to big-endian, and back: it is its own inverse.
    fn apply(self, words: &mut [u16]) {
        if matches!(self, Self::Cdab | Self::Dcba) {
            words.reverse();
        }
        if matches!(self, Self::Badc | Self::Dcba) {
            words.iter_mut().for_each(|word| *word = word.swap_bytes());
        }
    }
}

impl Type {
    const fn registers(self) -> Option<u16> {
        match self {
            Self::Bool | Self::U16 | Self::I16 => Some(1),
            Self::U32 | Self::I32 | Self::F32 => Some(2),
            Self::U64 | Self::I64 | Self::F64 => Some(4),
            Self::String => None,
        }
    }

    const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The least and the most that it holds.
    fn bounds(self) -> (f64, f64) {
        // What 64 bits hold is told as closely as a double can.
        #[allow(clippy::cast_precision_loss)]
        match self {
            Self::Bool | Self::String => (0.0, 1.0),
            Self::U16 => (0.0, u16::MAX.into()),
            Self::I16 => (i16::MIN.into(), i16::MAX.into()),
            Self::U32 => (0.0, u32::MAX.into()),
            Self::I32 => (i32::MIN.into(), i32::MAX.into()),
            Self::U64 => (0.0, u64::MAX as f64),
            Self::I64 => (i64::MIN as f64, i64::MAX as f64),
            Self::F32 => (f32::MIN.into(), f32::MAX.into()),
            Self::F64 => (f64::MIN, f64::MAX),
        }
    }
}

/// A point that was checked.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) thing: Text,
    pub(super) field: FieldSpec,
    pub(super) parameter: Option<ParameterSpec>,
    pub(super) span: Span,
    of: Type,
    bit: Option<u8>,
    order: Order,
    scale: f64,
    offset: f64,
    decimals: usize,
    write_multiple: bool,
}

/// What the registers of a point cannot be, in its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoValue {
    #[error("the device gives no finite number")]
    NotANumber,
    #[error("the device gives text with characters that cannot be told")]
    NoText,
    #[error("the device gave less than was asked for")]
    Missing,
}

/// What is so for every point of a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    /// The order of bytes of those that say nothing of it.
    pub(super) order: Order,
    /// How many registers the device gives in one request.
    pub(super) registers_per_request: u16,
    /// Whether it takes functions 15 and 16 only.
    pub(super) write_multiple: bool,
}

impl Point {
    pub(super) fn new(config: &PointConfig, thing: &Text, device: Common) -> Result<Self, Misuse> {
        let key = format!("points.{}", config.name);
        let wrong = |what: &str| Err(Misuse::of(&key, what));
        let name = Misuse::unless_text(&key, &config.name)?;
        let thing = match &config.thing {
            Some(thing) => Misuse::unless_text(&format!("{key}.thing"), thing)?,
            None => thing.clone(),
        };
        let is_bits = config.kind.is_bits();
        let of = config
            .of
            .unwrap_or(if is_bits { Type::Bool } else { Type::U16 });
        if is_bits && of != Type::Bool {
            return wrong("a coil or discrete input is a `bool`");
        }
        let bit = match (of, is_bits, config.bit) {
            (Type::Bool, false, Some(bit @ 0..=15)) => Some(bit),
            (Type::Bool, false, _) => {
                return wrong("a `bool` in a register needs `bit`, from 0 to 15");
            }
            (_, _, Some(_)) => return wrong("`bit` is for a `bool` in a register"),
            (_, _, None) => None,
        };
        let count = match (of.registers(), config.length) {
            (Some(count), None) => count,
            (None, Some(length)) => {
                Misuse::unless_within(&format!("{key}.length"), length, 1, MOST_WRITTEN)?;
                length
            }
            (Some(_), Some(_)) => return wrong("`length` is for a `string`"),
            (None, None) => return wrong("a `string` needs `length`, in registers"),
        };
        if u32::from(config.address) + u32::from(count) > 65_536 {
            return wrong("it ends beyond the last address, 65535");
        }
        if count > device.registers_per_request {
            return wrong("it is longer than `registers_per_request`");
        }
        let finite = config.scale.is_finite() && config.scale != 0.0 && config.offset.is_finite();
        if !finite {
            return wrong("`scale` is to be a number other than 0, and `offset` a number");
        }
        let scaled = (config.scale, config.offset) != (1.0, 0.0);
        let numeric = scaled || config.decimals.is_some() || !config.unit.is_empty();
        if numeric && matches!(of, Type::Bool | Type::String) {
            return wrong("`scale`, `offset`, `decimals` and `unit` are for numbers");
        }
        Misuse::unless_within(
            &format!("{key}.decimals"),
            config.decimals.unwrap_or(0),
            0,
            12,
        )?;
        let decimals = match config.decimals {
            Some(decimals) => decimals.into(),
            None if of.is_float() => 3,
            None => decimals_of(config.scale).max(decimals_of(config.offset)),
        };
        let kind = match of {
            Type::Bool => Kind::Boolean,
            Type::String => Kind::String,
            _ if numeric => Kind::Numeric,
            Type::U16 | Type::I16 | Type::I32 => Kind::Int,
            Type::U32 | Type::I64 => Kind::Long,
            Type::U64 | Type::F32 | Type::F64 => Kind::Numeric,
        };
        if config.sampling.deadband.is_nan() || config.sampling.deadband < 0.0 {
            return wrong("`deadband` is not to be negative");
        }
        let unit = match config.unit.as_str() {
            "" => Text::default(),
            unit => Misuse::unless_text(&format!("{key}.unit"), unit)?,
        };
        let mut field = FieldSpec::new(name.clone(), kind).sampled(config.sampling);
        field.unit = unit;
        field.writable = config.writable;
        let mut point = Self {
            thing,
            field,
            parameter: None,
            span: Span {
                table: config.kind,
                address: config.address,
                count,
            },
            of,
            bit,
            order: config.order.unwrap_or(device.order),
            scale: config.scale,
            offset: config.offset,
            decimals,
            write_multiple: device.write_multiple,
        };
        if config.writable {
            if !matches!(config.kind, Table::Coil | Table::Holding) || bit.is_some() {
                return wrong("only coils and whole holding registers can be set");
            }
            if count > MOST_WRITTEN {
                return wrong("it is longer than what can be written at once");
            }
            let kind = point.settable(kind, config.min, config.max);
            let Some(kind) = kind else {
                return wrong("`min` is to be less than `max`, and both within its type");
            };
            point.parameter = Some(ParameterSpec::new(name, kind));
        } else if config.min.is_some() || config.max.is_some() {
            return wrong("`min` and `max` are for what is `writable`");
        }
        Ok(point)
    }

    /// What it may be set to.
    fn settable(&self, kind: Kind, min: Option<f64>, max: Option<f64>) -> Option<ParameterKind> {
        let (least, most) = self.of.bounds();
        let ends = [least, most].map(|raw| raw * self.scale + self.offset);
        let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let range = min.unwrap_or(low)..=max.unwrap_or(high);
        let holds = range.start() <= range.end() && *range.start() >= low && *range.end() <= high;
        // Bounds with a fraction are rounded inwards; those of 64 bits saturate.
        #[allow(clippy::cast_possible_truncation)]
        match kind {
            Kind::Boolean => Some(ParameterKind::Boolean),
            Kind::String => Some(ParameterKind::String),
            _ if !holds => None,
            Kind::Int => Some(ParameterKind::Int(
                range.start().ceil() as i32..=range.end().floor() as i32,
            )),
            Kind::Long => Some(ParameterKind::Long(
                range.start().ceil() as i64..=range.end().floor() as i64,
            )),
            _ => Some(ParameterKind::Double(range)),
        }
    }

    /// The value that these registers are.
    pub(super) fn value_of_words(&self, words: &[u16]) -> Result<Value, NoValue> {
        let mut words = words.to_vec();
        if self.of == Type::String {
            if matches!(self.order, Order::Badc | Order::Dcba) {
                words.iter_mut().for_each(|word| *word = word.swap_bytes());
            }
            return self.text_of(&words);
        }
        self.order.apply(&mut words);
        let raw = match *words {
            [a] => u64::from(a),
            [a, b] => u64::from(a) << 16 | u64::from(b),
            [a, b, c, d] => [a, b, c, d]
                .iter()
                .fold(0, |raw, word| raw << 16 | u64::from(*word)),
            _ => return Err(NoValue::Missing),
        };
        // Each takes as many bits as its type has.
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
        match self.of {
            Type::Bool => {
                let bit = self.bit.unwrap_or(0);
                Ok(Value::Boolean(raw >> bit & 1 == 1))
            }
            Type::U16 | Type::U32 | Type::U64 => self.whole(raw.into()),
            Type::I16 => self.whole((raw as u16 as i16).into()),
            Type::I32 => self.whole((raw as u32 as i32).into()),
            Type::I64 => self.whole((raw as i64).into()),
            Type::F32 => self.measure(f32::from_bits(raw as u32).into()),
            Type::F64 => self.measure(f64::from_bits(raw)),
            Type::String => Err(NoValue::Missing),
        }
    }

    fn whole(&self, raw: i128) -> Result<Value, NoValue> {
        match self.field.kind {
            Kind::Int => i32::try_from(raw).map(Value::Int),
            Kind::Long => i64::try_from(raw).map(Value::Long),
            _ if (self.scale, self.offset, self.decimals) == (1.0, 0.0, 0) => {
                // As it is, beyond what a double holds.
                let value = raw.to_string().parse();
                let unit = self.field.unit.clone();
                return (value.map(|value| Value::Numeric { value, unit }))
                    .map_err(|_| NoValue::NotANumber);
            }
            #[allow(clippy::cast_precision_loss)]
            _ => return self.measure(raw as f64),
        }
        .map_err(|_| NoValue::NotANumber)
    }

    fn measure(&self, raw: f64) -> Result<Value, NoValue> {
        let value = raw * self.scale + self.offset;
        number(value, self.decimals, self.field.unit.clone()).map_err(|_| NoValue::NotANumber)
    }

    fn text_of(&self, words: &[u16]) -> Result<Value, NoValue> {
        let bytes = words.iter().flat_map(|word| word.to_be_bytes());
        let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
        let text = std::str::from_utf8(&bytes).map_err(|_| NoValue::NoText)?;
        let text = Text::new(text.trim_end()).map_err(|_| NoValue::NoText)?;
        Ok(Value::String(text))
    }

    /// The request that sets it, or why it cannot be that. The value was checked.
    pub(super) fn write(&self, value: &SettingValue) -> Result<Request, String> {
        let address = self.span.address;
        if self.span.table == Table::Coil {
            let (SettingValue::Boolean(on) | SettingValue::Bool(on)) = value else {
                return Err(format!("`{}` is to be true or false", self.field.name));
            };
            return Ok(match self.write_multiple {
                false => Request::WriteCoil { address, on: *on },
                true => Request::WriteCoils {
                    address,
                    bits: vec![*on],
                },
            });
        }
        let words = self.words_of(value)?;
        Ok(match *words {
            [word] if !self.write_multiple => Request::WriteRegister { address, word },
            _ => Request::WriteRegisters { address, words },
        })
    }

    fn words_of(&self, value: &SettingValue) -> Result<Vec<u16>, String> {
        let name = &self.field.name;
        if self.of == Type::String {
            let (SettingValue::String(text) | SettingValue::Enum { value: text, .. }) = value
            else {
                return Err(format!("`{name}` is to be a text"));
            };
            return self.words_of_text(text);
        }
        let exact = match value {
            SettingValue::Int(number) => Some(i128::from(*number)),
            SettingValue::Long(number) => Some(i128::from(*number)),
            SettingValue::Double(number) => number.as_str().parse().ok(),
            _ => return Err(format!("`{name}` is to be a number")),
        };
        let unscaled = (self.scale, self.offset) == (1.0, 0.0);
        let misfit = || format!("`{name}` cannot hold that number");
        // Rounded to the device's steps; the casts saturate, and what does not fit is
        // refused.
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let bytes: Vec<u8> = {
            let wide = match (value, exact) {
                (SettingValue::Double(number), _) => number.to_f64(),
                (_, Some(number)) => number as f64,
                (_, None) => return Err(misfit()),
            };
            let raw = (wide - self.offset) / self.scale;
            if !raw.is_finite() {
                return Err(misfit());
            }
            let whole = match exact {
                Some(number) if unscaled => number,
                _ => raw.round() as i128,
            };
            match self.of {
                Type::U16 => u16::try_from(whole).map(|v| v.to_be_bytes().to_vec()),
                Type::I16 => i16::try_from(whole).map(|v| v.to_be_bytes().to_vec()),
                Type::U32 => u32::try_from(whole).map(|v| v.to_be_bytes().to_vec()),
                Type::I32 => i32::try_from(whole).map(|v| v.to_be_bytes().to_vec()),
                Type::U64 => u64::try_from(whole).map(|v| v.to_be_bytes().to_vec()),
                Type::I64 => i64::try_from(whole).map(|v| v.to_be_bytes().to_vec()),
                Type::F32 if (raw as f32).is_finite() => Ok((raw as f32).to_be_bytes().to_vec()),
                Type::F64 => Ok(raw.to_be_bytes().to_vec()),
                _ => return Err(misfit()),
            }
            .map_err(|_| misfit())?
        };
        let pairs = bytes.chunks_exact(2);
        let mut words: Vec<u16> = pairs.map(|p| u16::from_be_bytes([p[0], p[1]])).collect();
        self.order.apply(&mut words);
        Ok(words)
    }

    fn words_of_text(&self, text: &str) -> Result<Vec<u16>, String> {
        let room = usize::from(self.span.count) * 2;
        if text.len() > room || text.contains('\0') {
            return Err(format!(
                "`{}` takes at most {room} bytes of text",
                self.field.name
            ));
        }
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(room, 0);
        let pairs = bytes.chunks_exact(2);
        let words = pairs.map(|p| u16::from_be_bytes([p[0], p[1]]));
        Ok(match self.order {
            Order::Abcd | Order::Cdab => words.collect(),
            Order::Badc | Order::Dcba => words.map(u16::swap_bytes).collect(),
        })
    }
}

/// How many decimals a number has, written as short as it can be.
fn decimals_of(number: f64) -> usize {
    let digits = number.to_string();
    let decimals = digits.split_once('.').map_or(0, |(_, after)| after.len());
    decimals.min(12)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::modbus::config::Config;

    fn point(rest: &str) -> Point {
        let text =
            format!("tcp = 'm:502'\n[[points]]\nname = 'p'\nkind = 'holding'\naddress = 1\n{rest}");
        let config: Config = toml::from_str(&text).unwrap();
        config.check().unwrap().remove(0)
    }

    fn digits(value: &Value) -> String {
        match value {
            Value::Numeric { value, .. } => value.as_str().to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_type_is_read_in_each_order() {
        let orders = [
            ("abcd", [0x4148, 0xF5C3]),
            ("cdab", [0xF5C3, 0x4148]),
            ("badc", [0x4841, 0xC3F5]),
            ("dcba", [0xC3F5, 0x4841]),
        ];
        for (order, words) in orders {
            let f32 = point(&format!("type = 'f32'\ndecimals = 2\norder = '{order}'"));
            assert_eq!(digits(&f32.value_of_words(&words).unwrap()), "12.56");
        }
        let temperature = point("type = 'i16'\nscale = 0.1\nunit = 'Cel'");
        let cold = temperature.value_of_words(&[0xFFF6]).unwrap();
        assert_eq!(digits(&cold), "-1.0");
        let plain = point("type = 'i16'").value_of_words(&[0xFFF6]);
        assert_eq!(plain, Ok(Value::Int(-10)));
        let long = point("type = 'u32'").value_of_words(&[0xFFFF, 0xFFFF]);
        assert_eq!(long, Ok(Value::Long(4_294_967_295)));
        let all = point("type = 'u64'").value_of_words(&[0xFFFF; 4]).unwrap();
        assert_eq!(digits(&all), "18446744073709551615");
        let text = point("type = 'string'\nlength = 3");
        let pump = text.value_of_words(&[0x5075, 0x6D70, 0]).unwrap();
        assert_eq!(pump, Value::String(Text::from_static("Pump")));
        let bit = point("type = 'bool'\nbit = 3");
        assert_eq!(bit.value_of_words(&[8]), Ok(Value::Boolean(true)));
    }

    #[test]
    fn what_a_type_does_not_hold_is_refused() {
        let byte = point("type = 'u16'\nscale = 0.5\nwritable = true");
        let half = |v: f64| byte.write(&SettingValue::Double(v.into()));
        assert!(half(40_000.0).is_err());
        assert!(half(-1.0).is_err());
        assert!(half(f64::NAN).is_err());
        let written = Request::WriteRegister {
            address: 1,
            word: 43,
        };
        assert_eq!(half(21.5), Ok(written));
        let float = point("type = 'f32'\nwritable = true");
        assert!(float.write(&SettingValue::Double(1e39.into())).is_err());
        let text = point("type = 'string'\nlength = 1\nwritable = true");
        let long = SettingValue::String(Text::from_static("abc"));
        assert!(text.write(&long).is_err());
    }

    #[test]
    fn no_number_is_no_value() {
        let float = point("type = 'f32'");
        assert_eq!(float.value_of_words(&[0x7FC0, 0]), Err(NoValue::NotANumber));
        let text = point("type = 'string'\nlength = 1");
        assert_eq!(text.value_of_words(&[0xFFFE]), Err(NoValue::NoText));
    }

    #[test]
    fn bounds_are_those_of_the_configuration_or_of_the_type() {
        let kind = |rest| point(rest).parameter.unwrap().kind;
        assert_eq!(kind("writable = true"), ParameterKind::Int(0..=65_535));
        assert_eq!(
            kind("writable = true\nmin = 5\nmax = 10"),
            ParameterKind::Int(5..=10)
        );
        assert_eq!(
            kind("type = 'i16'\nscale = 0.1\nwritable = true\nmax = 30.0"),
            ParameterKind::Double(-3276.8..=30.0)
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(raw in any::<i32>(), order in 0usize..4) {
            let order = ["abcd", "cdab", "badc", "dcba"][order];
            let point = point(&format!("type = 'i32'\norder = '{order}'\nwritable = true"));
            let words = point.words_of(&SettingValue::Int(raw)).unwrap();
            prop_assert_eq!(point.value_of_words(&words), Ok(Value::Int(raw)));
        }

        #[test]
        fn no_registers_panic(words in prop::collection::vec(any::<u16>(), 0..8)) {
            for of in ["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"] {
                let _ = point(&format!("type = '{of}'\nscale = 0.01")).value_of_words(&words);
            }
            let _ = point("type = 'string'\nlength = 8").value_of_words(&words);
        }
    }
}
