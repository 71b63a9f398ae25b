//! Messages that are lists of names and values.

mod collector;

use std::collections::HashMap;

pub(super) use collector::RecordCollector;

use super::decoder::{Decoded, PayloadDecoder};
use super::record::{Record, Scalar};
use super::record_walk::{RecordSink, RecordTree};
use super::sample_builder::SampleBuilder;
use super::schema::PayloadSchema;
use super::structured::{self, Structure};
use super::text::clip;
use crate::config::{Missing, Records};
use crate::pipeline::reject::{Got, Reject};

/// The places of the fields, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldNames(HashMap<String, usize>);

impl FieldNames {
    pub(super) fn new(schema: &PayloadSchema) -> Self {
        Self(schema.fields.iter().cloned().enumerate().map(|(at, name)| (name, at)).collect())
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }
}

/// Decodes records as `payload.records` describes them.
#[derive(Debug)]
pub(super) struct RecordsDecoder {
    schema: PayloadSchema,
    structure: Structure,
    names: FieldNames,
    tree: RecordTree,
    collector: RecordCollector,
}

impl RecordsDecoder {
    pub(super) fn new(schema: PayloadSchema, records: &Records) -> Self {
        let fields: Vec<&String> = [&records.name].into_iter().chain(&records.values).collect();
        let tree = RecordTree::new(&schema, &fields, |_| false).with_time(records.time.as_deref());
        let (names, collector) = (FieldNames::new(&schema), RecordCollector::default());
        Self { names, tree, collector, structure: Structure::of(&schema), schema }
    }
}

impl PayloadDecoder for RecordsDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        self.collector.clear();
        let (names, collector) = (&self.names, &mut self.collector);
        let sink = Sink { names, collector, builder: &builder };
        let around = structured::read_records(&self.structure, payload, &self.tree, sink)?;
        around.date_and_name(&mut builder)?;
        self.collector.finish(&mut builder)?;
        builder.finish()
    }
}

/// Collects the value of each record whose name is a field.
struct Sink<'s, 'a> {
    names: &'s FieldNames,
    collector: &'s mut RecordCollector,
    builder: &'s SampleBuilder<'a>,
}

impl RecordSink for Sink<'_, '_> {
    fn record(&mut self, record: &mut Record) -> Result<(), Reject> {
        let field = match record.take_field(0) {
            Scalar::Text(name) => self.names.find(&name),
            Scalar::Whole(name) => self.names.find(&name.to_string()),
            _ => None,
        };
        let Some(field) = field else { return Ok(()) };
        // A record may have its value in one of several members.
        let values = record.fields.iter().skip(1);
        let value = values.into_iter().find(|value| **value != Scalar::Missing);
        let Some(value) = number(value.unwrap_or(&Scalar::Missing), field, self.builder)? else {
            return Ok(());
        };
        let time = record.time.moment(self.builder)?;
        let device = record.device_parts(self.builder)?;
        self.collector.add(&device, field, time, value)
    }
}

/// The number of a field; NaN for one that is missing where that is allowed, and `None` where there
/// is nothing.
pub(super) fn number(
    value: &Scalar,
    field: usize,
    builder: &SampleBuilder<'_>,
) -> Result<Option<f64>, Reject> {
    let schema = builder.schema;
    let may_miss =
        schema.missing.as_ref().is_some_and(|missing| missing.of(Some(field)) != Missing::Reject);
    #[expect(clippy::cast_precision_loss, reason = "integers above 2^53 are no readings")]
    let got = match value {
        Scalar::Missing => return Ok(None),
        Scalar::Whole(value) => return Ok(Some(*value as f64)),
        Scalar::Real(value) => return Ok(Some(*value)),
        Scalar::Bool(value) => return Ok(Some(f64::from(u8::from(*value)))),
        Scalar::Text(text) => {
            let read = schema.texts.read(text, schema.missing.as_ref());
            match read.filter(|value| !value.is_nan() || may_miss) {
                Some(value) => return Ok(Some(value)),
                None => Got::Text(clip(text)),
            }
        }
        Scalar::Other(Got::Null) if may_miss => return Ok(Some(f64::NAN)),
        Scalar::Other(got) => got.clone(),
        Scalar::Bytes(bytes) => {
            Got::Bytes { len: u64::try_from(bytes.len()).unwrap_or(u64::MAX), tag: None }
        }
    };
    Err(Reject::NotANumber { field: builder.field_name(field), got })
}
