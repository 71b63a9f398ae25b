//! A list of blocks, checked and made ready for windows of one shape.

use super::block::FeatureBlock;
use super::frame_cache::FrameCache;
use super::series::{SeriesState, SeriesStep};
use super::shape::{AxisOrder, FeatureError, FeatureShape, Source};
use super::summary::{SummaryStep, SummaryWork};

/// The most numbers of a series or of what is made of it: 128 MiB.
const MAX_NUMBERS: usize = 1 << 24;

/// The blocks of an input with their tables.
#[derive(Clone, Debug)]
pub struct FeaturePlan {
    source: Source,
    steps: Vec<Step>,
    /// Mean and standard deviation, repeated over the numbers; may be empty.
    standard: Vec<(f64, f64)>,
    shape: FeatureShape,
}

#[derive(Clone, Debug)]
enum Step {
    Series(SeriesStep),
    /// The first of its numbers in the features of a channel.
    Summary {
        step: SummaryStep,
        first: usize,
    },
}

/// The buffers and the remembered frames of one input.
#[derive(Clone, Debug, Default)]
pub struct FeatureBuffers {
    series: Vec<f64>,
    spare: Vec<f64>,
    made: Vec<f64>,
    work: SummaryWork,
    /// One for each block.
    caches: Vec<FrameCache>,
    uncached: bool,
}

impl FeatureBuffers {
    /// Buffers that remember no frames.
    #[must_use]
    pub fn without_cache() -> Self {
        Self { uncached: true, ..Self::default() }
    }

    /// Frames that were taken from an earlier window.
    #[must_use]
    pub fn copied_frames(&self) -> u64 {
        self.caches.iter().map(|cache| cache.copied).sum()
    }
}

/// A number that is not finite, in a series or in the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFinite;

/// A plan while its blocks are checked.
struct Draft {
    state: SeriesState,
    steps: Vec<Step>,
    /// Features of a channel so far.
    features: usize,
    summaries: usize,
    /// Numbers of a frame, of the last block that makes frames.
    frame: Option<usize>,
    standard: Option<(Vec<f64>, Vec<f64>)>,
}

impl FeaturePlan {
    /// # Errors
    /// The first block that does not fit what the blocks before it make.
    pub fn new(blocks: &[FeatureBlock], source: Source) -> Result<Self, FeatureError> {
        let Source { samples, channels, rate, hop, .. } = source;
        let state = SeriesState { samples, channels, rate, hop: Some(hop), dirty: 0 };
        let (steps, standard) = (Vec::new(), None);
        let mut draft = Draft { state, steps, features: 0, summaries: 0, frame: None, standard };
        for (place, block) in blocks.iter().enumerate() {
            let wrong = |problem| FeatureError { place, name: block.name(), problem };
            draft.add(block).and_then(|()| draft.within_bounds(source.order)).map_err(wrong)?;
        }
        let shape = draft.shape();
        Ok(Self { standard: draft.standardization(), source, steps: draft.steps, shape })
    }

    #[must_use]
    pub fn shape(&self) -> &FeatureShape {
        &self.shape
    }

    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Makes the features of a series: all samples of a channel, then those of the next one. They come
    /// in the order of the model's input.
    ///
    /// # Errors
    /// The series has, or becomes, a number that is not finite.
    pub fn run(
        &self,
        series: &[f64],
        buffers: &mut FeatureBuffers,
        out: &mut Vec<f64>,
    ) -> Result<(), NotFinite> {
        let FeatureBuffers { series: own, spare, made, work, caches, uncached } = buffers;
        caches.resize_with(self.steps.len(), FrameCache::default);
        own.clear();
        own.extend_from_slice(series);
        out.clear();
        let features = match self.shape {
            FeatureShape::Series { .. } => 0,
            _ => self.shape.len() / self.source_channels().max(1),
        };
        out.resize(if features == 0 { 0 } else { self.shape.len() }, 0.0);
        let mut channels = self.source.channels.max(1);
        for (step, cache) in self.steps.iter().zip(caches) {
            let samples = own.len() / channels;
            match step {
                Step::Series(step) => {
                    step.apply(samples, own, spare);
                    if let SeriesStep::Lag { lags, .. } = step {
                        channels *= lags.len().max(1);
                    }
                }
                Step::Summary { step, first } => {
                    finite(own)?;
                    made.clear();
                    step.apply(own, samples, (work, Some(cache).filter(|_| !*uncached)), made);
                    let width = (made.len() / channels).max(1);
                    let rows = out.chunks_mut(features.max(1)).zip(made.chunks(width));
                    for (row, of_channel) in rows {
                        row.iter_mut().skip(*first).zip(of_channel).for_each(|(to, x)| *to = *x);
                    }
                }
            }
        }
        if features == 0 {
            out.extend_from_slice(own);
        }
        self.standardize(out);
        self.arrange(out, spare);
        finite(out)
    }

    /// Channels when features are made.
    fn source_channels(&self) -> usize {
        match self.shape {
            FeatureShape::Series { channels, .. }
            | FeatureShape::Vector { channels, .. }
            | FeatureShape::Frames { channels, .. } => channels,
        }
    }

    fn standardize(&self, out: &mut [f64]) {
        if self.standard.is_empty() {
            return;
        }
        // A series has all samples of a channel together.
        let run = match self.shape {
            FeatureShape::Series { samples, .. } => samples.max(1),
            _ => 1,
        };
        let pairs = self.standard.iter().cycle();
        for (part, (mean, std)) in out.chunks_mut(run).zip(pairs) {
            part.iter_mut().for_each(|x| *x = (*x - mean) / std);
        }
    }

    /// Puts the numbers, which are channel by channel, in the order of the tensor.
    fn arrange(&self, out: &mut Vec<f64>, spare: &mut Vec<f64>) {
        let by_time = self.source.order == AxisOrder::TimeFirst;
        let (part, columns) = match self.shape {
            FeatureShape::Series { samples, channels } if by_time => (samples * channels, samples),
            FeatureShape::Frames { frames, width, .. } if !by_time => (frames * width, width),
            _ => return,
        };
        spare.clear();
        for part in out.chunks(part.max(1)) {
            let column = |place: usize| part.iter().skip(place).step_by(columns.max(1));
            (0..columns).for_each(|place| spare.extend(column(place)));
        }
        std::mem::swap(out, spare);
    }
}

fn finite(values: &[f64]) -> Result<(), NotFinite> {
    if values.iter().all(|x| x.is_finite()) { Ok(()) } else { Err(NotFinite) }
}

impl Draft {
    fn add(&mut self, block: &FeatureBlock) -> Result<(), String> {
        if self.standard.is_some() {
            return Err("standardize is the last block, and this one comes after it".to_owned());
        }
        let state = &mut self.state;
        let summary = match block {
            FeatureBlock::Detrend(trend) => return self.series(|it| Ok(it.detrend(*trend))),
            FeatureBlock::Filter(filter) => return self.series(|it| it.filter(filter)),
            FeatureBlock::Resample { up, down } => {
                return self.series(|it| it.resample(*up, *down));
            }
            FeatureBlock::Lag(_) if self.summaries > 0 => {
                return Err(
                    "it changes the channels, so it comes before blocks that make features \
                            of them"
                        .to_owned(),
                );
            }
            FeatureBlock::Lag(lags) => return self.series(|it| it.lag(lags)),
            FeatureBlock::Difference { order } => return self.series(|it| it.difference(*order)),
            FeatureBlock::PreEmphasis { coefficient, shift } => {
                return self.series(|it| it.pre_emphasis(*coefficient, *shift));
            }
            FeatureBlock::Standardize { mean, std } => {
                self.standard = Some((mean.clone(), std.clone()));
                return self.check_standardization();
            }
            FeatureBlock::Statistics(wanted) if wanted.is_empty() => {
                return Err("`statistics` is empty".to_owned());
            }
            FeatureBlock::Statistics(wanted) => SummaryStep::Statistics(wanted.clone()),
            FeatureBlock::FftPower(spec) => SummaryStep::power(state, spec)?,
            FeatureBlock::Spectrogram(spec) => SummaryStep::spectrogram(state, spec)?,
            FeatureBlock::Mel(spec) => SummaryStep::mel(state, spec)?,
            FeatureBlock::Mfcc(spec) => SummaryStep::mfcc(state, spec)?,
        };
        let (width, frame) = summary.width();
        self.steps.push(Step::Summary { step: summary, first: self.features });
        self.features = self.features.saturating_add(width);
        (self.summaries, self.frame) = (self.summaries + 1, frame);
        Ok(())
    }

    fn series(
        &mut self,
        make: impl FnOnce(&mut SeriesState) -> Result<SeriesStep, String>,
    ) -> Result<(), String> {
        let step = make(&mut self.state)?;
        self.steps.push(Step::Series(step));
        Ok(())
    }

    fn shape(&self) -> FeatureShape {
        let SeriesState { samples, channels, .. } = self.state;
        match (self.summaries, self.frame) {
            (0, _) => FeatureShape::Series { samples, channels },
            (1, Some(width)) => {
                FeatureShape::Frames { channels, frames: self.features / width.max(1), width }
            }
            _ => FeatureShape::Vector { channels, features: self.features },
        }
    }

    fn within_bounds(&self, order: AxisOrder) -> Result<(), String> {
        let series = self.state.samples.saturating_mul(self.state.channels);
        let most = self.shape().len().max(series);
        if most > MAX_NUMBERS {
            return Err(format!("it makes {most} numbers of a window; at most {MAX_NUMBERS}"));
        }
        let is_vector = matches!(self.shape(), FeatureShape::Vector { .. });
        if is_vector && order == AxisOrder::ChannelFirst {
            return Err(
                "features of a whole window have no order in time: leave `layout` out".to_owned()
            );
        }
        Ok(())
    }

    /// The numbers after which a standardization repeats: one for each channel of a series, for each
    /// number of a frame, or for each feature.
    fn period(&self) -> usize {
        match self.shape() {
            FeatureShape::Series { channels, .. } => channels,
            FeatureShape::Frames { width, .. } => width,
            shape @ FeatureShape::Vector { .. } => shape.len(),
        }
    }

    fn check_standardization(&self) -> Result<(), String> {
        let Some((mean, std)) = &self.standard else { return Ok(()) };
        let period = self.period();
        for (name, list) in [("mean", mean), ("std", std)] {
            if list.len() != 1 && list.len() != period {
                let shape = self.shape();
                return Err(format!(
                    "{} numbers in `{name}`, and there are {shape}: one, or {period}",
                    list.len()
                ));
            }
        }
        if std.iter().all(|std| *std > 0.0) {
            Ok(())
        } else {
            Err("`std` is not above 0".to_owned())
        }
    }

    fn standardization(&self) -> Vec<(f64, f64)> {
        let Some((mean, std)) = &self.standard else { return Vec::new() };
        let period = self.period();
        mean.iter().copied().cycle().zip(std.iter().copied().cycle()).take(period).collect()
    }
}
