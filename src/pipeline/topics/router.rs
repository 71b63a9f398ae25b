//! Which streams a topic belongs to.

use super::pattern::matches;
use crate::config::{Stream, TopicPattern};

/// All streams' topic patterns.
#[derive(Clone, Debug)]
pub struct Router {
    pub(super) patterns: Vec<TopicPattern>,
}

impl Router {
    #[must_use]
    pub fn new(streams: &[Stream]) -> Self {
        Self { patterns: streams.iter().map(|s| s.topic.clone()).collect() }
    }

    /// The numbers of the streams that a topic belongs to, in the order of the configuration.
    pub fn streams<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = usize> + 'a {
        let matching = move |(i, p): (usize, &TopicPattern)| matches(p, topic).then_some(i);
        self.patterns.iter().enumerate().filter_map(matching)
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

    /// The numbers of the streams that labels on this topic are for.
    pub fn streams<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = usize> + 'a {
        let matching = self.patterns.iter().filter(move |(_, pattern)| matches(pattern, topic));
        matching.map(|(stream, _)| *stream)
    }
}
