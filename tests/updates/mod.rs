//! Models over the air: the daemon, a real broker, and an operator who deploys.

mod attacks;
pub(crate) mod fleet;
mod happy_paths;
mod kills;
mod local;
mod shadows;
mod trials;
