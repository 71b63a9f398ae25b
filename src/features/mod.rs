//! Features: what the blocks of a card make of the samples of a window.
//!
//! A list of blocks is checked once for the shape of the windows ([`FeaturePlan::new`]) and then run
//! on each of them. Blocks that make a series of a series come one after the other (`detrend`,
//! `filter`, `resample`, `lag`, `difference`, `pre-emphasis`). A block that makes features (`stats`,
//! `fft-power`, `spectrogram`, `mel`, `mfcc`) takes the series as the blocks before it left it and
//! leaves it as it is; the features of several such blocks follow one another, channel by channel.
//!
//! **The same bits everywhere.** All arithmetic is in f64, plain additions and multiplications in one
//! order, which IEEE 754 defines to the bit; sines, logarithms and the like are those of the crate
//! `libm` and not of the platform. The numbers are rounded to the model's type once, at the end.
//!
//! Numbers that are not finite are refused before and after: features have none.

mod block;
mod butterworth;
mod cepstrum;
mod fft;
mod frame_cache;
mod frames;
mod lag;
mod mel;
mod numeric;
mod plan;
mod power;
mod resample;
mod series;
mod shape;
mod statistics;
mod summary;
mod taper;
#[cfg(test)]
mod tests;
mod trend;

pub use block::{
    FeatureBlock, FftPower, Filter, Hold, InitialState, Mel, MelFilters, Mfcc, PassBand,
    PowerScale, Spectrogram, Statistic, Taper, Trend,
};
pub use plan::{FeatureBuffers, FeaturePlan, NotFinite};
pub use shape::{AxisOrder, FeatureError, FeatureShape, Source};
