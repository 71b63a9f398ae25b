//! The walk from roots to leaves.

use std::ops::AddAssign;

/// The type of thresholds and weights: that of the model's input.
pub(in crate::engine::classical) trait Real:
    Copy + PartialOrd + AddAssign + std::fmt::Debug + Default
{
    fn real(self) -> f64;
    fn of_real(x: f64) -> Self;
    fn is_missing(self) -> bool;
    /// The next lower number.
    fn lower(self) -> Self;
    fn divided(self, by: usize) -> Self;
}

macro_rules! real {
    ($($t:ty),*) => {$(
        #[expect(
            clippy::allow_attributes,
            reason = "not every conversion is one that the lints are about"
        )]
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_lossless,
            clippy::unnecessary_cast,
            trivial_numeric_casts,
            reason = "to the nearest number"
        )]
        impl Real for $t {
            fn real(self) -> f64 {
                self as f64
            }

            fn of_real(x: f64) -> Self {
                x as $t
            }

            fn is_missing(self) -> bool {
                self.is_nan()
            }

            fn lower(self) -> Self {
                self.next_down()
            }

            fn divided(self, by: usize) -> Self {
                self / by as $t
            }
        }
    )*};
}

real!(f32, f64);

/// A node. Its children are `left` and `left + 1`; a leaf is its own left child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<T> {
    pub feature: u32,
    pub left: u32,
    /// [`BRANCH`], [`MISSING_RIGHT`], the comparison; of a leaf its number times [`LEAF_UNIT`].
    pub flags: u32,
    /// The threshold; of a leaf its only weight, if it has one.
    pub split: T,
}

/// The node has children. Its value is what the comparison adds to the left child.
pub(super) const BRANCH: u32 = 1;
/// NaN goes to the right child.
pub(super) const MISSING_RIGHT: u32 = 2;
/// Comparisons: the left child is for numbers up to, below, equal to the threshold, or in a set.
pub(super) const UP_TO: u32 = 0;
pub(super) const BELOW: u32 = 4;
pub(super) const EQUAL: u32 = 8;
pub(super) const MEMBER: u32 = 12;
const COMPARISON: u32 = 12;
pub(super) const LEAF_UNIT: u32 = 16;

/// Trees that are walked at a time.
const LANES: usize = 8;

/// The trees of an ensemble.
#[derive(Clone, Debug, Default)]
pub(super) struct Forest<T> {
    pub nodes: Vec<Node<T>>,
    pub roots: Vec<u32>,
    /// The sets of nodes with [`MEMBER`], by the integer in `split`.
    pub members: Vec<Vec<T>>,
    /// Whether every comparison is [`UP_TO`].
    pub plain: bool,
}

impl<T: Real> Forest<T> {
    /// Calls `leaf` with the leaf of each tree, in the order of the trees.
    pub(super) fn walk(&self, row: &[T], mut leaf: impl FnMut(&Node<T>)) {
        if !self.plain || row.iter().any(|x| x.is_missing()) {
            for &root in &self.roots {
                if let Some(node) = self.leaf_of(root, row) {
                    leaf(node);
                }
            }
            return;
        }
        for group in self.roots.chunks(LANES) {
            let mut at = [group.first().copied().unwrap_or_default(); LANES];
            at.iter_mut().zip(group).for_each(|(at, root)| *at = *root);
            while self.step(row, &mut at) {}
            for at in at.iter().take(group.len()) {
                if let Some(node) = self.nodes.get(*at as usize) {
                    leaf(node);
                }
            }
        }
    }

    /// Moves every lane down by one node; false once all are at leaves.
    #[inline]
    fn step(&self, row: &[T], at: &mut [u32; LANES]) -> bool {
        let mut branches = 0;
        for at in at {
            // Both indices were checked when the ensemble was built.
            let Some(node) = self.nodes.get(*at as usize) else { continue };
            let Some(x) = row.get(node.feature as usize) else { continue };
            *at = node.left + (u32::from(*x > node.split) & node.flags);
            branches |= node.flags;
        }
        branches & BRANCH != 0
    }

    /// The leaf of one tree for a row with any numbers, by any comparison.
    fn leaf_of(&self, root: u32, row: &[T]) -> Option<&Node<T>> {
        let mut node = self.nodes.get(root as usize)?;
        while node.flags & BRANCH != 0 {
            let x = *row.get(node.feature as usize)?;
            let right = if x.is_missing() {
                node.flags & MISSING_RIGHT != 0
            } else {
                match node.flags & COMPARISON {
                    UP_TO => x > node.split,
                    BELOW => x >= node.split,
                    EQUAL => x != node.split,
                    _ => !self.is_member(node.split, x),
                }
            };
            node = self.nodes.get((node.left + u32::from(right)) as usize)?;
        }
        Some(node)
    }

    fn is_member(&self, set: T, x: T) -> bool {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the index of a set"
        )]
        let set = self.members.get(set.real() as usize);
        set.is_some_and(|set| set.contains(&x))
    }
}
