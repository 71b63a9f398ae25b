//! Protocol Buffers (<https://protobuf.dev/programming-guides/encoding/>) with the types of a
//! descriptor set, given to serde's data model so that the walks of JSON and CBOR serve them.
//!
//! Members have the names of the fields. Enums are their numbers, and a
//! `google.protobuf.Timestamp` is a text. A field that is absent and has no presence is 0 or empty,
//! as the language guide says.

mod error;
mod scalars;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use serde::de::DeserializeSeed;

use super::decoder::{Decoded, PayloadDecoder};
use super::payload_visitor::PayloadVisitor;
use super::sample_builder::SampleBuilder;
use super::schema::PayloadSchema;
use crate::pipeline::reject::Reject;
use crate::protobuf::MessageTypes;
use values::Message;

/// Decodes messages of one type.
#[derive(Debug)]
pub(super) struct ProtobufDecoder {
    schema: PayloadSchema,
    types: Option<Arc<MessageTypes>>,
}

impl ProtobufDecoder {
    pub(super) fn new(schema: PayloadSchema) -> Self {
        let types = schema.message_types.clone();
        Self { schema, types }
    }
}

impl PayloadDecoder for ProtobufDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        read(payload, self.types.as_deref(), PayloadVisitor::new(&mut builder))
            .map_err(|malformed| builder.reject.take().unwrap_or(malformed))?;
        builder.finish()
    }
}

/// Reads a payload with any seed.
///
/// # Errors
/// What the reader stumbled over; a seed that stops it keeps its own reason.
pub(super) fn read<'p, S: DeserializeSeed<'p, Value = ()>>(
    payload: &'p [u8],
    types: Option<&MessageTypes>,
    seed: S,
) -> Result<(), Reject> {
    let syntax = |problem| Reject::Syntax { format: "Protocol Buffers", problem };
    let message = types.and_then(|types| Some(Message::new(types, types.root()?, payload)));
    let Some(message) = message else {
        // A configuration without them does not run.
        return Err(syntax("payload.descriptors is not read".to_owned()));
    };
    seed.deserialize(message).map_err(|error| syntax(error.0))
}
