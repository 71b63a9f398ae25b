//! What the daemon reports about itself: counters, latencies, its state, and how often it repeats
//! a log line.
//!
//! Plain values without locks or clocks. A worker owns its stream's [`StreamStats`] behind one
//! uncontended lock that it takes once per message; health reads it every few seconds.

mod condition;
pub mod health;
mod limit;
mod recent;
mod silence;
mod stats;

pub use condition::Condition;
pub use limit::{Bucket, Repeats, Suppressed};
pub use recent::{Outcomes, RECENT_MINUTES, Recent, Tally};
pub use silence::Pauses;
pub use stats::{Latency, LostWindow, Restarted, StreamStats, Summary, VersionStats, WindowStats};
