//! Inference threads: their messages, queues and counters.

pub(crate) mod messages;
pub(crate) mod queues;
pub(crate) mod shadow_share;
pub(crate) mod stats;
pub(crate) mod window_counters;
