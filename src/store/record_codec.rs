//! One result as bytes.
//!
//! ```text
//! number   seq, as the distance from the batch's first
//! text     stream
//! byte     flags: 1 retain, 2 QoS 1, 4 correlation follows
//! text     topic
//! text     content type
//! number   properties, then a name and a value each: text, text
//! bytes    correlation, if the flag is set
//! bytes    payload
//! ```
//! `number` is LEB128, `text` and `bytes` begin with their length as a number.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{Reader, put_bytes, put_varint};
use crate::ids::StreamName;
use crate::message::{Outgoing, Qos};
use crate::outbox::{Record, Seq};

const RETAIN: u8 = 1;
const AT_LEAST_ONCE: u8 = 2;
const CORRELATION: u8 = 4;
/// More than this on one message is not ours.
const MAX_PROPERTIES: u64 = 64;

pub(super) fn put(to: &mut Vec<u8>, first: Seq, record: &Record) {
    let message = &record.message;
    let mut flags = 0;
    flags |= if message.retain { RETAIN } else { 0 };
    flags |= if message.qos == Qos::AtLeastOnce { AT_LEAST_ONCE } else { 0 };
    flags |= if message.correlation.is_some() { CORRELATION } else { 0 };
    put_varint(to, record.seq.0.saturating_sub(first.0));
    put_bytes(to, record.stream.as_str().as_bytes());
    to.push(flags);
    put_bytes(to, message.topic.as_bytes());
    put_bytes(to, message.content_type.as_bytes());
    put_varint(to, u64::try_from(message.properties.len()).unwrap_or(u64::MAX));
    for (name, value) in &message.properties {
        put_bytes(to, name.as_bytes());
        put_bytes(to, value.as_bytes());
    }
    if let Some(correlation) = &message.correlation {
        put_bytes(to, correlation);
    }
    put_bytes(to, &message.payload);
}

/// `None` for bytes that [`put`] did not write.
pub(super) fn read(from: &mut Reader<'_>, first: Seq, priority: u8) -> Option<Record> {
    let seq = Seq(first.0.checked_add(from.number()?)?);
    let stream = StreamName::parse(from.text()?).ok()?;
    let flags = from.byte()?;
    let topic = from.text()?.to_owned();
    let content_type = Cow::Owned(from.text()?.to_owned());
    let count = from.number().filter(|count| *count <= MAX_PROPERTIES)?;
    let mut property = || Some((Cow::Owned(from.text()?.to_owned()), from.text()?.to_owned()));
    let properties = (0..count).map(|_| property()).collect::<Option<Vec<_>>>()?;
    let correlation =
        if flags & CORRELATION == 0 { None } else { Some(Bytes::copy_from_slice(from.bytes()?)) };
    let payload = Bytes::copy_from_slice(from.bytes()?);
    let message = Outgoing {
        topic,
        payload,
        content_type,
        properties,
        correlation,
        retain: flags & RETAIN != 0,
        qos: if flags & AT_LEAST_ONCE == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce },
    };
    Some(Record { seq, stream, priority, message: Arc::new(message) })
}
