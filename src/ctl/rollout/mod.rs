//! `inferctl rollout`: brings a release to a fleet, wave by wave.

mod awaited;
mod commands;
mod controller;
mod controller_ipc;
mod hold;
mod list;
pub(super) mod machine;
mod members;
pub(super) mod pace;
mod preview;
mod progress_view;
mod rebuild;
mod record;
mod request;
mod resume;
mod start;
mod status;
pub(super) mod terms;
mod warnings;
pub(super) mod waves;

pub(super) use commands::{Commands, rollout};
pub(super) use preview::preview;
pub(super) use request::RolloutRequest;
pub(super) use start::{Signing, begin};
