//! `TreeEnsembleClassifier`: its attributes, and whether they describe trees. The float runtime
//! follows them without checks.

use super::{Classifier, Form, Sums, Transform, floats, ids, transform};
use crate::engine::graph::Node;
use std::collections::{BTreeMap, BTreeSet};

/// Rounding lets sums of probabilities exceed 1 by this much.
const ROUNDING: f32 = 1e-3;

pub(super) fn read(node: &Node) -> Result<Classifier, String> {
    let ids = ids(node, "classlabels_int64s")?;
    let leaves = leaves(node, ids.len())?;
    check_trees(node, &leaves)?;
    let base = floats(node, "base_values");
    let transform = transform(node)?;
    let positive = leaves.iter().all(|leaf| leaf.weight >= 0.0);
    let of_class: BTreeSet<usize> = leaves.iter().map(|leaf| leaf.class).collect();
    let form = match (ids.len(), of_class.contains(&1), base.len(), transform) {
        (2, false, 0 | 1, Transform::Sigmoid) => Form::Logistic,
        (2, false, 0, Transform::None) if positive => Form::Complement,
        (2, false, 0 | 1, Transform::None) if !positive => Form::Opposite,
        (2, _, 0, transform) if of_class.len() == 2 => Form::Each(transform),
        (2, true, 0, Transform::Sigmoid | Transform::Softmax) => Form::Each(transform),
        (2, ..) => {
            return Err(format!(
                "two classes with leaves for {of_class:?}, {} base_values and post_transform \
                 {transform:?} have no agreed meaning",
                base.len()
            ));
        }
        (classes, _, bases, transform) if bases == 0 || bases == classes => Form::Each(transform),
        (classes, _, bases, _) => {
            return Err(format!("it has {bases} base_values for {classes} classes"));
        }
    };
    let probabilities = positive && base.is_empty() && largest_sum(&leaves) <= 1.0 + ROUNDING;
    Ok(Classifier { form, ids, sums: Sums::Trees { base, probabilities } })
}

/// A leaf and its contribution to the sum of a class.
struct Leaf {
    tree: i64,
    node: i64,
    class: usize,
    weight: f32,
}

fn leaves(node: &Node, classes: usize) -> Result<Vec<Leaf>, String> {
    let column = |name| node.ints(name).unwrap_or_default();
    let (trees, nodes) = (column("class_treeids"), column("class_nodeids"));
    let (of_class, weights) = (column("class_ids"), floats(node, "class_weights"));
    let count = of_class.len();
    if count == 0 || [trees.len(), nodes.len(), weights.len()] != [count; 3] {
        return Err(
            "its class_ids, class_nodeids, class_treeids and class_weights differ in length, \
                    or have 64 bits: export it for inputs of 32-bit floats"
                .into(),
        );
    }
    let rows = trees.iter().zip(nodes).zip(of_class.iter().zip(&weights));
    rows.map(|((&tree, &node), (&class, &weight))| {
        let known = usize::try_from(class).ok().filter(|&class| class < classes);
        let known = known
            .ok_or_else(|| format!("a leaf has class {class}, but there are {classes} classes"));
        Ok(Leaf { tree, node, class: known?, weight })
    })
    .collect()
}

/// The largest sum that one leaf of every tree can add up to.
fn largest_sum(leaves: &[Leaf]) -> f32 {
    let mut totals = BTreeMap::<(i64, i64), f32>::new();
    for leaf in leaves {
        *totals.entry((leaf.tree, leaf.node)).or_default() += leaf.weight;
    }
    let mut largest = BTreeMap::<i64, f32>::new();
    for ((tree, _), total) in totals {
        let most = largest.entry(tree).or_default();
        *most = most.max(total);
    }
    largest.values().sum()
}

/// Checks that the nodes of each tree are numbered from 0, children exist, no node has two parents,
/// and only leaves have weights.
fn check_trees(node: &Node, leaves: &[Leaf]) -> Result<(), String> {
    let column = |name: &str| node.ints(name).unwrap_or_default();
    let (trees, ids) = (column("nodes_treeids"), column("nodes_nodeids"));
    let (yes, no) = (column("nodes_truenodeids"), column("nodes_falsenodeids"));
    let features = column("nodes_featureids");
    let modes = node.texts("nodes_modes").unwrap_or_default();
    let values = node.floats("nodes_values").map_or(0, <[f32]>::len);
    let count = ids.len();
    let lengths = [trees.len(), yes.len(), no.len(), features.len(), modes.len(), values];
    if count == 0 || lengths != [count; 6] {
        return Err(
            "its lists of nodes differ in length, or its thresholds have 64 bits: export it \
                    for inputs of 32-bit floats"
                .into(),
        );
    }
    if features.iter().any(|&f| !(0..=i64::from(u16::MAX)).contains(&f)) {
        return Err("a node uses a feature that no input has".into());
    }
    let mut sizes = BTreeMap::<i64, i64>::new();
    trees.iter().for_each(|&tree| *sizes.entry(tree).or_default() += 1);
    let mut seen = BTreeSet::new();
    let mut branches = BTreeSet::new();
    let mut below = BTreeSet::new();
    for ((&tree, &id), ((&yes, &no), mode)) in
        trees.iter().zip(ids).zip(yes.iter().zip(no).zip(modes))
    {
        let size = sizes.get(&tree).copied().unwrap_or(0);
        let inside = |id: i64| (0..size).contains(&id);
        if !inside(id) || !seen.insert((tree, id)) {
            return Err(format!("the nodes of tree {tree} are not numbered 0 to {}", size - 1));
        }
        match mode.as_slice() {
            b"LEAF" => continue,
            b"BRANCH_LEQ" | b"BRANCH_LT" | b"BRANCH_GT" | b"BRANCH_EQ" | b"BRANCH_NEQ" => {}
            other => {
                let mode = String::from_utf8_lossy(other).into_owned();
                return Err(format!("the node mode {mode:?} is not supported"));
            }
        }
        branches.insert((tree, id));
        for child in [yes, no] {
            if !inside(child) || child == 0 || !below.insert((tree, child)) {
                return Err(format!(
                    "node {id} of tree {tree} does not have two children of its own"
                ));
            }
        }
    }
    let is_leaf = |leaf: &&Leaf| {
        let at = (leaf.tree, leaf.node);
        !seen.contains(&at) || branches.contains(&at)
    };
    match leaves.iter().find(is_leaf) {
        Some(leaf) => {
            Err(format!("node {} of tree {} has a weight but is not a leaf", leaf.node, leaf.tree))
        }
        None => Ok(()),
    }
}
