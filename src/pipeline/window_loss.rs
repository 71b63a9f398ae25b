//! Partial windows that were discarded, and why, for an operator who misses predictions.

use std::fmt;
use std::time::Duration;

/// A discarded window that contained samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowLoss {
    pub device: String,
    pub cause: LossCause,
    /// Discarded samples that were in no complete window.
    pub samples: usize,
    /// Samples in a window.
    pub length: usize,
    /// Windows of the device discarded since its last complete one, including this one.
    pub in_a_row: u32,
}

/// Why a window was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// More time passed between two samples than the card's `window.max_gap`.
    Gap {
        gap: Duration,
        max: Duration,
        /// Measured by the time stamps of the samples, not by their arrival.
        own_time: bool,
    },
    /// The clock of the device stepped back, or forward to where it was before.
    Clock { by: Duration, back: bool },
    /// The device was silent for longer than `key_ttl` and returned.
    Silence { silent: Duration, ttl: Duration },
    /// The device was evicted to make room for another one, before its first prediction.
    Evicted { max_keys: usize },
    /// The device expired (`key_ttl`) before its first prediction.
    Expired { ttl: Duration },
}

impl LossCause {
    /// A stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Gap { .. } => "gap",
            Self::Clock { .. } => "clock",
            Self::Silence { .. } => "silence",
            Self::Evicted { .. } => "evicted",
            Self::Expired { .. } => "expired",
        }
    }
}

/// After this many discarded windows in a row, the message says that the windows never fill.
const NEVER: u32 = 3;

impl fmt::Display for WindowLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, cause, samples, length, in_a_row } = self;
        let verb = match cause {
            LossCause::Evicted { .. } | LossCause::Expired { .. } => "was dropped",
            _ => "starts over",
        };
        write!(f, "the window of device {device:?} {verb} with {samples} of {length} samples: ")?;
        match cause {
            LossCause::Gap { gap, max, own_time } => {
                let by = if *own_time { "by their own time" } else { "by their arrival" };
                write!(f, "two samples are {gap:?} apart {by}, window.max_gap is {max:?}")?;
            }
            LossCause::Clock { by, back: true } => {
                write!(f, "the device's clock was set back by {by:?}")?;
            }
            LossCause::Clock { by, back: false } => write!(
                f,
                "the device's clock went forward by {by:?} to where it was before it was set back \
                 (do two devices share this key?)"
            )?,
            LossCause::Silence { silent, ttl } => {
                write!(f, "the device was silent for {silent:?}, key_ttl is {ttl:?}")?;
            }
            LossCause::Evicted { max_keys } => {
                write!(f, "more than max_keys = {max_keys} devices send in turn")?;
            }
            LossCause::Expired { ttl } => {
                write!(f, "the device was silent for longer than key_ttl, {ttl:?}")?;
            }
        }
        if *in_a_row < NEVER {
            return Ok(());
        }
        write!(f, "; this is the case {in_a_row} times in a row, so its windows never fill")?;
        match cause {
            LossCause::Gap { .. } => f.write_str(
                ": raise window.max_gap in the model's card, or have it send more often",
            ),
            LossCause::Silence { .. } => f.write_str(": raise the stream's key_ttl"),
            _ => Ok(()),
        }
    }
}

/// The losses of one message: the first of each cause as an example, and their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowLosses(Vec<(WindowLoss, u32)>);

impl WindowLosses {
    /// Records a loss; `loss` is called for the first of its cause only.
    pub(super) fn note(&mut self, cause: LossCause, loss: impl FnOnce() -> WindowLoss) {
        match self.0.iter_mut().find(|(known, _)| known.cause.code() == cause.code()) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.0.push((loss(), 1)),
        }
    }

    /// Adds the losses of a stream whose windows have `length` samples.
    pub(super) fn merge(&mut self, more: Self, length: usize) {
        for (loss, count) in more.0 {
            match self.0.iter_mut().find(|(known, _)| known.cause.code() == loss.cause.code()) {
                Some((_, known)) => *known = known.saturating_add(count),
                None => self.0.push((WindowLoss { length, ..loss }, count)),
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &(WindowLoss, u32)> {
        self.0.iter()
    }

    /// The number of losses with this code.
    #[must_use]
    pub fn count(&self, code: &str) -> u32 {
        self.0.iter().find(|(loss, _)| loss.cause.code() == code).map_or(0, |(_, count)| *count)
    }
}

/// The fill level of the window of the current device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowFill {
    /// Samples in a window.
    pub length: usize,
    /// Samples that the next window already has.
    pub filled: usize,
    /// Samples that it still needs.
    pub missing: usize,
}
