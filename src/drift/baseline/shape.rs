//! Histograms of a baseline, and the distances of their parts from the whole.

use super::Shape;
use super::blocks::Moments;
use crate::drift::histogram::{RollingCounts, psi};
use crate::drift::progress::saved_fields;
use crate::drift::quantity::BINS;

/// Counts a quantity in bins that are known beforehand.
#[derive(Clone, Debug)]
pub(super) struct ShapeCounter {
    bins: usize,
    counts: [f64; BINS],
    /// What parts are compared with.
    expected: [f64; BINS],
    rolling: RollingCounts,
    distances: Moments,
}

saved_fields!(ShapeCounter { bins, counts, expected, rolling, distances });

impl ShapeCounter {
    /// `expected`: the counts by bin of the whole, or an estimate of their shares.
    pub(super) fn new(expected: &[f64]) -> Self {
        let mut padded = [0.0; BINS];
        padded.iter_mut().zip(expected).for_each(|(to, from)| *to = *from);
        Self {
            bins: expected.len().min(BINS),
            counts: [0.0; BINS],
            expected: padded,
            rolling: RollingCounts::default(),
            distances: Moments::default(),
        }
    }

    pub(super) fn add(&mut self, bin: usize) {
        if let Some(count) = self.counts.get_mut(bin) {
            *count += 1.0;
        }
        if self.rolling.add(bin) && self.rolling.is_full() {
            let (expected, found) = (self.expected, self.rolling.total());
            let used = self.bins;
            let (expected, found) = (expected.get(..used), found.get(..used));
            self.distances.add(psi(expected.unwrap_or_default(), found.unwrap_or_default()));
        }
    }

    pub(super) fn finish(&self) -> Shape {
        let Moments { count, mean, .. } = self.distances;
        let sd = if count < 2.0 { 0.0 } else { self.distances.sd() };
        let counts = self.counts.get(..self.bins).unwrap_or_default().to_vec();
        Shape { counts, distances: [mean, sd, count] }
    }
}

/// The bin of a value: the number of edges at or below it.
pub(in crate::drift) fn bin_of(edges: &[f64], value: f64) -> usize {
    edges.iter().take_while(|edge| value >= **edge).count()
}
