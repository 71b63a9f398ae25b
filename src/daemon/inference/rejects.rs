//! Samples of rejected inputs, for the log and for the rejects topic.

use std::fmt;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::ids::StreamName;
use crate::log_fields;
use crate::message::Incoming;
use crate::monitor::Suppressed;
use crate::monitor::health::Rejection;
use crate::pipeline::RejectCount;

/// Bytes of a rejected payload that are shown.
const MAX_EXCERPT: usize = 256;

/// One rejected input, with the reason.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RejectSample {
    v: u8,
    time: Timestamp,
    stream: StreamName,
    topic: String,
    reason: &'static str,
    message: String,
    /// Samples of this message that were rejected for the same reason.
    count: u32,
    bytes: usize,
    /// The payload's beginning; bytes that are not UTF-8 shown as U+FFFD.
    excerpt: String,
    #[serde(skip)]
    is_of_model: bool,
}

impl RejectSample {
    pub(crate) fn new(stream: &StreamName, incoming: &Incoming, rejected: RejectCount) -> Self {
        let shown = incoming.payload.get(..MAX_EXCERPT).unwrap_or(&incoming.payload);
        Self {
            v: 1,
            time: incoming.received.wall,
            stream: stream.clone(),
            topic: incoming.topic.clone(),
            is_of_model: rejected.reject.is_of_model(),
            reason: rejected.reject.code(),
            message: rejected.reject.to_string(),
            count: rejected.count,
            bytes: incoming.payload.len(),
            excerpt: String::from_utf8_lossy(shown).into_owned(),
        }
    }

    /// Whether the model failed on a good input.
    pub(crate) fn is_of_model(&self) -> bool {
        self.is_of_model
    }

    pub(crate) fn example(&self) -> Rejection {
        Rejection {
            reason: self.reason,
            message: self.message.clone(),
            topic: self.topic.clone(),
            excerpt: self.excerpt.clone(),
        }
    }

    /// Writes the log line.
    pub(crate) fn log(&self, suppressed: Suppressed) {
        let Self { stream, topic, reason, .. } = self;
        log_fields::with(&[("stream", stream), ("topic", topic), ("reason", reason)], || {
            log::warn!("{self}{suppressed}");
        });
    }

    /// Rejects with the same key are not repeated in the log.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.stream, self.reason)
    }
}

impl fmt::Display for RejectSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, topic, reason, message, .. } = self;
        write!(f, "stream {stream}: input on {topic:?} rejected ({reason}): {message}")
    }
}
