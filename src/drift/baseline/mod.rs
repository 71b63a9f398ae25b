//! How the quantities of a stream are distributed while all is well.

mod blocks;
mod builder;
mod edges;
mod file;
mod learner;
mod shape;
#[cfg(test)]
mod tests;

pub use blocks::{BlockStatistics, Blocks, LEVELS};
pub use builder::{BaselineBuilder, WINDOWS_LEAST};
pub use file::BaselineError;
pub(super) use learner::Learner;

use super::quantity::{BINS, Quantities};
use super::threshold::Distances;

/// The distribution of every quantity, from windows in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// Windows that it was made of.
    pub windows: u64,
    pub numbers: Vec<NumberBaseline>,
    pub channels: Vec<ChannelBaseline>,
    /// `None` where the output is no classification.
    pub labels: Option<LabelBaseline>,
}

/// A number of each window.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberBaseline {
    pub name: String,
    pub blocks: BlockStatistics,
    /// The bounds between the bins, ascending; there is one bin more.
    pub edges: Vec<f64>,
    pub shape: Shape,
}

/// A channel of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelBaseline {
    pub name: String,
    /// The least and the largest normalised value.
    pub range: [f64; 2],
    /// The share of windows in which it did not change.
    pub constant: f64,
    /// The share of windows with a value beyond what the input tensor can hold.
    pub clipped: f64,
}

/// The labels of a classification. Those beyond the first bins are counted together in the last.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelBaseline {
    /// As the model has them.
    pub names: Vec<String>,
    /// The bin of each.
    pub bins: Vec<u8>,
    pub shape: Shape,
}

/// A histogram, and how far parts of it are from the whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// By bin.
    pub counts: Vec<f64>,
    /// Mean, standard deviation and number of the distances of parts from the whole. A part has as
    /// many windows as are compared later.
    pub distances: [f64; 3],
}

/// Distances from which their distribution is believed.
const DISTANCES_LEAST: f64 = 16.0;

impl Shape {
    /// How distances of `found` windows from this are distributed. `inflation`: how many dependent
    /// windows say as much as an independent one, where that was not measured.
    #[must_use]
    pub fn distances(&self, found: f64, inflation: f64) -> Distances {
        let [mean, sd, count] = self.distances;
        let filled = self.counts.iter().filter(|count| **count > 0.0).count();
        #[expect(clippy::cast_precision_loss, reason = "at most 16")]
        let bins = filled.max(2) as f64;
        let measured = (count >= DISTANCES_LEAST).then_some((mean, sd, count));
        Distances { bins, found, baseline: self.counts.iter().sum(), inflation, measured }
    }
}

impl Baseline {
    #[must_use]
    pub fn number(&self, name: &str) -> Option<&NumberBaseline> {
        self.numbers.iter().find(|number| number.name == name)
    }

    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&ChannelBaseline> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// Checks that it is about the quantities of a model.
    ///
    /// # Errors
    /// What it lacks or has besides, in words.
    pub fn check(&self, quantities: &Quantities) -> Result<(), String> {
        let wanted: Vec<String> = quantities.names().collect();
        let foreign = self.numbers.iter().find(|number| !wanted.contains(&number.name));
        if let Some(foreign) = foreign {
            let known = wanted.join(", ");
            return Err(format!(
                "it has {}, and the quantities of this model are {known}",
                foreign.name
            ));
        }
        if let Some(labels) = &self.labels
            && labels.names != quantities.labels
        {
            let (found, wanted) = (labels.names.join(", "), quantities.labels.join(", "));
            return Err(format!("its labels are {found}, and those of this model are {wanted}"));
        }
        Ok(())
    }
}

/// The bin of each label: one each for the most frequent, the last one for all others.
fn label_bins(counts: &[u64]) -> Vec<u8> {
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|label| std::cmp::Reverse(counts.get(*label)));
    let all_fit = counts.len() <= BINS;
    let mut kept: Vec<usize> =
        order.into_iter().take(if all_fit { BINS } else { BINS - 1 }).collect();
    kept.sort_unstable();
    let last = u8::try_from(BINS - 1).unwrap_or(u8::MAX);
    let bin = |label| kept.iter().position(|k| *k == label).and_then(|bin| u8::try_from(bin).ok());
    (0..counts.len()).map(|label| bin(label).unwrap_or(last)).collect()
}
