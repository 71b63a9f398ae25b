//! What the daemon tells of itself: counters, latencies, and how often it repeats itself.
//!
//! Plain values without locks or clocks. A worker owns its stream's [`StreamStats`] behind one
//! uncontended lock that it takes once per message; health reads it every few seconds.

mod limit;
mod stats;

pub use limit::{Bucket, Repeats};
pub use stats::{Latency, StreamStats, Summary, VersionStats};
