//! Topics in and out: which streams a topic belongs to, which device it names, where a result goes.

mod captures;
mod pattern;
mod result_topic;
mod router;
#[cfg(test)]
mod tests;

pub(super) use captures::TopicCaptures;
pub(super) use result_topic::{ResultTopic, may_answer};
pub use router::{LabelRouter, Router};
