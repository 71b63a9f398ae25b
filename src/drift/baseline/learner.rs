//! A baseline from the first windows of a stream, in bounded memory.

use std::time::Duration;

use super::blocks::BlockMeans;
use super::builder::ChannelCounter;
use super::edges::EdgeFinder;
use super::shape::{ShapeCounter, bin_of};
use super::{Baseline, LabelBaseline, NumberBaseline, label_bins};
use crate::clock::Mono;
use crate::drift::quantity::{BINS, Features, Quantities};

/// Windows before the bounds of the bins are chosen.
const WINDOWS_FOR_EDGES: u64 = 256;
/// Independent blocks that every quantity needs.
const BLOCKS_LEAST: f64 = 50.0;
/// Where windows depend on each other for too long, it ends after so many times the period.
const PATIENCE: u32 = 10;
/// The end is looked for once in so many windows.
const CHECKED_EVERY: u64 = 64;

/// Learns in two parts: the bounds of the bins first, then the shares and their spread.
#[derive(Clone, Debug)]
pub(in crate::drift) struct Learner {
    quantities: std::sync::Arc<Quantities>,
    period: Duration,
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
            started: None,
            windows: 0,
            period,
            quantities,
        }
    }

    /// Adds a window. Returns the baseline once there is enough of it.
    pub(in crate::drift) fn window(&mut self, features: &Features, now: Mono) -> Option<Baseline> {
        let elapsed = now.since(*self.started.get_or_insert(now));
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
        let Some(started) = self.started else { return 0.0 };
        let of_time = now.since(started).as_secs_f64() / self.period.as_secs_f64().max(1e-3);
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
