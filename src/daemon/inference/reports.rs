//! Reports of the workers that are published on topics of the daemon.

use bytes::Bytes;

use super::rejects::RejectSample;
use crate::config::Gateway;
use crate::daemon::telemetry::messages::json;
use crate::daemon::telemetry::topics;

/// A report about the inputs of a stream. Published without a guarantee: it is dropped if there is
/// no connection.
#[derive(Debug)]
pub(crate) enum Report {
    /// An input was rejected.
    Reject(RejectSample),
}

impl Report {
    pub(crate) fn topic(&self, gateway: &Gateway) -> String {
        match self {
            Self::Reject(_) => topics::rejects(gateway),
        }
    }

    pub(crate) fn payload(&self) -> Bytes {
        match self {
            Self::Reject(sample) => json(sample),
        }
    }
}
