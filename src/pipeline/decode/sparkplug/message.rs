//! The payloads of Sparkplug B (specification 3.0, chapter 6, `sparkplug_b.proto`), as far as
//! samples need them.

use super::super::record::Scalar;
use crate::pipeline::reject::Got;
use crate::protobuf::wire::{Fields, Malformed, Value};

/// A payload: its time, and its metrics one after the other.
#[derive(Debug)]
pub(super) struct Payload<'p> {
    /// Milliseconds since 1970.
    pub(super) timestamp: Option<u64>,
    pub(super) uuid: &'p [u8],
    message: &'p [u8],
}

/// The UUID of payloads that are compressed, which is a convention of Eclipse Tahu.
pub(super) const COMPRESSED: &[u8] = b"SPBV1.0_COMPRESSED";

/// A metric. The numbers are as they are written; their type may be known from the birth only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Metric<'p> {
    pub(super) name: Option<&'p [u8]>,
    pub(super) alias: Option<u64>,
    /// Milliseconds since 1970.
    pub(super) timestamp: Option<u64>,
    pub(super) datatype: Option<u64>,
    is_null: bool,
    value: Option<MetricValue<'p>>,
}

#[derive(Clone, Copy, Debug)]
enum MetricValue<'p> {
    Int(u64),
    Long(u64),
    Float(f32),
    Double(f64),
    Bool(bool),
    Text(&'p [u8]),
    /// Bytes, a data set or a template.
    Other,
}

impl<'p> Payload<'p> {
    pub(super) fn read(message: &'p [u8]) -> Result<Self, Malformed> {
        let mut payload = Self { timestamp: None, uuid: &[], message };
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Varint(timestamp)) => payload.timestamp = Some(timestamp),
                (4, Value::Bytes(uuid)) => payload.uuid = uuid,
                _ => {}
            }
        }
        Ok(payload)
    }

    /// Calls `take` with each metric.
    pub(super) fn metrics<E: From<Malformed>>(
        &self,
        mut take: impl FnMut(Metric<'p>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut fields = Fields::of(self.message);
        while let Some(field) = fields.next()? {
            if let (2, Value::Bytes(metric)) = field {
                take(Metric::read(metric)?)?;
            }
        }
        Ok(())
    }
}

impl<'p> Metric<'p> {
    fn read(message: &'p [u8]) -> Result<Self, Malformed> {
        let mut metric = Self::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(name)) => metric.name = Some(name),
                (2, Value::Varint(alias)) => metric.alias = Some(alias),
                (3, Value::Varint(timestamp)) => metric.timestamp = Some(timestamp),
                (4, Value::Varint(datatype)) => metric.datatype = Some(datatype),
                (7, Value::Varint(is_null)) => metric.is_null = is_null != 0,
                (10, Value::Varint(value)) => metric.value = Some(MetricValue::Int(value)),
                (11, Value::Varint(value)) => metric.value = Some(MetricValue::Long(value)),
                (12, Value::Fixed32(value)) => {
                    metric.value = Some(MetricValue::Float(f32::from_le_bytes(value)));
                }
                (13, Value::Fixed64(value)) => {
                    metric.value = Some(MetricValue::Double(f64::from_le_bytes(value)));
                }
                (14, Value::Varint(value)) => metric.value = Some(MetricValue::Bool(value != 0)),
                (15, Value::Bytes(text)) => metric.value = Some(MetricValue::Text(text)),
                (16..=19, _) => metric.value = Some(MetricValue::Other),
                _ => {}
            }
        }
        Ok(metric)
    }

    /// The value, read as one of this type.
    ///
    /// # Errors
    /// An integer whose sign only its type tells, where that is not known.
    pub(super) fn scalar(&self, datatype: Option<u64>) -> Result<Scalar, Malformed> {
        if self.is_null {
            return Ok(Scalar::Other(Got::Null));
        }
        Ok(match self.value {
            None => Scalar::Missing,
            Some(MetricValue::Int(value)) => Scalar::Whole(int(value, datatype)?),
            Some(MetricValue::Long(value)) => Scalar::Whole(long(value, datatype)?),
            Some(MetricValue::Float(value)) => Scalar::Real(f64::from(value)),
            Some(MetricValue::Double(value)) => Scalar::Real(value),
            Some(MetricValue::Bool(value)) => Scalar::Bool(value),
            Some(MetricValue::Text(text)) => {
                Scalar::Text(String::from_utf8_lossy(text).into_owned())
            }
            Some(MetricValue::Other) => Scalar::Other(Got::Object),
        })
    }
}

const UNKNOWN_SIGN: Malformed =
    "the type of an integer that may be negative is not known before the birth certificate";

/// A number of up to 32 bits: `Int8` is 1, `Int16` 2, `Int32` 3, and unsigned ones are 5 to 7.
#[expect(clippy::cast_possible_truncation, reason = "the value has so many bits")]
fn int(value: u64, datatype: Option<u64>) -> Result<i128, Malformed> {
    let value = value as u32;
    match datatype {
        Some(1) => Ok(i128::from((value as u8).cast_signed())),
        Some(2) => Ok(i128::from((value as u16).cast_signed())),
        Some(3) => Ok(i128::from(value.cast_signed())),
        None if value.cast_signed() < 0 => Err(UNKNOWN_SIGN),
        _ => Ok(i128::from(value)),
    }
}

/// A number of 64 bits: `Int64` is 4.
fn long(value: u64, datatype: Option<u64>) -> Result<i128, Malformed> {
    match datatype {
        Some(4) => Ok(i128::from(value.cast_signed())),
        None if value.cast_signed() < 0 => Err(UNKNOWN_SIGN),
        _ => Ok(i128::from(value)),
    }
}
