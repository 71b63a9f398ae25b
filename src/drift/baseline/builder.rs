//! A baseline from a whole recording: quantiles are exact.

use super::blocks::BlockMeans;
use super::shape::{ShapeCounter, bin_of};
use super::{Baseline, ChannelBaseline, LabelBaseline, NumberBaseline, Shape, label_bins};
use crate::drift::progress::saved_fields;
use crate::drift::quantity::{BINS, Features, Quantities};

/// The fewest windows of a baseline.
pub const WINDOWS_LEAST: usize = 64;

/// Collects the windows of a recording in order of time.
#[derive(Clone, Debug)]
pub struct BaselineBuilder {
    quantities: Quantities,
    /// By quantity.
    numbers: Vec<Vec<f64>>,
    /// By window.
    labels: Vec<Option<usize>>,
    channels: Vec<ChannelCounter>,
}

impl BaselineBuilder {
    #[must_use]
    pub fn new(quantities: Quantities) -> Self {
        Self {
            numbers: vec![Vec::new(); quantities.len()],
            labels: Vec::new(),
            channels: quantities.channels.iter().map(|_| ChannelCounter::default()).collect(),
            quantities,
        }
    }

    pub fn add(&mut self, features: &Features) {
        for (all, value) in self.numbers.iter_mut().zip(&features.numbers) {
            all.push(*value);
        }
        let limits = self.quantities.channels.iter().map(|channel| channel.limits);
        for ((channel, extremes), limits) in
            self.channels.iter_mut().zip(&features.extremes).zip(limits)
        {
            channel.add(*extremes, limits);
        }
        self.labels.push(features.label);
    }

    /// Windows so far.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.labels.len()
    }

    /// # Errors
    /// Fewer than [`WINDOWS_LEAST`] windows, in words.
    pub fn build(&self) -> Result<Baseline, String> {
        let windows = self.windows();
        if windows < WINDOWS_LEAST {
            return Err(format!(
                "{windows} windows are too few for a baseline, which takes at least \
                 {WINDOWS_LEAST} and better a thousand: add recordings"
            ));
        }
        let numbers = self.quantities.names().zip(&self.numbers);
        let names = self.quantities.channels.iter().map(|channel| channel.name.clone());
        Ok(Baseline {
            windows: u64::try_from(windows).unwrap_or(u64::MAX),
            numbers: numbers.filter_map(|(name, values)| number(name, values)).collect(),
            channels: names.zip(&self.channels).map(|(n, counter)| counter.finish(n)).collect(),
            labels: (!self.quantities.labels.is_empty()).then(|| self.labels()),
        })
    }

    fn labels(&self) -> LabelBaseline {
        let names = self.quantities.labels.clone();
        let mut counts = vec![0_u64; names.len()];
        let seen = self.labels.iter().flatten();
        seen.for_each(|label| counts.get_mut(*label).into_iter().for_each(|n| *n += 1));
        let bins = label_bins(&counts);
        let of = |label: usize| bins.get(label).copied().map_or(0, usize::from);
        let mut expected = vec![0.0; names.len().min(BINS)];
        for label in self.labels.iter().flatten() {
            expected.get_mut(of(*label)).into_iter().for_each(|count| *count += 1.0);
        }
        let mut counter = ShapeCounter::new(&expected);
        self.labels.iter().flatten().for_each(|label| counter.add(of(*label)));
        LabelBaseline { names, bins, shape: counter.finish() }
    }
}

/// The baseline of one number; `None` where too few windows had it.
fn number(name: String, values: &[f64]) -> Option<NumberBaseline> {
    let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if values.len() < WINDOWS_LEAST {
        return None;
    }
    let mut blocks = BlockMeans::default();
    values.iter().for_each(|value| blocks.add(*value));
    let edges = edges(&values);
    let shape = shape(&edges, &values);
    Some(NumberBaseline { name, blocks: blocks.finish(), edges, shape })
}

fn shape(edges: &[f64], values: &[f64]) -> Shape {
    let mut expected = vec![0.0; edges.len() + 1];
    for value in values {
        expected.get_mut(bin_of(edges, *value)).into_iter().for_each(|count| *count += 1.0);
    }
    let mut counter = ShapeCounter::new(&expected);
    values.iter().for_each(|value| counter.add(bin_of(edges, *value)));
    counter.finish()
}

/// Bounds of up to [`BINS`] bins with the same number of values each. Equal bounds are merged: a
/// quantized number has few values.
fn edges(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = (1..BINS)
        .filter_map(|i| sorted.get(sorted.len() * i / BINS).copied())
        // Below the least value there is nothing.
        .filter(|edge| sorted.first().is_some_and(|first| edge > first))
        .collect();
    edges.dedup();
    edges
}

/// The range of a channel, and how often it stood still or was clipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChannelCounter {
    windows: f64,
    range: [f64; 2],
    constant: f64,
    clipped: f64,
}

saved_fields!(ChannelCounter { windows, range, constant, clipped });

impl Default for ChannelCounter {
    fn default() -> Self {
        let range = [f64::INFINITY, f64::NEG_INFINITY];
        Self { windows: 0.0, range, constant: 0.0, clipped: 0.0 }
    }
}

impl ChannelCounter {
    pub(super) fn add(&mut self, [low, high]: [f64; 2], limits: Option<[f64; 2]>) {
        if low.is_nan() {
            return;
        }
        self.windows += 1.0;
        self.range = [self.range[0].min(low), self.range[1].max(high)];
        if low == high {
            self.constant += 1.0;
        }
        if limits.is_some_and(|[least, most]| low < least || high > most) {
            self.clipped += 1.0;
        }
    }

    pub(super) fn finish(&self, name: String) -> ChannelBaseline {
        let share = |count: f64| if self.windows > 0.0 { count / self.windows } else { 0.0 };
        let range = if self.windows > 0.0 { self.range } else { [f64::MIN, f64::MAX] };
        let (constant, clipped) = (share(self.constant), share(self.clipped));
        ChannelBaseline { name, range, constant, clipped }
    }
}
