//! Records of binary numbers: as the payload, or in fields of a message.

use super::decoder::{Decoded, PayloadDecoder};
use super::layout::LayoutReader;
use super::record::{Record, Scalar};
use super::record_walk::{RecordSink, RecordTree};
use super::sample_builder::{SampleBuilder, wrong_shape};
use super::schema::PayloadSchema;
use super::structured::{self, Structure};
use crate::config::Bytes;
use crate::pipeline::reject::{Got, Reject};

/// Decodes records as `payload.bytes` describes them.
#[derive(Debug)]
pub(super) struct BytesDecoder {
    schema: PayloadSchema,
    reader: LayoutReader,
    structure: Structure,
    field: Option<BytesField>,
}

/// Where the bytes are in a message.
#[derive(Clone, Debug)]
struct BytesField {
    /// As in the options.
    name: String,
    tree: RecordTree,
}

impl BytesDecoder {
    pub(super) fn new(schema: PayloadSchema, bytes: &Bytes) -> Self {
        let reader = LayoutReader::new(bytes, &schema);
        let in_layout = |name: &str| bytes.layout.iter().any(|it| it.name.as_deref() == Some(name));
        let field = bytes.at.as_ref().map(|name| BytesField {
            name: name.clone(),
            tree: RecordTree::new(&schema, &[name], in_layout),
        });
        Self { structure: Structure::of(&schema), schema, reader, field }
    }
}

impl PayloadDecoder for BytesDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        let Some(field) = &self.field else {
            self.reader.read_text(payload, &Record::default(), &mut builder)?;
            return builder.finish();
        };
        let sink = Sink { reader: &mut self.reader, name: &field.name, builder: &mut builder };
        let around = structured::read_records(&self.structure, payload, &field.tree, sink)?;
        around.date_and_name(&mut builder)?;
        builder.finish()
    }
}

/// Decodes the bytes of each record.
struct Sink<'s, 'a> {
    reader: &'s mut LayoutReader,
    name: &'s str,
    builder: &'s mut SampleBuilder<'a>,
}

impl RecordSink for Sink<'_, '_> {
    fn record(&mut self, record: &mut Record) -> Result<(), Reject> {
        match record.take_field(0) {
            Scalar::Missing | Scalar::Other(Got::Null) => self.without_bytes(record),
            Scalar::Text(text) if text.is_empty() => self.without_bytes(record),
            Scalar::Text(text) if self.reader.takes_text() => {
                self.reader.read_text(text.as_bytes(), record, self.builder)
            }
            Scalar::Bytes(bytes) if bytes.is_empty() => self.without_bytes(record),
            Scalar::Bytes(bytes) => self.reader.read(&bytes, record, self.builder),
            other => {
                let problem = format!("{} (payload.bytes.at) is {}", self.name, other.shown());
                Err(wrong_shape(&problem))
            }
        }
    }
}

impl Sink<'_, '_> {
    /// A record without bytes is a sample without numbers.
    fn without_bytes(&mut self, record: &Record) -> Result<(), Reject> {
        if self.builder.schema.missing.is_none() {
            let fields = vec![self.name.to_owned()];
            return Err(Reject::MissingField { fields, option: "payload.bytes.at" });
        }
        record.date_and_name(self.builder)?;
        self.builder.add_empty_sample()
    }
}
