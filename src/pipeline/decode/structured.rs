//! The formats with members, read by any seed.

use serde::de::DeserializeSeed;

use super::record::Record;
use super::record_walk::{RecordSink, RecordTree, RecordWalk};
use super::{cbor, json, msgpack};
use crate::config::Format;
use crate::pipeline::reject::Reject;

/// Reads the records of a payload into a sink, and returns what the object around them says.
///
/// # Errors
/// A payload that is not in the format, and what the sink refuses.
pub(super) fn read_records(
    format: Format,
    payload: &[u8],
    tree: &RecordTree,
    sink: impl RecordSink,
) -> Result<Record, Reject> {
    let mut walk = RecordWalk::new(tree, sink);
    let read = read(format, payload, walk.visitor());
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
    format: Format,
    payload: &'p [u8],
    seed: S,
) -> Result<(), Reject> {
    match format {
        Format::Cbor => cbor::read(payload, seed),
        Format::Msgpack => msgpack::read(payload, seed),
        _ => json::read(payload, seed),
    }
}
