//! SenML packs (RFC 8428), in JSON or CBOR.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::decoder::{Decoded, PayloadDecoder};
use super::record::Scalar;
use super::records::{FieldNames, RecordCollector, number};
use super::sample_builder::SampleBuilder;
use super::scalar_seed::ScalarSeed;
use super::schema::PayloadSchema;
use super::structured::{self, Structure};
use crate::clock::Timestamp;
use crate::pipeline::reject::Reject;

/// Decodes SenML.
#[derive(Debug)]
pub(super) struct SenmlDecoder {
    schema: PayloadSchema,
    names: FieldNames,
    collector: RecordCollector,
    received: Timestamp,
}

impl SenmlDecoder {
    pub(super) fn new(schema: PayloadSchema) -> Self {
        let (names, collector) = (FieldNames::new(&schema), RecordCollector::default());
        Self { schema, names, collector, received: Timestamp(0) }
    }
}

impl PayloadDecoder for SenmlDecoder {
    fn begin(&mut self, _topic: &str, received: Timestamp) {
        self.received = received;
    }

    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        self.collector.clear();
        // An array of CBOR begins with another byte than one of JSON.
        let structure = match payload.first() {
            Some(0x80..=0x9f) => Structure::Cbor,
            _ => Structure::Json,
        };
        let mut pack = Pack {
            names: &self.names,
            collector: &mut self.collector,
            builder: &builder,
            received: self.received,
            bases: Bases::default(),
            reject: None,
        };
        let read = structured::read(&structure, payload, PackVisitor { pack: &mut pack });
        let reject = pack.reject.take();
        read.map_err(|syntax| reject.unwrap_or(syntax))?;
        self.collector.finish(&mut builder)?;
        builder.finish()
    }
}

/// The latest version of SenML that is read; another one may mean something else.
const VERSION: f64 = 10.0;

/// Times below this, in seconds, count from now (RFC 8428, 4.5.3).
const ABSOLUTE_FROM: f64 = 268_435_456.0;

/// A pack while it is read.
struct Pack<'s, 'a> {
    names: &'s FieldNames,
    collector: &'s mut RecordCollector,
    builder: &'s SampleBuilder<'a>,
    received: Timestamp,
    bases: Bases,
    reject: Option<Reject>,
}

/// The base values, which go for their own record and for those after it.
#[derive(Default)]
struct Bases {
    name: String,
    time: f64,
    value: f64,
}

/// A record as it is written.
#[derive(Default)]
struct Record {
    name: String,
    time: f64,
    value: Scalar,
    has_sum: bool,
}

/// A label of a record (RFC 8428, table 4), or the beginning of an unknown one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    BaseName,
    BaseTime,
    BaseValue,
    BaseVersion,
    Name,
    Time,
    Number,
    Text,
    Bool,
    Data,
    Sum,
    /// A label that must be understood.
    Needed,
    Other,
}

impl Label {
    fn of_text(text: &str) -> Self {
        match text {
            "bn" => Self::BaseName,
            "bt" => Self::BaseTime,
            "bv" => Self::BaseValue,
            "bver" => Self::BaseVersion,
            "n" => Self::Name,
            "t" => Self::Time,
            "v" => Self::Number,
            "vs" => Self::Text,
            "vb" => Self::Bool,
            "vd" => Self::Data,
            "s" => Self::Sum,
            other if other.ends_with('_') => Self::Needed,
            _ => Self::Other,
        }
    }

    /// The labels of CBOR (RFC 8428, table 6).
    fn of_number(number: i64) -> Self {
        match number {
            -1 => Self::BaseVersion,
            -2 => Self::BaseName,
            -3 => Self::BaseTime,
            -5 => Self::BaseValue,
            0 => Self::Name,
            2 => Self::Number,
            3 => Self::Text,
            4 => Self::Bool,
            5 => Self::Sum,
            6 => Self::Time,
            8 => Self::Data,
            _ => Self::Other,
        }
    }
}

impl Pack<'_, '_> {
    /// Takes a member of a record.
    fn member(&mut self, record: &mut Record, label: Label, value: Scalar) -> Result<(), Reject> {
        match label {
            Label::BaseName => self.bases.name = text(value, "bn")?,
            Label::BaseTime => self.bases.time = real(&value, "bt")?,
            Label::BaseValue => self.bases.value = real(&value, "bv")?,
            Label::Name => record.name = text(value, "n")?,
            Label::Time => record.time = real(&value, "t")?,
            Label::Number | Label::Text | Label::Bool | Label::Data => record.value = value,
            Label::Sum => record.has_sum = true,
            Label::BaseVersion if real(&value, "bver")? > VERSION => {
                return Err(refused("its version (bver) is later than 10".to_owned()));
            }
            Label::Needed => {
                return Err(refused(
                    "it has a label that ends with _, which is not known".to_owned(),
                ));
            }
            Label::BaseVersion | Label::Other => {}
        }
        Ok(())
    }

    fn end_record(&mut self, record: Record) -> Result<(), Reject> {
        let Bases { name: base, time, value: add } = &self.bases;
        let field = self.names.find(&format!("{base}{}", record.name));
        let own = || self.names.find(&record.name).filter(|_| !record.name.is_empty());
        let Some(field) = field.or_else(own) else { return Ok(()) };
        let value = match record.value {
            #[expect(clippy::cast_precision_loss, reason = "integers above 2^53 are no readings")]
            Scalar::Whole(value) => Scalar::Real(value as f64 + add),
            Scalar::Real(value) => Scalar::Real(value + add),
            Scalar::Missing if record.has_sum => {
                let field = self.builder.field_name(field);
                return Err(refused(format!("{field} has a sum (s) and no value, send its value")));
            }
            other => other,
        };
        let Some(value) = number(&value, field, self.builder)? else { return Ok(()) };
        let time = self.moment(time + record.time)?;
        let device = match self.builder.schema.device.is_empty() {
            true => Vec::new(),
            // What separates the base name from names is no part of it.
            false => vec![base.trim_end_matches([':', '/', '.', '-', '_']).to_owned()],
        };
        self.collector.add(&device, field, time, value)
    }

    /// The moment of a time in seconds; `None` for now.
    fn moment(&self, seconds: f64) -> Result<Option<Timestamp>, Reject> {
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        let micros = (seconds.abs() < 1e11).then(|| (seconds * 1e6).round() as i64);
        let Some(micros) = micros else {
            return Err(self.builder.bad_time(seconds.to_string()));
        };
        if seconds >= ABSOLUTE_FROM {
            return Ok(Some(Timestamp(micros)));
        }
        Ok((micros != 0).then(|| Timestamp(self.received.0.saturating_add(micros))))
    }
}

fn refused(problem: String) -> Reject {
    Reject::Syntax { format: "SenML that can be read", problem }
}

fn text(value: Scalar, label: &str) -> Result<String, Reject> {
    match value {
        Scalar::Text(text) => Ok(text),
        other => Err(refused(format!("{label} is {}, not a text", other.shown()))),
    }
}

fn real(value: &Scalar, label: &str) -> Result<f64, Reject> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "beyond any time")]
        Scalar::Whole(value) => Ok(*value as f64),
        Scalar::Real(value) => Ok(*value),
        other => Err(refused(format!("{label} is {}, not a number", other.shown()))),
    }
}

/// The array of records.
struct PackVisitor<'p, 's, 'a> {
    pack: &'p mut Pack<'s, 'a>,
}

impl<'de> DeserializeSeed<'de> for PackVisitor<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PackVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of SenML records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(RecordVisitor { pack: self.pack })?.is_some() {}
        Ok(())
    }
}

/// A record.
struct RecordVisitor<'p, 's, 'a> {
    pack: &'p mut Pack<'s, 'a>,
}

impl RecordVisitor<'_, '_, '_> {
    fn stop<T, E: Error>(&mut self, result: Result<T, Reject>) -> Result<T, E> {
        result.map_err(|reject| {
            self.pack.reject = Some(reject);
            E::custom("rejected")
        })
    }
}

impl<'de> DeserializeSeed<'de> for RecordVisitor<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RecordVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SenML record")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut record = Record::default();
        while let Some(label) = map.next_key_seed(LabelSeed)? {
            let value = map.next_value_seed(ScalarSeed::default())?;
            let taken = self.pack.member(&mut record, label, value);
            self.stop(taken)?;
        }
        let ended = self.pack.end_record(record);
        self.stop(ended)
    }
}

struct LabelSeed;

impl<'de> DeserializeSeed<'de> for LabelSeed {
    type Value = Label;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Label, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for LabelSeed {
    type Value = Label;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SenML label")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Label, E> {
        Ok(Label::of_text(text))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Label, E> {
        Ok(Label::of_number(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Label, E> {
        Ok(Label::of_number(number))
    }
}
