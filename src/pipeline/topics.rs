//! Topics in and out: which streams a topic belongs to, which device it names, where a result goes.

use crate::config::{Level, Stream, TopicPattern};

/// All streams' topic patterns.
#[derive(Clone, Debug)]
pub struct Router {
    patterns: Vec<TopicPattern>,
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

/// Whether a pattern matches as its MQTT filter would: a capture takes one level, which may be
/// empty (that is rejected later, with a reason), but no first level that starts with `$`.
fn matches(pattern: &TopicPattern, topic: &str) -> bool {
    let mut levels = topic.split('/');
    let mut first = true;
    for level in &pattern.levels {
        let Some(got) = levels.next() else { return false };
        let fits = match level {
            Level::Literal(text) => text == got,
            Level::Capture(_) => !(first && got.starts_with('$')),
        };
        if !fits {
            return false;
        }
        first = false;
    }
    levels.next().is_none()
}
