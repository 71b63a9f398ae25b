//! Blocks that make a series of a series.

use super::block::{Filter, Trend};
use super::butterworth::Sections;
use super::lag::{difference, lag, pre_emphasis};
use super::resample::Resampler;
use super::trend::detrend;

/// A block with its tables.
#[derive(Clone, Debug)]
pub(super) enum SeriesStep {
    Detrend(Trend),
    Filter(Sections),
    Resample(Resampler),
    Lag { lags: Vec<usize>, longest: usize },
    Difference { order: usize },
    PreEmphasis { coefficient: f64, shift: usize },
}

/// What is known of a series while a list of blocks is checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SeriesState {
    pub(super) samples: usize,
    pub(super) channels: usize,
    pub(super) rate: Option<f64>,
    /// Samples between two windows; `None` where a sample depends on the whole window.
    pub(super) hop: Option<usize>,
    /// The first samples, which depend on the end of the window.
    pub(super) dirty: usize,
}

/// The most multiplications of a block in a window.
const MAX_WORK: usize = 1 << 28;

impl SeriesState {
    pub(super) fn filter(&mut self, filter: &Filter) -> Result<SeriesStep, String> {
        let rate = self.rate.ok_or("it needs `rate` of the input")?;
        self.hop = None;
        Sections::new(filter, rate).map(SeriesStep::Filter)
    }

    pub(super) fn detrend(&mut self, trend: Trend) -> SeriesStep {
        self.hop = None;
        SeriesStep::Detrend(trend)
    }

    pub(super) fn resample(&mut self, up: usize, down: usize) -> Result<SeriesStep, String> {
        let resampler = Resampler::new(up, down);
        let work = self.samples.saturating_mul(self.channels).saturating_mul(20);
        if work.saturating_mul(resampler.up.div_ceil(resampler.down)) > MAX_WORK {
            return Err("too many samples for a window".to_owned());
        }
        self.samples = resampler.samples(self.samples);
        let ratio = super::numeric::real(up) / super::numeric::real(down);
        self.rate = self.rate.map(|rate| rate * ratio);
        self.hop = None;
        Ok(SeriesStep::Resample(resampler))
    }

    pub(super) fn lag(&mut self, lags: &[usize]) -> Result<SeriesStep, String> {
        let longest = lags.iter().copied().max().ok_or("`lags` is empty")?;
        self.shorten(longest)?;
        self.channels = self.channels.saturating_mul(lags.len());
        Ok(SeriesStep::Lag { lags: lags.to_vec(), longest })
    }

    pub(super) fn difference(&mut self, order: usize) -> Result<SeriesStep, String> {
        self.shorten(order)?;
        Ok(SeriesStep::Difference { order })
    }

    pub(super) fn pre_emphasis(
        &mut self,
        coefficient: f64,
        shift: usize,
    ) -> Result<SeriesStep, String> {
        if shift >= self.samples {
            return Err(format!("pre_shift {shift} is not below the {} samples", self.samples));
        }
        self.dirty = self.dirty.saturating_add(shift);
        Ok(SeriesStep::PreEmphasis { coefficient, shift })
    }

    fn shorten(&mut self, by: usize) -> Result<(), String> {
        let left = self.samples.checked_sub(by).filter(|left| *left > 0);
        self.samples = left.ok_or_else(|| {
            format!("no sample of {} has all of the {by} before it", self.samples)
        })?;
        Ok(())
    }
}

impl SeriesStep {
    /// Changes a series of channels, one after the other, of `samples` each.
    pub(super) fn apply(&self, samples: usize, series: &mut Vec<f64>, spare: &mut Vec<f64>) {
        let size = samples.max(1);
        let channels = series.chunks_mut(size);
        match self {
            Self::Detrend(trend) => channels.for_each(|channel| detrend(*trend, channel)),
            Self::Filter(sections) => channels.for_each(|channel| sections.apply(channel)),
            Self::PreEmphasis { coefficient, shift } => {
                channels.for_each(|channel| pre_emphasis(channel, *coefficient, *shift, spare));
            }
            Self::Resample(resampler) => {
                remake(series, spare, size, |channel, out| resampler.apply(channel, out));
            }
            Self::Lag { lags, longest } => {
                remake(series, spare, size, |channel, out| lag(channel, lags, *longest, out));
            }
            Self::Difference { order } => {
                remake(series, spare, size, |channel, out| difference(channel, *order, out));
            }
        }
    }
}

fn remake(
    series: &mut Vec<f64>,
    spare: &mut Vec<f64>,
    size: usize,
    each: impl Fn(&[f64], &mut Vec<f64>),
) {
    spare.clear();
    series.chunks(size).for_each(|channel| each(channel, spare));
    std::mem::swap(series, spare);
}
