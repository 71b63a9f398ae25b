//! Streams whose messages have one value each.

use std::time::Duration;

use super::{Payload, Stream, TopicPattern};

/// How values that arrive in messages of their own become samples: `payload.join`, `payload.align`
/// and `[[stream.source]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// The capture that names the channel of a message; it is no part of the device's name.
    pub by: Option<String>,
    /// The field with the number, in messages of a channel that are objects.
    pub value: String,
    /// An older value of a channel counts as missing.
    pub hold: Duration,
    pub every: JoinEvery,
    /// Where the values come from. The topic and payload of the first are those of the stream.
    pub sources: Vec<Source>,
}

/// When a sample is made of the values of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinEvery {
    /// With each value.
    Any,
    /// Once each channel has a new value.
    All,
    /// At each point of a grid in time.
    Grid(Grid),
}

/// Points in time, multiples of `step` since 1970, and how values are found for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub step: Duration,
    pub method: AlignMethod,
    /// How long a point waits for channels without a later value.
    pub max_lag: Duration,
}

/// The value of a channel at a point of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlignMethod {
    /// The last one at or before the point.
    Previous,
    /// Interpolated between the last one at or before the point and the next one.
    Linear,
}

/// One `[[stream.source]]`, or what the stream itself subscribes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub topic: TopicPattern,
    /// Its `fields` are the channels that its messages have, unless the topic names the channel.
    pub payload: Payload,
    /// Microseconds that are added to each timestamp.
    pub offset: i64,
}

impl Stream {
    /// All topics that the stream subscribes to. No topic matches two of them.
    pub fn topics(&self) -> impl Iterator<Item = &TopicPattern> {
        let sources = self.join.iter().flat_map(|join| join.sources.iter().skip(1));
        std::iter::once(&self.topic).chain(sources.map(|source| &source.topic))
    }
}
