//! Protocol Buffers (<https://protobuf.dev/>): the wire format, and the types of messages as a
//! descriptor set gives them.
//!
//! Read by code of our own rather than by a crate: no more than the fields of a message and their
//! types is needed, within bounds of memory, and in this way no message is built before a decoder
//! has chosen its fields (docs/decisions/0014-protobuf-by-hand.md).

mod descriptor_set;
mod message_types;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use descriptor_set::MAX_SET_BYTES;
pub use message_types::{FieldKind, FieldType, MessageType, MessageTypes};
