//! Predictions as bytes: the message of `docs/topics.md`, as JSON or CBOR.

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::interpret::{Body, Elements, Prediction};
use super::numbers::round6;
use super::prediction_id::PredictionId;
use super::reject::Reject;
use super::step_report::StageMicros;
use crate::clock::Timestamp;
use crate::config::Encoding;
use crate::tensor::Data;

/// The version of the message's format, its first field.
const FORMAT: u32 = 1;

/// A prediction to be encoded.
#[derive(Debug)]
pub(super) struct PredictionMessage<'a> {
    pub(super) id: PredictionId<'a>,
    pub(super) gateway: &'a str,
    pub(super) stream: &'a str,
    pub(super) device: &'a str,
    /// The time stamp of the last sample, or the time of its arrival if it has none.
    pub(super) time: Timestamp,
    pub(super) received: Timestamp,
    pub(super) model: &'a str,
    pub(super) version: &'a str,
    pub(super) prediction: &'a Prediction<'a>,
    pub(super) us: StageMicros,
    /// Written only if it is true.
    pub(super) retained: bool,
}

/// The answer to a request that was rejected.
#[derive(Debug, serde::Serialize)]
pub(super) struct ErrorReply<'a> {
    pub(super) v: u32,
    pub(super) gateway: &'a str,
    pub(super) stream: &'a str,
    pub(super) error: &'static str,
    pub(super) message: &'a str,
    /// The last field, as [`mark_replayed`] expects.
    pub(super) replayed: bool,
}

impl<'a> ErrorReply<'a> {
    pub(super) fn new(
        gateway: &'a str,
        stream: &'a str,
        code: &'static str,
        text: &'a str,
    ) -> Self {
        Self { v: FORMAT, gateway, stream, error: code, message: text, replayed: false }
    }
}

/// Encodes a message into an allocation of the exact size; `buffer` is reused.
pub(super) fn encode<T: Serialize>(
    message: &T,
    encoding: Encoding,
    buffer: &mut Vec<u8>,
) -> Result<Bytes, Reject> {
    buffer.clear();
    let written = match encoding {
        Encoding::Json => serde_json::to_writer(&mut *buffer, message).map_err(|e| e.to_string()),
        Encoding::Cbor => ciborium::into_writer(message, &mut *buffer).map_err(|e| e.to_string()),
    };
    match written {
        Ok(()) => Ok(Bytes::copy_from_slice(buffer)),
        Err(problem) => Err(Reject::BadOutput {
            output: "message".to_owned(),
            problem: format!("cannot be encoded: {problem}"),
        }),
    }
}

/// The MQTT 5 content type.
pub(super) fn content_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "application/json",
        Encoding::Cbor => "application/cbor",
    }
}

const JSON_FALSE: &[u8] = br#""replayed":false}"#;
const JSON_TRUE: &[u8] = br#""replayed":true}"#;
/// A CBOR text of eight bytes, then `false`; `true` is the next code.
const CBOR_FALSE: &[u8] = b"\x68replayed\xf4";
const CBOR_TRUE: &[u8] = b"\x68replayed\xf5";

/// Sets `replayed` of an encoded prediction to true without decoding it: it is the last field in both
/// encodings. `None` if the bytes are not such a message, or are marked already.
#[must_use]
pub fn mark_replayed(payload: &[u8]) -> Option<Bytes> {
    let swap = |from: &[u8], to: &[u8]| {
        let body = payload.strip_suffix(from)?;
        Some(Bytes::from([body, to].concat()))
    };
    swap(JSON_FALSE, JSON_TRUE).or_else(|| swap(CBOR_FALSE, CBOR_TRUE))
}

impl Serialize for PredictionMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // With an indefinite length CBOR would end in a break instead of `replayed`.
        let own = 12 + usize::from(self.retained);
        let len = self.prediction.body.fields().saturating_add(own);
        let mut map = serializer.serialize_map(Some(len))?;
        map.serialize_entry("v", &FORMAT)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("gateway", self.gateway)?;
        map.serialize_entry("stream", self.stream)?;
        map.serialize_entry("device", self.device)?;
        map.serialize_entry("time", &self.time)?;
        map.serialize_entry("received", &self.received)?;
        map.serialize_entry("model", self.model)?;
        map.serialize_entry("version", self.version)?;
        self.prediction.body.serialize_into(&mut map)?;
        map.serialize_entry("us", &self.us)?;
        if self.retained {
            map.serialize_entry("retained", &true)?;
        }
        map.serialize_entry("replayed", &false)?;
        map.end()
    }
}

impl Body<'_> {
    /// The fields besides `kind`.
    fn fields(&self) -> usize {
        match self {
            Body::Classification { score, scores, .. } => {
                1 + usize::from(score.is_some()) + usize::from(scores.iter().len() > 0)
            }
            Body::MultiLabel { .. } => 2,
            Body::Regression { units, .. } => 1 + usize::from(!units.is_empty()),
            Body::Anomaly { .. } => 3,
            Body::Raw { .. } => 1,
        }
    }

    fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Body::Classification { label, score, scores } => {
                map.serialize_entry("kind", "classification")?;
                map.serialize_entry("label", label)?;
                if let Some(score) = score {
                    map.serialize_entry("score", score)?;
                }
                if scores.iter().len() > 0 {
                    map.serialize_entry(
                        "scores",
                        &Map(|| scores.iter().map(|(l, s)| (l, round6(s)))),
                    )?;
                }
                Ok(())
            }
            Body::MultiLabel { labels, scores, thresholds } => {
                let over = || labels.iter().zip(scores.iter().zip(*thresholds));
                let over = || over().filter(|(_, (s, t))| s >= t).map(|(label, _)| label.as_str());
                map.serialize_entry("kind", "multi-label")?;
                map.serialize_entry("labels", &Seq(over))?;
                map.serialize_entry("scores", &Map(|| named(labels, scores)))
            }
            Body::Regression { names, units, values } => {
                map.serialize_entry("kind", "regression")?;
                map.serialize_entry("values", &Map(|| named(names, values)))?;
                if !units.is_empty() {
                    let units = || names.iter().map(String::as_str).zip(units.iter());
                    map.serialize_entry("units", &Map(units))?;
                }
                Ok(())
            }
            Body::Anomaly { score, threshold, anomaly } => {
                map.serialize_entry("kind", "anomaly")?;
                map.serialize_entry("anomaly", anomaly)?;
                map.serialize_entry("score", score)?;
                map.serialize_entry("threshold", threshold)
            }
            Body::Raw { name, shape, elements } => {
                map.serialize_entry("kind", "raw")?;
                map.serialize_entry("tensor", &RawTensor { name, shape, data: elements })
            }
        }
    }
}

fn named<'a>(
    names: &'a [String],
    values: &'a [f32],
) -> impl ExactSizeIterator<Item = (&'a str, f32)> {
    names.iter().zip(values).map(|(name, value)| (name.as_str(), round6(*value)))
}

/// Serializes an iterator as a map, without building one.
struct Map<F>(F);

impl<K: Serialize, V: Serialize, I: ExactSizeIterator<Item = (K, V)>, F: Fn() -> I> Serialize
    for Map<F>
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = (self.0)();
        let mut map = serializer.serialize_map(Some(entries.len()))?;
        for (key, value) in entries {
            map.serialize_entry(&key, &value)?;
        }
        map.end()
    }
}

/// Serializes an iterator as an array.
struct Seq<F>(F);

impl<T: Serialize, I: Iterator<Item = T>, F: Fn() -> I> Serialize for Seq<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some((self.0)().count()))?;
        for element in (self.0)() {
            seq.serialize_element(&element)?;
        }
        seq.end()
    }
}

#[derive(serde::Serialize)]
struct RawTensor<'a> {
    name: &'a str,
    shape: &'a [usize],
    data: &'a Elements<'a>,
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Reals(v) => serializer.collect_seq(v.iter().map(|v| round6(*v))),
            Self::Stored(Data::F32(v)) => serializer.collect_seq(v),
            Self::Stored(Data::F64(v)) => serializer.collect_seq(v),
            Self::Stored(Data::I8(v)) => serializer.collect_seq(v),
            Self::Stored(Data::U8(v)) => serializer.collect_seq(v),
            Self::Stored(Data::I16(v)) => serializer.collect_seq(v),
            Self::Stored(Data::U16(v)) => serializer.collect_seq(v),
            Self::Stored(Data::I32(v)) => serializer.collect_seq(v),
            Self::Stored(Data::I64(v)) => serializer.collect_seq(v),
            Self::Stored(Data::Bool(v)) => serializer.collect_seq(v),
        }
    }
}
