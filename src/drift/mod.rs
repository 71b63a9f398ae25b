//! Drift: whether a model's inputs and outputs are still distributed as while it was made.
//!
//! A [`Baseline`] holds the distribution of each quantity: per channel the mean and the logarithm
//! of the standard deviation of a window, of the output its labels, score, margin, entropy and
//! values. A [`Watcher`] compares the windows of one stream with it: a CUSUM on means of blocks
//! finds shifts soon, histograms find changes of shape, and rates of events find dead sensors,
//! values beyond the training range and rejected inputs. Thresholds come from [`FalseAlarms`],
//! the allowed rate.
//!
//! Windows of one device resemble each other, and textbook detectors take them for independent:
//! the baseline measures how long a block of windows has to be until its mean is independent of
//! the next one's. Nothing here has a clock, and a window takes no memory.

mod baseline;
mod cusum;
mod device_rate;
mod distribution;
mod histogram;
mod progress;
mod quantity;
mod report;
#[cfg(test)]
mod tests;
mod threshold;
mod watcher;

pub use baseline::{
    Baseline, BaselineBuilder, BaselineError, BlockStatistics, Blocks, ChannelBaseline, LEVELS,
    LabelBaseline, NumberBaseline, Shape, WINDOWS_LEAST,
};
pub use cusum::{Cusum, RateCusum};
pub use device_rate::{DeviceRate, RateChange};
pub use distribution::{chi_squared_upper_quantile, normal_quantile};
pub use histogram::{chi_squared, psi};
pub use quantity::{
    BINS, Channel, Features, MAX_CHANNELS, MAX_OUTPUTS, Output, Quantities, RESOLUTION,
};
pub use report::{
    Alarm, BaselineSource, DriftEvent, DriftReport, DriftState, EventKind, QuantityReport,
};
pub use threshold::{Distances, FalseAlarms, cusum_threshold, psi_threshold, rate_threshold};
pub use watcher::{Settings, Watcher, WindowOutcome};
