//! The lists of `TreeEnsemble` (opset 5 of `ai.onnx.ml`): branches and leaves are apart, and
//! children are indices.

use super::ensemble::{Aggregate, Ensemble};
use super::listed::tensor_numbers;
use super::table::{Branch, Child, Leaf, Mode, Table};
use super::walk::Real;
use crate::engine::classical::scores::PostTransform;
use crate::engine::graph::{Node, integers};

/// The most targets.
const MAX_TARGETS: i64 = 1 << 16;

/// The ensemble that the attributes of `node` list, and the transform of its sums.
///
/// # Errors
/// Lists of different lengths, indices out of range, cycles, unknown modes.
pub(super) fn read<T: Real>(node: &Node) -> Result<(Ensemble<T>, PostTransform), String> {
    let targets = node.int("n_targets").unwrap_or(0);
    let targets = usize::try_from(targets)
        .ok()
        .filter(|_| (1..=MAX_TARGETS).contains(&targets))
        .ok_or_else(|| format!("its n_targets = {targets} is not within 1..={MAX_TARGETS}"))?;
    let post = match node.int("post_transform").unwrap_or(0) {
        0 => PostTransform::None,
        code @ (1 | 2) => {
            return Err(format!(
                "ONNX and ONNX Runtime differ in the meaning of post_transform = {code}: export \
                 with 0, and put the activation into the model card"
            ));
        }
        3 => PostTransform::SoftmaxZero,
        4 => PostTransform::Probit,
        other => return Err(format!("its post_transform = {other} is unknown")),
    };
    post.check_single(targets)?;
    let mut ensemble = Ensemble::new(&table(node)?, targets)?;
    ensemble.aggregate = match node.int("aggregate_function").unwrap_or(1) {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        other => return Err(format!("its aggregate_function = {other} is unknown")),
    };
    Ok((ensemble, post))
}

fn table<T: Real>(node: &Node) -> Result<Table<T>, String> {
    let leaves = leaves(node)?;
    let modes = modes(node)?;
    let tensor = |name: &str| match node.tensor(name) {
        Some(tensor) => tensor_numbers(tensor).map_err(|reason| format!("its {name} {reason}")),
        None => Ok(Vec::new()),
    };
    let (splits, values) = (tensor("nodes_splits")?, tensor("membership_values")?);
    let column = |name: &str| node.ints(name).unwrap_or_default();
    let (yes, no) = (column("nodes_truenodeids"), column("nodes_falsenodeids"));
    let (yes_leaf, no_leaf) = (column("nodes_trueleafs"), column("nodes_falseleafs"));
    let (features, missing) =
        (column("nodes_featureids"), column("nodes_missing_value_tracks_true"));
    let count = modes.len();
    let lists = [
        ("nodes_splits", splits.len()),
        ("nodes_truenodeids", yes.len()),
        ("nodes_falsenodeids", no.len()),
        ("nodes_trueleafs", yes_leaf.len()),
        ("nodes_falseleafs", no_leaf.len()),
        ("nodes_featureids", features.len()),
        ("nodes_missing_value_tracks_true", if missing.is_empty() { count } else { missing.len() }),
    ];
    if let Some((name, found)) = lists.iter().find(|(_, found)| *found != count) {
        return Err(format!("its lists differ in length: {count} nodes_modes, {found} {name}"));
    }
    let mut sets = values.split(|x: &T| x.is_missing());
    let mut table = Table { branches: Vec::new(), roots: Vec::new(), leaves, members: Vec::new() };
    for (i, (mode, split)) in modes.into_iter().zip(splits).enumerate() {
        let of = |list: &[i64]| list.get(i).copied().unwrap_or_default();
        let mut split: T = split;
        if mode == Mode::Member {
            let set = sets.next().ok_or("it has fewer sets in membership_values than nodes")?;
            #[expect(clippy::cast_precision_loss, reason = "fewer sets than 2^24")]
            let index = table.members.len() as f64;
            if index >= f64::from(1 << 24) {
                return Err("it has more than 16 million sets".into());
            }
            split = T::of_real(index);
            table.members.push(set.to_vec());
        } else if split.is_missing() {
            return Err(format!("the threshold of node {i} is not a number"));
        }
        let feature = u32::try_from(of(features))
            .map_err(|_| format!("node {i} uses feature {}, which no input has", of(features)))?;
        table.branches.push(Branch {
            feature,
            mode,
            split,
            missing_true: of(missing) == 1,
            yes: child(of(yes), of(yes_leaf))?,
            no: child(of(no), of(no_leaf))?,
        });
    }
    table.roots = roots(column("tree_roots"), &table.branches)?;
    Ok(table)
}

fn child(index: i64, leaf: i64) -> Result<Child, String> {
    let place = usize::try_from(index).map_err(|_| format!("a node has the child {index}"))?;
    match leaf {
        0 => Ok(Child::Branch(place)),
        1 => Ok(Child::Leaf(place)),
        other => Err(format!("a child is marked as a leaf by {other}, not by 0 or 1")),
    }
}

/// A tree that is a leaf is a node whose children are both that leaf.
fn roots<T>(roots: &[i64], branches: &[Branch<T>]) -> Result<Vec<Child>, String> {
    if roots.is_empty() {
        return Err("it has no tree_roots".into());
    }
    let root = |&root: &i64| {
        let place = usize::try_from(root).ok().filter(|r| *r < branches.len());
        place.map(Child::Branch).ok_or_else(|| format!("its tree root {root} is not a node"))
    };
    roots.iter().map(root).collect()
}

fn leaves<T: Real>(node: &Node) -> Result<Vec<Leaf<T>>, String> {
    let targets = node.ints("leaf_targetids").unwrap_or_default();
    let weights = node.tensor("leaf_weights").ok_or("its leaf_weights are missing")?;
    let weights: Vec<T> =
        tensor_numbers(weights).map_err(|reason| format!("its leaf_weights {reason}"))?;
    if targets.is_empty() || targets.len() != weights.len() {
        return Err(format!(
            "its lists of leaves differ in length: {} leaf_targetids, {} leaf_weights",
            targets.len(),
            weights.len()
        ));
    }
    let leaf = |(&target, weight): (&i64, T)| {
        let target = u32::try_from(target)
            .map_err(|_| format!("a leaf has the target {target}, which is negative"))?;
        Ok(Leaf { weights: vec![(target, weight)] })
    };
    targets.iter().zip(weights).map(leaf).collect()
}

fn modes(node: &Node) -> Result<Vec<Mode>, String> {
    let tensor = node.tensor("nodes_modes").ok_or("its nodes_modes are missing")?;
    let codes = tensor.to_tensor().as_ref().and_then(integers);
    let codes = codes.ok_or("its nodes_modes are not integers")?;
    let mode = |code: i64| {
        Ok(match code {
            0 => Mode::Leq,
            1 => Mode::Lt,
            2 => Mode::Gte,
            3 => Mode::Gt,
            4 => Mode::Eq,
            5 => Mode::Neq,
            6 => Mode::Member,
            other => return Err(format!("the node mode {other} is unknown")),
        })
    };
    codes.into_iter().map(mode).collect()
}
