//! A baseline from the first windows of a stream, in bounded memory.

use std::time::Duration;

use super::blocks::BlockMeans;
use super::builder::ChannelCounter;
use super::edges::EdgeFinder;
use super::shape::{ShapeCounter, bin_of};
use super::{Baseline, LabelBaseline, NumberBaseline, label_bins};
use crate::clock::Mono;
use crate::codec::Reader;
use crate::drift::progress::{Saved, saved_fields};
use crate::drift::quantity::{BINS, Features, Quantities};
use crate::ids::Digest;

/// Windows before the bounds of the bins are chosen.
const WINDOWS_FOR_EDGES: u64 = 256;
/// Independent blocks that every quantity needs.
const BLOCKS_LEAST: f64 = 50.0;
/// Where windows depend on each other for too long, it ends after so many times the period.
const PATIENCE: u32 = 10;
/// The end is looked for once in so many windows.
const CHECKED_EVERY: u64 = 64;

/// The format of [`Learner::save`]: a number, the digest of the rest, the state.
const FORMAT: u8 = 1;
const DIGEST_BYTES: usize = 32;

/// The digest of the names and bounds of quantities.
fn digest_of(quantities: &Quantities) -> Digest {
    Digest::of(format!("{quantities:?}").as_bytes())
}

/// Learns in two parts: the bounds of the bins first, then the shares and their spread.
#[derive(Clone, Debug)]
pub(in crate::drift) struct Learner {
    quantities: std::sync::Arc<Quantities>,
    period: Duration,
    /// How long it learned before the last restart.
    before: Duration,
    started: Option<Mono>,
    windows: u64,
    numbers: Vec<NumberLearner>,
    channels: Vec<ChannelCounter>,
    label_counts: Vec<u64>,
    labels: Option<(Vec<u8>, ShapeCounter)>,
}

#[derive(Clone, Debug)]
struct NumberLearner {
    blocks: BlockMeans,
    finder: Option<Box<EdgeFinder>>,
    shape: Option<(Vec<f64>, ShapeCounter)>,
}

saved_fields!(NumberLearner { blocks, finder, shape });

impl NumberLearner {
    fn new() -> Self {
        let finder = Some(Box::new(EdgeFinder::new()));
        Self { blocks: BlockMeans::default(), finder, shape: None }
    }

    fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.blocks.add(value);
        if let Some(finder) = &mut self.finder {
            finder.add(value);
        } else if let Some((edges, counter)) = &mut self.shape {
            counter.add(bin_of(edges, value));
        }
    }

    fn fix_edges(&mut self) {
        let Some(finder) = self.finder.take() else { return };
        let edges = finder.edges();
        let equal = vec![1000.0; edges.len() + 1];
        self.shape = Some((edges, ShapeCounter::new(&equal)));
    }
}

impl Learner {
    /// Learns for at least `period`.
    pub(in crate::drift) fn new(quantities: std::sync::Arc<Quantities>, period: Duration) -> Self {
        Self {
            numbers: (0..quantities.len()).map(|_| NumberLearner::new()).collect(),
            channels: quantities.channels.iter().map(|_| ChannelCounter::default()).collect(),
            label_counts: vec![0; quantities.labels.len()],
            labels: None,
            before: Duration::ZERO,
            started: None,
            windows: 0,
            period,
            quantities,
        }
    }

    /// What was learned so far, for [`Self::restore`].
    pub(in crate::drift) fn save(&self, now: Mono) -> Vec<u8> {
        let mut state = digest_of(&self.quantities).0.to_vec();
        u64::try_from(self.elapsed(now).as_micros()).unwrap_or(u64::MAX).put(&mut state);
        self.windows.put(&mut state);
        self.numbers.put(&mut state);
        self.channels.put(&mut state);
        self.label_counts.put(&mut state);
        self.labels.put(&mut state);
        [&[FORMAT], Digest::of(&state).0.as_slice(), &state].concat()
    }

    /// Goes on with what [`Self::save`] returned, possibly in an earlier process. `None` if that is
    /// damaged, of another format, or of other quantities.
    pub(in crate::drift) fn restore(
        quantities: std::sync::Arc<Quantities>,
        period: Duration,
        saved: &[u8],
    ) -> Option<Self> {
        let (format, rest) = saved.split_first()?;
        let (digest, state) = rest.split_at_checked(DIGEST_BYTES)?;
        let is_whole = *format == FORMAT && *digest == Digest::of(state).0;
        let (of_quantities, state) = state.split_at_checked(DIGEST_BYTES)?;
        if !is_whole || *of_quantities != digest_of(&quantities).0 {
            return None;
        }
        let mut from = Reader::new(state);
        Some(Self {
            before: Duration::from_micros(Saved::take(&mut from)?),
            windows: Saved::take(&mut from)?,
            numbers: Saved::take(&mut from)?,
            channels: Saved::take(&mut from)?,
            label_counts: Saved::take(&mut from)?,
            labels: Saved::take(&mut from)?,
            started: None,
            period,
            quantities,
        })
    }

    /// How long it has learned.
    fn elapsed(&self, now: Mono) -> Duration {
        self.before + self.started.map_or(Duration::ZERO, |started| now.since(started))
    }

    /// Adds a window. Returns the baseline once there is enough of it.
    pub(in crate::drift) fn window(&mut self, features: &Features, now: Mono) -> Option<Baseline> {
        self.started.get_or_insert(now);
        let elapsed = self.elapsed(now);
        for (number, value) in self.numbers.iter_mut().zip(&features.numbers) {
            number.add(*value);
        }
        let limits = self.quantities.channels.iter().map(|channel| channel.limits);
        for ((channel, extremes), limits) in
            self.channels.iter_mut().zip(&features.extremes).zip(limits)
        {
            channel.add(*extremes, limits);
        }
        if let Some(label) = features.label {
            self.label_counts.get_mut(label).into_iter().for_each(|count| *count += 1);
            if let Some((bins, counter)) = &mut self.labels {
                counter.add(bins.get(label).copied().map_or(BINS - 1, usize::from));
            }
        }
        self.windows += 1;
        if !self.windows.is_multiple_of(CHECKED_EVERY) {
            return None;
        }
        if elapsed >= self.period / 4 && self.windows >= WINDOWS_FOR_EDGES {
            self.fix_edges();
        }
        let enough = self.share_of_blocks() >= 1.0 || elapsed >= self.period * PATIENCE;
        (elapsed >= self.period && enough && self.has_shapes()).then(|| self.finish())
    }

    /// How much of the baseline there is, from 0 to 1.
    pub(in crate::drift) fn progress(&self, now: Mono) -> f64 {
        let of_time = self.elapsed(now).as_secs_f64() / self.period.as_secs_f64().max(1e-3);
        of_time.min(self.share_of_blocks()).min(1.0)
    }

    /// The share of the needed blocks that the quantity with the fewest has.
    fn share_of_blocks(&self) -> f64 {
        let numbers = self.numbers.iter().enumerate();
        let seen = numbers.filter(|(_, number)| number.blocks.windows().count > 0.0);
        let share = |(index, number): (usize, &NumberLearner)| {
            let statistics = number.blocks.finish();
            let length = statistics.choose(self.quantities.resolution(index)).length;
            statistics.count / f64::from(length) / BLOCKS_LEAST
        };
        seen.map(share).fold(1.0, f64::min)
    }

    fn has_shapes(&self) -> bool {
        self.numbers.iter().all(|number| number.shape.is_some())
    }

    fn fix_edges(&mut self) {
        self.numbers.iter_mut().for_each(NumberLearner::fix_edges);
        if self.labels.is_none() && !self.label_counts.is_empty() {
            let bins = label_bins(&self.label_counts);
            let mut expected = vec![0.0; self.label_counts.len().min(BINS)];
            for (bin, count) in bins.iter().zip(&self.label_counts) {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
                let count = *count as f64;
                expected.get_mut(usize::from(*bin)).into_iter().for_each(|sum| *sum += count);
            }
            self.labels = Some((bins, ShapeCounter::new(&expected)));
        }
    }

    fn finish(&self) -> Baseline {
        let number = |(name, number): (String, &NumberLearner)| {
            let (edges, counter) = number.shape.as_ref()?;
            let blocks = number.blocks.finish();
            let shape = counter.finish();
            let has_any = shape.counts.iter().sum::<f64>() > 0.0;
            has_any.then(|| NumberBaseline { name, blocks, edges: edges.clone(), shape })
        };
        let names = self.quantities.channels.iter().map(|channel| channel.name.clone());
        let labels = self.labels.as_ref().map(|(bins, counter)| LabelBaseline {
            names: self.quantities.labels.clone(),
            bins: bins.clone(),
            shape: counter.finish(),
        });
        Baseline {
            windows: self.windows,
            numbers: self.quantities.names().zip(&self.numbers).filter_map(number).collect(),
            channels: names.zip(&self.channels).map(|(n, counter)| counter.finish(n)).collect(),
            labels,
        }
    }
}
