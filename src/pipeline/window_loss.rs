//! Partial windows that were given up, and why: what an operator needs where predictions stay away.

use std::fmt;
use std::time::Duration;

/// A window that was given up with samples in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowLoss {
    pub device: String,
    pub cause: LossCause,
    /// Samples that were thrown away and had been in no complete window.
    pub samples: usize,
    /// Samples in a window.
    pub length: usize,
    /// Windows of the device given up since its last complete one, this one counted.
    pub in_a_row: u32,
}

/// Why a window was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// More time passed between two samples than the card's `window.max_gap`.
    Gap {
        gap: Duration,
        max: Duration,
        /// By the samples' own time stamps rather than their arrival.
        own_time: bool,
    },
    /// The device's clock was set back, or forward to where it was before.
    Clock { by: Duration, back: bool },
    /// The device was silent for longer than `key_ttl` and came back.
    Silence { silent: Duration, ttl: Duration },
    /// Made room for another device, before its first prediction.
    Evicted { max_keys: usize },
    /// Silent for longer than `key_ttl`, before its first prediction.
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

/// From so many windows in a row on, a device's windows are said never to fill.
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

/// Losses of one message: of each cause the first as the example, with how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowLosses(Vec<(WindowLoss, u32)>);

impl WindowLosses {
    /// Notes a loss; `loss` is asked for the first of its cause only.
    pub(super) fn note(&mut self, cause: LossCause, loss: impl FnOnce() -> WindowLoss) {
        match self.0.iter_mut().find(|(known, _)| known.cause.code() == cause.code()) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.0.push((loss(), 1)),
        }
    }

    /// Adds those of a stream whose windows have `length` samples.
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

    /// Losses of this cause, by its code.
    #[must_use]
    pub fn count(&self, code: &str) -> u32 {
        self.0.iter().find(|(loss, _)| loss.cause.code() == code).map_or(0, |(_, count)| *count)
    }
}

/// How full the window of the device at hand is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowFill {
    /// Samples in a window.
    pub length: usize,
    /// Samples that the next window has already.
    pub filled: usize,
    /// Samples that it still needs.
    pub missing: usize,
}
