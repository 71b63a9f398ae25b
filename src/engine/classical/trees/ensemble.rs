//! The sums of an ensemble's leaves.

use super::table::{Table, arrange};
use super::walk::{Forest, LEAF_UNIT, Real};

/// How the weights of the leaves that a row reaches are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Aggregate {
    #[default]
    Sum,
    Average,
    Min,
    Max,
}

/// An ensemble of trees with a sum for each target or class.
#[derive(Debug)]
pub(super) struct Ensemble<T> {
    forest: Forest<T>,
    /// Start and length in `weights` of each leaf's weights.
    leaves: Vec<(u32, u32)>,
    weights: Vec<(u32, T)>,
    pub targets: usize,
    pub aggregate: Aggregate,
    /// None, or one for each target; added after the aggregation.
    pub base: Vec<T>,
    /// The least number of features that a row must have.
    pub features: usize,
}

impl<T: Real> Ensemble<T> {
    /// Arranges the trees of `table`, whose weights are for `targets` targets.
    ///
    /// # Errors
    /// Lists that are no trees, targets out of range.
    pub(super) fn new(table: &Table<T>, targets: usize) -> Result<Self, String> {
        let mut leaves = Vec::with_capacity(table.leaves.len());
        let mut weights = Vec::new();
        for leaf in &table.leaves {
            let start = u32::try_from(weights.len()).map_err(|_| "it has too many weights")?;
            weights.extend_from_slice(&leaf.weights);
            leaves.push((start, u32::try_from(leaf.weights.len()).unwrap_or(u32::MAX)));
        }
        if let Some((target, _)) = weights.iter().find(|(t, _)| *t as usize >= targets) {
            return Err(format!("a leaf is for target {target}, but there are {targets}"));
        }
        let single = targets == 1 && table.leaves.iter().all(|leaf| leaf.weights.len() <= 1);
        if single {
            (leaves, weights) = (Vec::new(), Vec::new());
        } else if targets == 1 {
            return Err("a leaf has two weights for the only target".into());
        }
        let features = table.branches.iter().map(|b| b.feature as usize + 1).max().unwrap_or(0);
        let forest = arrange(table)?;
        Ok(Self {
            forest,
            leaves,
            weights,
            targets,
            aggregate: Aggregate::Sum,
            base: Vec::new(),
            features: features.max(1),
        })
    }

    /// Keeps the first `targets` sums. The weights are for no others.
    ///
    /// # Errors
    /// A leaf with two weights, if there is one sum.
    pub(super) fn narrow(&mut self, targets: usize) -> Result<(), String> {
        if targets == 1 && self.leaves.iter().any(|(_, count)| *count > 1) {
            return Err("a leaf has two weights for the only class".into());
        }
        if targets == 1 {
            (self.leaves, self.weights) = (Vec::new(), Vec::new());
        }
        self.targets = targets;
        Ok(())
    }

    /// Writes the aggregated weights of one row, in the order of the trees, with the base values.
    pub(super) fn sums(&self, row: &[T], sums: &mut [T]) {
        sums.fill(T::default());
        match self.aggregate {
            Aggregate::Sum => self.add(row, sums),
            Aggregate::Average => {
                self.add(row, sums);
                let trees = self.forest.roots.len().max(1);
                sums.iter_mut().for_each(|sum| *sum = sum.divided(trees));
            }
            Aggregate::Min => self.select(row, sums, |new, old| new < old),
            Aggregate::Max => self.select(row, sums, |new, old| new > old),
        }
        sums.iter_mut().zip(&self.base).for_each(|(sum, base)| *sum += *base);
    }

    fn add(&self, row: &[T], sums: &mut [T]) {
        if let [sum] = sums {
            self.forest.walk(row, |leaf| *sum += leaf.split);
            return;
        }
        self.forest.walk(row, |leaf| {
            for (target, weight) in self.weights_of(leaf.flags) {
                if let Some(sum) = sums.get_mut(*target as usize) {
                    *sum += *weight;
                }
            }
        });
    }

    /// Keeps the weight that is better than all before it; zero for a target without weights.
    fn select(&self, row: &[T], kept: &mut [T], better: impl Fn(T, T) -> bool) {
        let mut found = vec![false; kept.len()];
        let single = kept.len() == 1;
        let mut offer = |target: usize, weight: T| {
            if let (Some(kept), Some(found)) = (kept.get_mut(target), found.get_mut(target)) {
                if !*found || better(weight, *kept) {
                    *kept = weight;
                }
                *found = true;
            }
        };
        self.forest.walk(row, |leaf| {
            if single {
                return offer(0, leaf.split);
            }
            self.weights_of(leaf.flags).iter().for_each(|(t, w)| offer(*t as usize, *w));
        });
    }

    fn weights_of(&self, flags: u32) -> &[(u32, T)] {
        let leaf = self.leaves.get((flags / LEAF_UNIT) as usize);
        let (start, count) = leaf.copied().unwrap_or_default();
        self.weights.get(start as usize..).and_then(|w| w.get(..count as usize)).unwrap_or_default()
    }
}
