//! The control socket, and the commands that arrive on it.

pub(crate) mod capture;
pub(crate) mod commands;
mod model_rows;
mod queue;
pub(crate) mod server;
