//! What a candidate must show before it becomes the active model: a probe in a process of its own,
//! golden vectors, and a shadow run.

pub(crate) mod checks;
pub mod probe;
pub(crate) mod shadow;
