//! Trees as lists of nodes with any numbering, and their arrangement for the walk.

use super::walk::{
    BELOW, BRANCH, EQUAL, Forest, LEAF_UNIT, MEMBER, MISSING_RIGHT, Node, Real, UP_TO,
};
use std::collections::VecDeque;

/// The most leaves: their numbers share a word with the flags.
const MAX_LEAVES: usize = (u32::MAX / LEAF_UNIT) as usize;

/// Trees as a model lists them.
#[derive(Debug)]
pub(super) struct Table<T> {
    pub branches: Vec<Branch<T>>,
    pub roots: Vec<Child>,
    pub leaves: Vec<Leaf<T>>,
    pub members: Vec<Vec<T>>,
}

/// A node with two children.
#[derive(Debug)]
pub(super) struct Branch<T> {
    pub feature: u32,
    pub mode: Mode,
    pub split: T,
    /// Whether NaN goes to the child for true.
    pub missing_true: bool,
    pub yes: Child,
    pub no: Child,
}

/// A child by its index in the lists.
#[derive(Clone, Copy, Debug)]
pub(super) enum Child {
    Branch(usize),
    Leaf(usize),
}

/// The weights of a leaf and the targets that they are added to.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf<T> {
    pub weights: Vec<(u32, T)>,
}

/// The comparison of a node: true for a feature that is `<=` its threshold, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
    /// One of a set, whose index is the threshold.
    Member,
}

impl Mode {
    /// The comparison of the walk, and whether its left child is the one for false.
    fn comparison(self) -> (u32, bool) {
        match self {
            Self::Leq => (UP_TO, false),
            Self::Gt => (UP_TO, true),
            Self::Lt => (BELOW, false),
            Self::Gte => (BELOW, true),
            Self::Eq => (EQUAL, false),
            Self::Neq => (EQUAL, true),
            Self::Member => (MEMBER, false),
        }
    }
}

impl<T: Real> Branch<T> {
    /// The node for the walk, without the place of its children, and these in order.
    fn arranged(&self) -> (Node<T>, [Child; 2]) {
        let (comparison, swapped) = self.mode.comparison();
        let children = if swapped { [self.no, self.yes] } else { [self.yes, self.no] };
        // A comparison with NaN is false, except that of different numbers.
        let missing_true = self.missing_true || self.mode == Mode::Neq;
        let missing_right = if missing_true == swapped { MISSING_RIGHT } else { 0 };
        // Below a number means up to the next lower one, which leaves one comparison.
        let (comparison, split) = match comparison {
            BELOW if self.split.real() > f64::NEG_INFINITY => (UP_TO, self.split.lower()),
            other => (other, self.split),
        };
        let flags = BRANCH | comparison | missing_right;
        (Node { feature: self.feature, left: 0, flags, split }, children)
    }
}

/// Arranges the trees for the walk: breadth first, children side by side.
///
/// # Errors
/// A node that two others or itself lead to, indices out of range, too many nodes.
pub(super) fn arrange<T: Real>(table: &Table<T>) -> Result<Forest<T>, String> {
    if table.leaves.len() > MAX_LEAVES || table.branches.len() > MAX_LEAVES {
        return Err(format!(
            "it has more than {MAX_LEAVES} nodes: train with fewer or smaller trees"
        ));
    }
    let mut forest = Forest {
        nodes: Vec::new(),
        roots: Vec::new(),
        members: table.members.clone(),
        plain: true,
    };
    let mut seen = vec![false; table.branches.len()];
    let mut queue = VecDeque::new();
    for root in &table.roots {
        forest.roots.push(place(&mut forest.nodes, 1)?);
        queue.extend(forest.roots.last().map(|at| (*at, *root)));
        while let Some((at, child)) = queue.pop_front() {
            let node = match child {
                Child::Leaf(leaf) => leaf_node(at, leaf, table)?,
                Child::Branch(index) => {
                    let (Some(branch), Some(seen)) =
                        (table.branches.get(index), seen.get_mut(index))
                    else {
                        return Err(format!("it has no node {index}"));
                    };
                    if std::mem::replace(seen, true) {
                        return Err(format!(
                            "two nodes lead to node {index} of its list, or one to itself: its \
                             lists are damaged, export it again"
                        ));
                    }
                    let (mut node, children) = branch.arranged();
                    node.left = place(&mut forest.nodes, 2)?;
                    forest.plain &= node.flags & !MISSING_RIGHT == BRANCH | UP_TO;
                    queue.extend([(node.left, children[0]), (node.left + 1, children[1])]);
                    node
                }
            };
            if let Some(place) = forest.nodes.get_mut(at as usize) {
                *place = node;
            }
        }
    }
    forest.nodes.shrink_to_fit();
    Ok(forest)
}

/// Appends nodes to be filled in, and returns the index of the first.
fn place<T: Real>(nodes: &mut Vec<Node<T>>, count: usize) -> Result<u32, String> {
    let at = u32::try_from(nodes.len()).ok().filter(|at| *at < u32::MAX - 2);
    let at = at.ok_or("it has more than 4 billion nodes")?;
    let blank = Node { feature: 0, left: at, flags: 0, split: T::default() };
    nodes.resize(nodes.len() + count, blank);
    Ok(at)
}

fn leaf_node<T: Real>(at: u32, leaf: usize, table: &Table<T>) -> Result<Node<T>, String> {
    let Some(Leaf { weights }) = table.leaves.get(leaf) else {
        return Err(format!("it has no leaf {leaf}"));
    };
    let split = match weights.as_slice() {
        [(_, weight)] => *weight,
        _ => T::default(),
    };
    let number = u32::try_from(leaf).unwrap_or_default();
    Ok(Node { feature: 0, left: at, flags: number * LEAF_UNIT, split })
}
