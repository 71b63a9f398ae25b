//! Records of binary numbers, read as `payload.bytes.layout` says.

use super::binary;
use super::field_tree::Slot;
use super::raw::after;
use super::record::Record;
use super::sample_builder::SampleBuilder;
use super::schema::PayloadSchema;
use super::text_encoding;
use crate::config::{BinaryNumber, Bytes, BytesEncoding, LayoutItem, ScalingStep};
use crate::pipeline::reject::Reject;

/// Reads records to samples. Keeps its buffer between payloads.
#[derive(Debug)]
pub(super) struct LayoutReader {
    encoding: Option<BytesEncoding>,
    header: usize,
    items: Vec<Item>,
    /// Bytes of a record.
    record: usize,
    decoded: Vec<u8>,
}

/// A number of a record, or several that are skipped.
#[derive(Debug)]
struct Item {
    number: BinaryNumber,
    /// Bytes of the item.
    size: usize,
    slot: Option<Slot>,
    steps: Vec<ScalingStep>,
}

impl LayoutReader {
    pub(super) fn new(bytes: &Bytes, schema: &PayloadSchema) -> Self {
        let place = |names: &[String], name: &str| names.iter().position(|known| known == name);
        let slot = |name: &str| {
            let time = (schema.time.as_deref() == Some(name)).then_some(Slot::Time);
            let device = || place(&schema.device, name).map(Slot::Device);
            place(&schema.fields, name).map(Slot::Field).or(time).or_else(device)
        };
        let item = |item: &LayoutItem| Item {
            number: item.number,
            size: item.size(),
            slot: item.name.as_deref().and_then(slot),
            steps: item.steps.clone(),
        };
        Self {
            encoding: bytes.encoding,
            header: schema.header,
            items: bytes.layout.iter().map(item).collect(),
            record: bytes.record_size(),
            decoded: Vec::new(),
        }
    }

    /// Whether texts stand for bytes.
    pub(super) fn takes_text(&self) -> bool {
        self.encoding.is_some()
    }

    /// Reads the records of a text, decoded first.
    ///
    /// # Errors
    /// A text that is not in the encoding, and as [`LayoutReader::read`].
    pub(super) fn read_text(
        &mut self,
        text: &[u8],
        context: &Record,
        builder: &mut SampleBuilder<'_>,
    ) -> Result<(), Reject> {
        let Some(encoding) = self.encoding else { return self.read(text, context, builder) };
        let mut decoded = std::mem::take(&mut self.decoded);
        let read = text_encoding::decode(encoding, text, &mut decoded)
            .map_err(|problem| Reject::Syntax { format: name(encoding), problem })
            .and_then(|()| self.read(&decoded, context, builder));
        self.decoded = decoded;
        read
    }

    /// Reads records to samples, one each.
    ///
    /// # Errors
    /// Bytes that are no whole number of records, and what a [`SampleBuilder`] refuses.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        context: &Record,
        builder: &mut SampleBuilder<'_>,
    ) -> Result<(), Reject> {
        let records = bytes.get(self.header..).unwrap_or_default();
        if records.is_empty() || !records.len().is_multiple_of(self.record.max(1)) {
            return Err(self.wrong_length(bytes.len()));
        }
        for record in records.chunks_exact(self.record.max(1)) {
            builder.begin_named()?;
            if builder.schema.whole {
                builder.in_rows();
            }
            context.date_and_name(builder)?;
            self.read_record(record, builder)?;
            builder.end_named()?;
        }
        Ok(())
    }

    fn read_record(&self, record: &[u8], builder: &mut SampleBuilder<'_>) -> Result<(), Reject> {
        let mut rest = record;
        for item in &self.items {
            let Some((bytes, after)) = rest.split_at_checked(item.size) else { break };
            rest = after;
            let Some(slot) = item.slot else { continue };
            let read = binary::read(item.number, bytes);
            match slot {
                Slot::Field(field) => builder.set(field, scaled(read, &item.steps))?,
                Slot::Time => {
                    let value = scaled(read, &item.steps);
                    builder
                        .take_time(builder.schema.times.of_number(value), || value.to_string())?;
                }
                Slot::Device(part) => match read {
                    binary::Value::Whole(value) => builder.set_device(part, &value.to_string())?,
                    binary::Value::Real(value) => builder.set_device(part, &value.to_string())?,
                },
                Slot::TimeOfDay | Slot::Samples | Slot::Condition(_) => {}
            }
        }
        Ok(())
    }

    fn wrong_length(&self, len: usize) -> Reject {
        let (record, behind) = (self.record, after(self.header));
        let expected = format!("records of {record} bytes{behind} (payload.bytes.layout)");
        Reject::WrongLength { what: "bytes", got: len.to_string(), expected, hint: "" }
    }
}

fn scaled(value: binary::Value, steps: &[ScalingStep]) -> f64 {
    steps.iter().fold(value.as_f64(), |value, step| match step {
        ScalingStep::Multiply(by) => value * by,
        ScalingStep::Divide(by) => value / by,
        ScalingStep::Add(other) => value + other,
        ScalingStep::Subtract(other) => value - other,
    })
}

fn name(encoding: BytesEncoding) -> &'static str {
    match encoding {
        BytesEncoding::Base64 => "base64",
        BytesEncoding::Hex => "hexadecimal",
    }
}
