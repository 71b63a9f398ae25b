//! States of an update, reasons for its end, and what a trial measures.

use serde::{Deserialize, Serialize};

/// Statistics of the active model since its activation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrialStats {
    pub runs: u32,
    pub errors: u32,
    /// Outputs that were not numbers.
    pub nans: u32,
    /// Its latency over that of the model before; 1 where that is not known.
    pub slowdown: f64,
    /// Labels for its predictions, the last 1,000 of each stream.
    pub labels: u32,
    /// Of them, those that the prediction agreed with.
    pub correct: u32,
}

/// Where a gateway is with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Waiting,
    Fetching,
    Verifying,
    Probing,
    Shadow,
    Trial,
    Committed,
    RolledBack,
    Failed,
    Rejected,
    Cancelled,
}

impl State {
    /// Whether the update is over, one way or the other.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Committed
            | Self::RolledBack
            | Self::Failed
            | Self::Rejected
            | Self::Cancelled => true,
            Self::Waiting
            | Self::Fetching
            | Self::Verifying
            | Self::Probing
            | Self::Shadow
            | Self::Trial => false,
        }
    }
}

/// Why an update did not happen; stable on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Not a valid document.
    Malformed,
    /// Too few signatures that count.
    Signatures,
    /// A keyset that does not follow the trusted one.
    Keyset,
    /// A deployment of an earlier number than one already seen.
    Replayed,
    /// For another gateway, group or model.
    Target,
    /// A release older than the one committed.
    Counter,
    Expired,
    /// This version failed here before.
    Refused,
    /// It needs a newer inferd or more memory.
    Requires,
    /// Not enough disk space.
    Disk,
    /// No source had the right bytes.
    Bytes,
    /// The model cannot be loaded.
    Load,
    /// It does not give what its golden vectors or golden samples ask for.
    Golden,
    /// The probe used too much memory.
    Memory,
    /// The probe crashed or took too long, or the gateway went down with it several times.
    Crash,
    /// It does not agree with the active model.
    Disagrees,
    /// Too many failed runs in the trial.
    ErrorRate,
    /// Its outputs are not numbers.
    NotANumber,
    Slow,
    /// Too many predictions of the trial disagree with their labels.
    Accuracy,
    /// Withdrawn or held before it was switched to.
    Cancelled,
    /// Rolled back by a local command.
    Operator,
    /// Its windows or predictions were not distributed as in its baseline.
    Drift,
    /// Another version is on trial.
    Busy,
}

impl Reason {
    /// Whether the version itself is to blame: then it is not tried again.
    pub(super) fn blames_version(self) -> bool {
        matches!(
            self,
            Self::Load
                | Self::Golden
                | Self::Memory
                | Self::Crash
                | Self::Disagrees
                | Self::ErrorRate
                | Self::NotANumber
                | Self::Slow
                | Self::Accuracy
                | Self::Operator
                | Self::Drift
        )
    }
}
