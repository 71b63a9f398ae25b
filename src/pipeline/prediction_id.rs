//! The ids of predictions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::GatewayId;
use crate::message::InputId;

/// Gives predictions their ids. A result that an input waits for is named after that input, so that
/// it has the same id when the input comes again after a crash: `gateway-ilap-packet-content-stream`.
/// All others are numbered: `gateway-boot-sequence`, never given again.
#[derive(Clone, Debug)]
pub struct PredictionIds {
    gateway: Arc<str>,
    boot: Arc<str>,
    sequence: Arc<AtomicU64>,
}

impl PredictionIds {
    /// `boot` must differ between two starts of the daemon; the sequence may be shared by workers.
    #[must_use]
    pub fn new(gateway: &GatewayId, boot: &str, sequence: Arc<AtomicU64>) -> Self {
        Self { gateway: gateway.as_str().into(), boot: boot.into(), sequence }
    }

    pub(super) fn next(&self) -> PredictionId<'_> {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        PredictionId::Numbered { gateway: &self.gateway, boot: &self.boot, number }
    }

    /// For the one result that `stream`, by its number, makes of this input.
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
