//! Blocks that make features of a series.

use super::block::{FftPower, Mel, Mfcc, Spectrogram, Statistic};
use super::cepstrum::normalize;
use super::frame_cache::{CachedShape, FrameCache, Overlap};
use super::frames::{FrameTransform, FrameWork, Framing};
use super::power::PowerSummary;
use super::series::SeriesState;
use super::statistics::statistics;

/// A block with its tables.
#[derive(Clone, Debug)]
pub(super) enum SummaryStep {
    Statistics(Vec<Statistic>),
    Frames {
        transform: FrameTransform,
        framing: Framing,
        finish: Finish,
        /// The frames that windows share, if they share some.
        overlap: Option<Overlap>,
    },
}

/// What is done with all frames of a channel.
#[derive(Clone, Debug)]
pub(super) enum Finish {
    None,
    /// Normalization over frames.
    Normalize {
        window: usize,
    },
    Power(PowerSummary),
}

/// The most points of transforms in a window.
const MAX_POINTS: usize = 1 << 26;

impl SummaryStep {
    pub(super) fn power(state: &SeriesState, spec: &FftPower) -> Result<Self, String> {
        let stride = if spec.overlap { spec.fft_length / 2 } else { spec.fft_length };
        let framing = Framing::new(state.samples, spec.fft_length, stride);
        if framing.count == 0 && spec.hold == super::block::Hold::Mean {
            let samples = state.samples;
            return Err(format!(
                "a segment of {} is longer than {samples} samples",
                spec.fft_length
            ));
        }
        let summary = PowerSummary::new(spec, state.rate)?;
        let transform = FrameTransform::periodogram(spec.fft_length, spec.taper);
        Self::frames(state, spec.fft_length, transform, framing, Finish::Power(summary))
    }

    pub(super) fn spectrogram(state: &SeriesState, spec: &Spectrogram) -> Result<Self, String> {
        let (framing, _) = framing(state, spec)?;
        let transform = FrameTransform::spectrogram(spec, framing);
        Self::frames(state, spec.fft_length, transform, framing, Finish::None)
    }

    pub(super) fn mel(state: &SeriesState, spec: &Mel) -> Result<Self, String> {
        let (framing, rate) = framing(state, &spec.frames)?;
        let transform = FrameTransform::mel(spec, framing, rate)?;
        Self::frames(state, spec.frames.fft_length, transform, framing, Finish::None)
    }

    pub(super) fn mfcc(state: &SeriesState, spec: &Mfcc) -> Result<Self, String> {
        let (framing, rate) = framing(state, &spec.mel.frames)?;
        let transform = FrameTransform::mfcc(spec, framing, rate)?;
        let finish = match spec.win_size {
            0 => Finish::None,
            even if even % 2 == 0 => return Err(format!("win_size {even} is even")),
            window => Finish::Normalize { window },
        };
        let work = framing.count.saturating_mul(spec.win_size).saturating_mul(spec.num_cepstral);
        if work.saturating_mul(state.channels) > MAX_POINTS {
            return Err("too many frames for win_size".to_owned());
        }
        Self::frames(state, spec.mel.frames.fft_length, transform, framing, finish)
    }

    fn frames(
        state: &SeriesState,
        fft_length: usize,
        transform: FrameTransform,
        framing: Framing,
        finish: Finish,
    ) -> Result<Self, String> {
        let count = framing.count.max(state.samples / framing.stride.max(1));
        let points = fft_length.max(framing.length).max(transform.width());
        if count.saturating_mul(points).saturating_mul(state.channels) > MAX_POINTS {
            return Err(format!("{count} frames are too many for a window"));
        }
        let overlap = overlap(state, &framing);
        Ok(Self::Frames { transform, framing, finish, overlap })
    }

    /// Numbers of a channel, and of a frame where frames come out.
    pub(super) fn width(&self) -> (usize, Option<usize>) {
        match self {
            Self::Statistics(wanted) => (wanted.len(), None),
            Self::Frames { finish: Finish::Power(summary), .. } => (summary.width(), None),
            Self::Frames { transform, framing, .. } => {
                let width = transform.width();
                (width.saturating_mul(framing.count), Some(width))
            }
        }
    }

    /// Appends what a series becomes, channel by channel.
    pub(super) fn apply(
        &self,
        series: &[f64],
        samples: usize,
        (work, cache): (&mut SummaryWork, Option<&mut FrameCache>),
        out: &mut Vec<f64>,
    ) {
        let channels = series.chunks(samples.max(1));
        match self {
            Self::Statistics(wanted) => channels.for_each(|it| statistics(wanted, it, out)),
            Self::Frames { transform, framing, finish, overlap } => {
                let SummaryWork { frame, frames, spare } = work;
                let cache = cache.zip(overlap.as_ref());
                transformed((transform, framing), series, samples, cache, (frame, frames));
                let of_channel = (framing.count * transform.width()).max(1);
                match finish {
                    Finish::None => out.extend_from_slice(frames),
                    Finish::Normalize { window } => {
                        for own in frames.chunks_mut(of_channel) {
                            normalize(own, transform.width(), *window, spare);
                        }
                        out.extend_from_slice(frames);
                    }
                    Finish::Power(summary) => {
                        for (place, channel) in channels.enumerate() {
                            let own = frames.chunks(of_channel).nth(place).unwrap_or_default();
                            summary.apply(own, (transform, framing), channel, frame, out);
                        }
                    }
                }
            }
        }
    }
}

/// Buffers for a window.
#[derive(Clone, Debug, Default)]
pub(super) struct SummaryWork {
    frame: FrameWork,
    frames: Vec<f64>,
    spare: Vec<f64>,
}

fn framing(state: &SeriesState, spec: &Spectrogram) -> Result<(Framing, f64), String> {
    let rate = state.rate.ok_or("it needs `rate` of the input")?;
    Framing::in_seconds(spec, state.samples, rate).map(|framing| (framing, rate))
}

/// How windows share frames, if they do.
fn overlap(state: &SeriesState, framing: &Framing) -> Option<Overlap> {
    let hop = state.hop.filter(|hop| *hop > 0 && *hop < state.samples)?;
    let (frames, dirty) = (hop / framing.stride.max(1), state.dirty);
    let aligned = hop.is_multiple_of(framing.stride.max(1)) && frames < framing.count;
    let first = dirty.div_ceil(framing.stride.max(1));
    aligned.then_some(Overlap { hop, frames, dirty, first })
}

/// Transforms the frames of all channels, those of an earlier window excepted.
fn transformed(
    (transform, framing): (&FrameTransform, &Framing),
    series: &[f64],
    samples: usize,
    cache: Option<(&mut FrameCache, &Overlap)>,
    (work, frames): (&mut FrameWork, &mut Vec<f64>),
) {
    frames.clear();
    let shape = CachedShape { samples, count: framing.count, width: transform.width() };
    let Some((cache, overlap)) = cache else {
        for channel in series.chunks(samples.max(1)) {
            for place in 0..framing.count {
                transform.apply(framing.frame(place, channel), work, frames);
            }
        }
        return;
    };
    let found = cache.find(series, overlap, shape.samples);
    for (at, channel) in series.chunks(samples.max(1)).enumerate() {
        for place in 0..framing.count {
            let known = found.and_then(|entry| cache.frame(entry, overlap, shape, (at, place)));
            match known {
                Some(known) => frames.extend_from_slice(known),
                None => transform.apply(framing.frame(place, channel), work, frames),
            }
        }
    }
    cache.keep(found, series, frames);
}
