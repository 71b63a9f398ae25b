//! Payload bytes to numbers, bounded in size, depth and count.
//!
//! Shapes taken, for the formats with structure:
//! - one sample: an object (fields by name or JSON pointer; what is not asked for is skipped), an
//!   array of numbers by position, or a bare number where the model has one channel;
//! - several samples: an array of those, or an object with such an array under `payload.samples`;
//! - a whole input (a model without windows): nested arrays in the tensor's order, or an object
//!   whose fields are numbers or arrays.
//!
//! By position, a time (where one is configured) comes before the numbers. Booleans count as 0 and 1.
//!
//! Each format is a [`PayloadDecoder`] in a file of its own; [`formats`] makes the one that a stream
//! asks for. Formats with structure share [`PayloadVisitor`](payload_visitor::PayloadVisitor), and
//! all that yield samples share [`SampleBuilder`].

mod binary;
mod bytes;
mod cbor;
mod csv;
mod csv_filter;
mod csv_reader;
mod decoder;
mod device;
mod field_tree;
mod filter;
mod formats;
mod inflate;
mod influx;
mod interval;
mod json;
mod json_mistakes;
mod key;
mod layout;
mod missing;
mod msgpack;
mod payload_visitor;
mod protobuf;
mod raw;
mod record;
mod record_walk;
mod records;
mod sample_builder;
mod samples;
mod scalar_seed;
mod schema;
mod senml;
mod serde_glue;
mod sparkplug;
mod structured;
mod tensor;
mod text;
mod text_encoding;
mod text_numbers;
pub(super) mod time;
mod typed_array;

#[cfg(test)]
mod tests;

pub(super) use csv_reader::CsvReader;
pub use decoder::{Decoded, PayloadDecoder};
pub(super) use field_tree::tokens;
pub(super) use formats::decoder_for;
pub(super) use inflate::sniff;
pub(super) use missing::MissingPlan;
pub(super) use msgpack::value as msgpack_value;
pub use sample_builder::SampleBuilder;
pub use samples::Samples;
pub(super) use samples::ValueOrder;
pub use schema::{PayloadSchema, TensorPayload};
pub use sparkplug::MetricNames;
pub(super) use text_numbers::is_number_text;
