//! Data that passes between the parts of a model's updates.

use tokio::sync::oneshot;

use crate::control::ErrorResponse;
use crate::ids::Digest;
use crate::update::ShadowReport;
use crate::update::machine::{Event, Reason};

/// A result of a background task, and the candidate that it is about.
pub(super) type TaskResult = (Digest, Finding);

/// What a background task found out.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) event: Event,
    /// How the candidate compared with the active model, after a shadow run.
    pub(super) shadow: Option<ShadowReport>,
}

impl From<Event> for Finding {
    fn from(event: Event) -> Self {
        Self { event, shadow: None }
    }
}

/// A local command that waits until its release is on trial or rejected.
#[derive(Debug)]
pub(super) struct PendingInstall {
    pub(super) manifest: Digest,
    pub(super) version: String,
    pub(super) result: oneshot::Sender<Result<serde_json::Value, ErrorResponse>>,
}

/// The name of a reason on the wire.
pub(super) fn word(reason: Reason) -> String {
    let value = serde_json::to_value(reason).unwrap_or_default();
    value.as_str().unwrap_or("-").to_owned()
}
