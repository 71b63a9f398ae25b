//! Which streams a topic belongs to.

use super::pattern::capture;
use crate::config::{Stream, TopicPattern};
use crate::message::Delivery;

/// All streams' topic patterns.
#[derive(Clone, Debug)]
pub struct Router {
    /// By stream index.
    pub(super) patterns: Vec<Vec<TopicPattern>>,
}

impl Router {
    #[must_use]
    pub fn new(streams: &[Stream]) -> Self {
        let patterns = |stream: &Stream| stream.topics().cloned().collect();
        Self { patterns: streams.iter().map(patterns).collect() }
    }

    /// The streams that a topic belongs to, in the order of the configuration, each with its own
    /// captures.
    pub fn route<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = Delivery> + 'a {
        let deliver = |(stream, patterns): (usize, &Vec<TopicPattern>)| {
            let captured = patterns.iter().enumerate().find_map(|(place, pattern)| {
                let mut captures = capture(pattern, topic)?;
                captures.topic = place;
                Some(captures)
            });
            Some(Delivery { stream, captures: captured? })
        };
        self.patterns.iter().enumerate().filter_map(deliver)
    }
}

/// The topics of the labels of all streams.
#[derive(Clone, Debug)]
pub struct LabelRouter {
    /// With the number of the stream.
    patterns: Vec<(usize, TopicPattern)>,
}

impl LabelRouter {
    #[must_use]
    pub fn new(streams: &[Stream]) -> Self {
        let of_stream = |(at, it): (usize, &Stream)| Some((at, it.labels.as_ref()?.topic.clone()));
        Self { patterns: streams.iter().enumerate().filter_map(of_stream).collect() }
    }

    /// The streams that labels on this topic are for, each with what its topic of labels captures.
    pub fn route<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = Delivery> + 'a {
        let deliver = move |(stream, pattern): &(usize, TopicPattern)| {
            Some(Delivery { stream: *stream, captures: capture(pattern, topic)? })
        };
        self.patterns.iter().filter_map(deliver)
    }
}
