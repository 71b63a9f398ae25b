//! Metrics and health: counters, latencies, health findings, and rate limits of log messages.
//!
//! Plain values without locks or clocks. A worker owns its stream's [`StreamStats`] behind one
//! uncontended lock that it takes once per message; health reads it every few seconds.

mod condition;
pub mod health;
mod history;
mod pauses;
mod rate_limit;
mod recent;
mod stages;
mod stats;

pub use condition::Condition;
pub use history::{History, Minute};
pub use pauses::Pauses;
pub use rate_limit::{LogLimiter, Suppressed, TokenBucket};
pub use recent::{Outcomes, RECENT_MINUTES, Recent, Tally};
pub use stages::{STAGE_BOUNDS_US, StageTimes, Stages};
pub use stats::{Latency, LostWindow, Restarted, StreamStats, Summary, VersionStats, WindowStats};
