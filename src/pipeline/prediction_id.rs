//! The ids of predictions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::GatewayId;
use crate::message::InputId;

/// Assigns the ids of predictions. The id of a result that an input waits for is derived from that
/// input, so it is the same if the input is redelivered after a crash:
/// `gateway-ilap-packet-content-stream`. All others are numbered, `gateway-boot-sequence`, and unique.
#[derive(Clone, Debug)]
pub struct PredictionIds {
    gateway: Arc<str>,
    boot: Arc<str>,
    sequence: Arc<AtomicU64>,
}

impl PredictionIds {
    /// `boot` must differ between starts of the daemon. Workers may share the sequence.
    #[must_use]
    pub fn new(gateway: &GatewayId, boot: &str, sequence: Arc<AtomicU64>) -> Self {
        Self { gateway: gateway.as_str().into(), boot: boot.into(), sequence }
    }

    pub(super) fn next(&self) -> PredictionId<'_> {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        PredictionId::Numbered { gateway: &self.gateway, boot: &self.boot, number }
    }

    /// The id of the only result that this stream (by its index) makes of this input.
    pub(super) fn of_input(&self, input_id: InputId, stream: usize) -> PredictionId<'_> {
        PredictionId::OfInput { gateway: &self.gateway, input_id, stream }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum PredictionId<'a> {
    Numbered { gateway: &'a str, boot: &'a str, number: u64 },
    OfInput { gateway: &'a str, input_id: InputId, stream: usize },
}

impl fmt::Display for PredictionId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered { gateway, boot, number } => write!(f, "{gateway}-{boot}-{number}"),
            Self::OfInput { gateway, input_id: InputId { epoch, packet, content }, stream } => {
                write!(f, "{gateway}-i{epoch:x}-{packet:x}-{content:x}-{stream}")
            }
        }
    }
}

impl serde::Serialize for PredictionId<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
