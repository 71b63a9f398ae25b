//! How the values of a stream are joined, in the units of the join.

use std::fmt::Write as _;
use std::time::Duration;

use crate::config::{self, AlignMethod, JoinEvery};

/// How the values of a stream are joined. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct JoinPlan {
    /// The names of the channels, in the order of a sample.
    pub(in crate::pipeline) channels: Vec<String>,
    /// An older value is missing.
    pub(super) hold: i64,
    pub(super) every: Every,
}

/// When a sample is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Every {
    Any,
    All,
    Grid(GridPlan),
}

/// The points of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GridPlan {
    /// At least 1.
    pub(super) step: i64,
    pub(super) lag: i64,
    pub(super) method: AlignMethod,
}

impl JoinPlan {
    pub(in crate::pipeline) fn new(join: &config::Join, channels: Vec<String>) -> Self {
        let every = match join.every {
            JoinEvery::Any => Every::Any,
            JoinEvery::All => Every::All,
            JoinEvery::Grid(config::Grid { step, method, max_lag }) => {
                Every::Grid(GridPlan { step: micros(step).max(1), lag: micros(max_lag), method })
            }
        };
        Self { channels, hold: micros(join.hold), every }
    }

    /// The place of a channel in a sample.
    pub(super) fn channel(&self, name: &str) -> Option<usize> {
        self.channels.iter().position(|channel| channel == name)
    }

    /// An earlier time by more than this may come from a clock that was set back.
    pub(super) fn reach(&self) -> i64 {
        match self.every {
            Every::Any | Every::All => self.hold,
            Every::Grid(grid) => self.hold.max(grid.lag),
        }
    }

    /// Differs if saved states of another plan cannot be used.
    pub(in crate::pipeline) fn fingerprint(&self) -> u32 {
        let mut text = String::new();
        let every = match self.every {
            Every::Any => "any".to_owned(),
            Every::All => "all".to_owned(),
            Every::Grid(GridPlan { step, .. }) => step.to_string(),
        };
        // Writing to a String cannot fail.
        let _written = write!(text, "{every} {:?}", self.channels);
        crc32fast::hash(text.as_bytes())
    }
}

/// The longest time between two samples of a window, if the join makes them at equal distances.
pub(in crate::pipeline) fn row_gap(stream: &config::Stream) -> Option<Duration> {
    match stream.join.as_ref()?.every {
        JoinEvery::Any | JoinEvery::All => None,
        JoinEvery::Grid(grid) => Some(grid.step),
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
