//! The formats with members, read by any seed.

use std::sync::Arc;

use serde::de::DeserializeSeed;

use super::record::Record;
use super::record_walk::{RecordSink, RecordTree, RecordWalk};
use super::schema::PayloadSchema;
use super::{cbor, json, msgpack, protobuf};
use crate::config::Format;
use crate::pipeline::reject::Reject;
use crate::protobuf::MessageTypes;

/// A format with members, and what it takes to read it.
#[derive(Clone, Debug)]
pub(super) enum Structure {
    Json,
    Cbor,
    Msgpack,
    Protobuf(Option<Arc<MessageTypes>>),
}

impl Structure {
    pub(super) fn of(schema: &PayloadSchema) -> Self {
        match schema.format {
            Format::Cbor => Self::Cbor,
            Format::Msgpack => Self::Msgpack,
            Format::Protobuf => Self::Protobuf(schema.message_types.clone()),
            _ => Self::Json,
        }
    }
}

/// Reads the records of a payload into a sink, and returns what the object around them says.
///
/// # Errors
/// A payload that is not in the format, and what the sink refuses.
pub(super) fn read_records(
    structure: &Structure,
    payload: &[u8],
    tree: &RecordTree,
    sink: impl RecordSink,
) -> Result<Record, Reject> {
    let mut walk = RecordWalk::new(tree, sink);
    let read = read(structure, payload, walk.visitor());
    match read {
        Ok(()) => Ok(walk.around),
        Err(syntax) => Err(walk.reject.unwrap_or(syntax)),
    }
}

/// Reads a payload with any seed.
///
/// # Errors
/// A payload that is not in the format; a seed that stops the reader keeps its own reason.
pub(super) fn read<'p, S: DeserializeSeed<'p, Value = ()>>(
    structure: &Structure,
    payload: &'p [u8],
    seed: S,
) -> Result<(), Reject> {
    match structure {
        Structure::Json => json::read(payload, seed),
        Structure::Cbor => cbor::read(payload, seed),
        Structure::Msgpack => msgpack::read(payload, seed),
        Structure::Protobuf(types) => protobuf::read(payload, types.as_deref(), seed),
    }
}
