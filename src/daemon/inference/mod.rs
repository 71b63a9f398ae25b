//! Inference threads: the pool, its workers, their streams, and the messages between them and the
//! rest of the daemon.

pub(crate) mod drift;
pub(crate) mod heartbeat;
pub(crate) mod messages;
pub(crate) mod pool;
pub(crate) mod queues;
pub(crate) mod rejects;
pub(crate) mod reports;
pub(crate) mod retained_inputs;
pub(crate) mod shadow_share;
pub(crate) mod stats;
pub(crate) mod stream;
mod stream_counters;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod window_counters;
pub(crate) mod worker;
