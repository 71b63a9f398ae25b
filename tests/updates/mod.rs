//! Models over the air: the daemon, a real broker, and whoever deploys.

mod fleet;
mod ways;
