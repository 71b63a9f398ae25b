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
