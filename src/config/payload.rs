//! `[stream.payload]`: how a payload is read.

use std::path::PathBuf;
use std::sync::Arc;

use super::{BinaryNumber, Bytes, Reading};
use crate::protobuf::MessageTypes;

/// How a payload is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    pub format: Format,
    /// One per channel of the model, in its order: a name, or a JSON pointer starting with `/`.
    /// Empty for raw formats, and for arrays taken by position.
    pub fields: Vec<String>,
    /// The field with the sample's time: RFC 3339 text, or a number of seconds, milli-, micro- or
    /// nanoseconds since 1970 (told apart by magnitude). Looked for in the sample, then in the
    /// object around `samples`.
    pub time: Option<String>,
    /// An earlier timestamp is rejected: it comes from a clock that is not set.
    pub earliest: crate::clock::Timestamp,
    /// A JSON pointer or name of the array of samples, where an object encloses it.
    pub samples: Option<String>,
    /// The fields that name the device, beside the topic's captures. Looked for where the time is.
    pub device: Vec<String>,
    /// Bytes before the first number of binary payloads and of `bytes`.
    pub header: usize,
    /// Set if the numbers are in bytes whose layout this gives.
    pub bytes: Option<Bytes>,
    /// Set if the message is a list of names and values.
    pub records: Option<Records>,
    /// Set if the payload is a message of Protocol Buffers.
    pub protobuf: Option<Protobuf>,
    pub reading: Reading,
}

impl Payload {
    /// Whether samples have times of their own.
    #[must_use]
    pub fn has_time(&self) -> bool {
        self.time.is_some() || self.format.has_own_time()
    }

    /// Payloads of this format, with no other option set.
    #[must_use]
    pub fn of(format: Format) -> Self {
        let (fields, device) = (Vec::new(), Vec::new());
        let (earliest, reading) = (crate::clock::Timestamp(0), Reading::default());
        Self {
            format,
            fields,
            time: None,
            earliest,
            samples: None,
            device,
            header: 0,
            bytes: None,
            records: None,
            protobuf: None,
            reading,
        }
    }
}

/// `payload.records`: where a record has its name, value and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    pub name: String,
    /// The first of these that a record has is its value.
    pub values: Vec<String>,
    pub time: Option<String>,
}

/// `payload.descriptors`, `message` and `embedded`: the type of messages of Protocol Buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protobuf {
    /// The descriptor set.
    pub descriptors: PathBuf,
    /// The name of the type, with its package.
    pub message: String,
    /// Fields of bytes, and the type of the message that each holds.
    pub embedded: Vec<(String, String)>,
    /// What the descriptor set says; `None` if it was not read.
    pub types: Option<Arc<MessageTypes>>,
}

/// The payload formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    /// A JSON value on each line.
    JsonLines,
    Cbor,
    Csv,
    Msgpack,
    /// Protocol Buffers.
    Protobuf,
    /// SenML in JSON or CBOR.
    Senml,
    /// InfluxDB line protocol.
    Influx,
    /// Sparkplug B.
    Sparkplug,
    /// Raw little-endian elements of this type.
    Raw(crate::tensor::Dtype),
    /// Binary numbers of this type, which is no element type or big-endian.
    Numbers(BinaryNumber),
    /// Records of binary numbers, as `payload.bytes` says.
    Bytes,
}

impl Format {
    /// Whether payloads have members with names, at any depth.
    #[must_use]
    pub fn has_members(self) -> bool {
        matches!(self, Self::Json | Self::Cbor | Self::Msgpack | Self::Protobuf)
    }

    /// Whether the format itself says where the time is.
    #[must_use]
    pub fn has_own_time(self) -> bool {
        matches!(self, Self::Senml | Self::Influx | Self::Sparkplug)
    }

    /// The name of the capture that is no part of the device's name, because it says what a
    /// message is.
    #[must_use]
    pub fn message_capture(self) -> Option<&'static str> {
        (self == Self::Sparkplug).then_some("message")
    }

    /// Whether payloads are numbers and nothing else.
    #[must_use]
    pub fn is_raw(self) -> bool {
        matches!(self, Self::Raw(_) | Self::Numbers(_))
    }
}
