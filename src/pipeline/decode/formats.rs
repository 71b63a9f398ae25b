//! The decoder of each payload format.

use super::bytes::BytesDecoder;
use super::cbor::CborDecoder;
use super::csv::CsvDecoder;
use super::decoder::PayloadDecoder;
use super::filter::{Filter, FilterDecoder};
use super::inflate::InflateDecoder;
use super::influx::InfluxDecoder;
use super::interval::IntervalDecoder;
use super::json::JsonDecoder;
use super::msgpack::MsgpackDecoder;
use super::protobuf::ProtobufDecoder;
use super::raw::{RawDecoder, RawNumber};
use super::records::RecordsDecoder;
use super::schema::PayloadSchema;
use super::senml::SenmlDecoder;
use super::sparkplug::SparkplugDecoder;
use super::tensor::TensorDecoder;
use crate::config::{Compression, Format};

/// Makes the decoder of a stream whose payloads have this schema. The only place that chooses one:
/// a new format is a file with its decoder and a line here.
pub(in crate::pipeline) fn decoder_for(schema: PayloadSchema) -> Box<dyn PayloadDecoder> {
    let (compression, max) = (schema.compression, schema.max_inflated);
    let (filter, interval) = (Filter::new(&schema), schema.interval);
    let mut decoder = of_format(schema);
    if let Some(interval) = interval {
        decoder = Box::new(IntervalDecoder::new(decoder, interval));
    }
    if let Some(filter) = filter {
        decoder = Box::new(FilterDecoder::new(decoder, filter));
    }
    if compression == Compression::None {
        return decoder;
    }
    Box::new(InflateDecoder::new(decoder, compression, max))
}

fn of_format(schema: PayloadSchema) -> Box<dyn PayloadDecoder> {
    if let Some(bytes) = schema.bytes.clone() {
        return Box::new(BytesDecoder::new(schema, &bytes));
    }
    if let Some(records) = schema.records.clone() {
        return Box::new(RecordsDecoder::new(schema, &records));
    }
    match (schema.format(), schema.tensor()) {
        (Format::Json | Format::JsonLines | Format::Bytes, _) => Box::new(JsonDecoder::new(schema)),
        (Format::Cbor, _) => Box::new(CborDecoder::new(schema)),
        (Format::Msgpack, _) => Box::new(MsgpackDecoder::new(schema)),
        (Format::Protobuf, _) => Box::new(ProtobufDecoder::new(schema)),
        (Format::Senml, _) => Box::new(SenmlDecoder::new(schema)),
        (Format::Sparkplug, _) => Box::new(SparkplugDecoder::new(schema)),
        (Format::Influx, _) => Box::new(InfluxDecoder::new(schema)),
        (Format::Csv, _) => Box::new(CsvDecoder::new(schema)),
        (Format::Raw(_), Some(input)) => Box::new(TensorDecoder::new(input.clone(), schema.header)),
        (Format::Raw(dtype), None) => Box::new(RawDecoder::new(schema, RawNumber::Element(dtype))),
        (Format::Numbers(number), _) => Box::new(RawDecoder::new(schema, RawNumber::Other(number))),
    }
}
