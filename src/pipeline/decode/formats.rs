//! The decoder of each payload format.

use super::cbor::CborDecoder;
use super::csv::CsvDecoder;
use super::decoder::PayloadDecoder;
use super::filter::{Filter, FilterDecoder};
use super::inflate::InflateDecoder;
use super::json::JsonDecoder;
use super::raw::RawDecoder;
use super::schema::PayloadSchema;
use super::tensor::TensorDecoder;
use crate::config::{Compression, Format};

/// Makes the decoder of a stream whose payloads have this schema. The only place that chooses one:
/// a new format is a file with its decoder and a line here.
pub(in crate::pipeline) fn decoder_for(schema: PayloadSchema) -> Box<dyn PayloadDecoder> {
    let (compression, max) = (schema.compression, schema.max_inflated);
    let filter = Filter::new(&schema);
    let mut decoder = of_format(schema);
    if let Some(filter) = filter {
        decoder = Box::new(FilterDecoder::new(decoder, filter));
    }
    if compression == Compression::None {
        return decoder;
    }
    Box::new(InflateDecoder::new(decoder, compression, max))
}

fn of_format(schema: PayloadSchema) -> Box<dyn PayloadDecoder> {
    match (schema.format(), schema.tensor()) {
        (Format::Json | Format::JsonLines, _) => Box::new(JsonDecoder::new(schema)),
        (Format::Cbor, _) => Box::new(CborDecoder::new(schema)),
        (Format::Csv, _) => Box::new(CsvDecoder::new(schema)),
        (Format::Raw(_), Some(input)) => Box::new(TensorDecoder::new(input.clone())),
        (Format::Raw(dtype), None) => Box::new(RawDecoder::new(schema, dtype)),
    }
}
