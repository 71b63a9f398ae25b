//! Models over the air: the daemon, a real broker, and whoever deploys.

mod attacks;
pub(crate) mod fleet;
mod kills;
mod local;
mod shadows;
mod trials;
mod ways;
