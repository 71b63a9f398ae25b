//! The lists of `TreeEnsembleClassifier` and `TreeEnsembleRegressor`: a row for each node with the
//! numbers of its tree, of itself and of its children, and a row for each weight of a leaf.

use super::table::{Branch, Child, Leaf, Mode, Table};
use super::walk::Real;
use crate::engine::graph::{Node, TensorData, reals};

/// The names of the attributes that list weights.
pub(super) struct WeightNames {
    pub trees: &'static str,
    pub nodes: &'static str,
    pub targets: &'static str,
    pub weights: &'static str,
}

pub(super) const OF_CLASSES: WeightNames = WeightNames {
    trees: "class_treeids",
    nodes: "class_nodeids",
    targets: "class_ids",
    weights: "class_weights",
};

pub(super) const OF_TARGETS: WeightNames = WeightNames {
    trees: "target_treeids",
    nodes: "target_nodeids",
    targets: "target_ids",
    weights: "target_weights",
};

/// Numbers in an attribute of floats, or in that with `_as_tensor` at the end of its name.
///
/// # Errors
/// Both attributes, or a tensor of another type than floats.
pub(super) fn numbers<T: Real>(node: &Node, name: &str) -> Result<Vec<T>, String> {
    let floats = node.floats(name).unwrap_or_default();
    let Some(tensor) = node.tensor(&format!("{name}_as_tensor")) else {
        return Ok(floats.iter().map(|&x| T::of_real(f64::from(x))).collect());
    };
    if !floats.is_empty() {
        return Err(format!("it has both {name} and {name}_as_tensor: remove one of them"));
    }
    tensor_numbers(tensor).map_err(|reason| format!("its {name}_as_tensor {reason}"))
}

pub(super) fn tensor_numbers<T: Real>(tensor: &TensorData) -> Result<Vec<T>, String> {
    let values = tensor.to_tensor().as_ref().and_then(reals);
    let values = values.ok_or("is not of 32-bit or 64-bit floats: export it with floats")?;
    Ok(values.into_iter().map(T::of_real).collect())
}

/// The trees that the attributes of `node` list.
///
/// # Errors
/// Lists of different lengths, numbers that occur twice or not at all, unknown modes.
pub(super) fn read<T: Real>(node: &Node, names: &WeightNames) -> Result<Table<T>, String> {
    let rows = Rows::of(node)?;
    let places = Places::of(&rows)?;
    let splits: Vec<T> = numbers(node, "nodes_values")?;
    if splits.len() != rows.ids.len() {
        return Err(format!(
            "its lists of nodes differ in length: {} nodes_nodeids, {} nodes_values",
            rows.ids.len(),
            splits.len()
        ));
    }
    let mut table =
        Table { branches: Vec::new(), roots: Vec::new(), leaves: Vec::new(), members: Vec::new() };
    // The place of each row among the branches or the leaves.
    let mut children = Vec::with_capacity(rows.ids.len());
    let (mut branches, mut leaves) = (0, 0);
    for mode in &rows.modes {
        let count = if mode.is_some() { &mut branches } else { &mut leaves };
        children.push(if mode.is_some() { Child::Branch(*count) } else { Child::Leaf(*count) });
        *count += 1;
    }
    let mut last = None;
    for (row, split) in splits.into_iter().enumerate() {
        let tree = rows.trees.get(row).copied().unwrap_or_default();
        let child = |id: i64| {
            let place = places.find(tree, id).and_then(|row| children.get(row));
            place.copied().ok_or_else(|| format!("node {id} of tree {tree} is not in its lists"))
        };
        if last != Some(tree) {
            table.roots.extend(children.get(row));
            last = Some(tree);
        }
        if let Some(branch) = rows.branch(row, split, child)? {
            table.branches.push(branch);
        }
    }
    table.leaves = vec![Leaf::default(); leaves];
    weights(node, names, &mut table.leaves, |tree, id| {
        places.find(tree, id).and_then(|row| children.get(row)).copied()
    })?;
    Ok(table)
}

/// The lists of nodes, which have the same length.
struct Rows<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    features: &'a [i64],
    yes: &'a [i64],
    no: &'a [i64],
    missing: &'a [i64],
    /// None for leaves.
    modes: Vec<Option<Mode>>,
}

impl<'a> Rows<'a> {
    fn of(node: &'a Node) -> Result<Self, String> {
        let column = |name: &str| node.ints(name).unwrap_or_default();
        let modes = node.texts("nodes_modes").unwrap_or_default();
        let modes = modes.iter().map(|name| mode(name)).collect::<Result<_, _>>()?;
        let rows = Self {
            trees: column("nodes_treeids"),
            ids: column("nodes_nodeids"),
            features: column("nodes_featureids"),
            yes: column("nodes_truenodeids"),
            no: column("nodes_falsenodeids"),
            missing: column("nodes_missing_value_tracks_true"),
            modes,
        };
        let count = rows.ids.len();
        let lengths = [
            ("nodes_treeids", rows.trees.len()),
            ("nodes_featureids", rows.features.len()),
            ("nodes_truenodeids", rows.yes.len()),
            ("nodes_falsenodeids", rows.no.len()),
            ("nodes_modes", rows.modes.len()),
        ];
        if count == 0 {
            return Err("it has no nodes".into());
        }
        if let Some((name, found)) = lengths.iter().find(|(_, found)| *found != count) {
            return Err(format!(
                "its lists of nodes differ in length: {count} nodes_nodeids, {found} {name}"
            ));
        }
        if !rows.missing.is_empty() && rows.missing.len() != count {
            let found = rows.missing.len();
            return Err(format!(
                "its lists of nodes differ in length: {count} nodes_nodeids, {found} \
                 nodes_missing_value_tracks_true"
            ));
        }
        Ok(rows)
    }

    /// The branch in this row; none for a leaf.
    fn branch<T: Real>(
        &self,
        row: usize,
        split: T,
        child: impl Fn(i64) -> Result<Child, String>,
    ) -> Result<Option<Branch<T>>, String> {
        let Some(mode) = self.modes.get(row).copied().flatten() else { return Ok(None) };
        let of = |list: &[i64]| list.get(row).copied().unwrap_or_default();
        let feature = of(self.features);
        if split.is_missing() {
            return Err(format!("the threshold of node {} is not a number", of(self.ids)));
        }
        let feature = u32::try_from(feature).map_err(|_| {
            format!("node {} uses feature {feature}, which no input has", of(self.ids))
        })?;
        Ok(Some(Branch {
            feature,
            mode,
            split,
            missing_true: of(self.missing) == 1,
            yes: child(of(self.yes))?,
            no: child(of(self.no))?,
        }))
    }
}

fn mode(name: &[u8]) -> Result<Option<Mode>, String> {
    Ok(Some(match name {
        b"LEAF" => return Ok(None),
        b"BRANCH_LEQ" => Mode::Leq,
        b"BRANCH_LT" => Mode::Lt,
        b"BRANCH_GTE" => Mode::Gte,
        b"BRANCH_GT" => Mode::Gt,
        b"BRANCH_EQ" => Mode::Eq,
        b"BRANCH_NEQ" => Mode::Neq,
        other => {
            let name = String::from_utf8_lossy(other).into_owned();
            return Err(format!("the node mode {name:?} is unknown"));
        }
    }))
}

/// The rows of nodes, found by the numbers of tree and node.
struct Places(Vec<(i64, i64, usize)>);

impl Places {
    fn of(rows: &Rows<'_>) -> Result<Self, String> {
        let numbered = rows.trees.iter().zip(rows.ids).enumerate();
        let mut places: Vec<_> = numbered.map(|(row, (&tree, &id))| (tree, id, row)).collect();
        places.sort_unstable();
        let mut pairs = places.iter().zip(places.iter().skip(1));
        if let Some(((tree, id, _), _)) = pairs.find(|(a, b)| (a.0, a.1) == (b.0, b.1)) {
            return Err(format!("node {id} of tree {tree} is listed twice"));
        }
        // A tree whose rows are apart would be taken for several trees.
        let mut starts: Vec<i64> = Vec::new();
        for tree in rows.trees {
            if starts.last() != Some(tree) {
                starts.push(*tree);
            }
        }
        starts.sort_unstable();
        match starts.iter().zip(starts.iter().skip(1)).find(|(a, b)| a == b) {
            Some((tree, _)) => Err(format!("the nodes of tree {tree} are not listed together")),
            None => Ok(Self(places)),
        }
    }

    fn find(&self, tree: i64, id: i64) -> Option<usize> {
        let at = self.0.binary_search_by_key(&(tree, id), |&(tree, id, _)| (tree, id)).ok()?;
        self.0.get(at).map(|(_, _, row)| *row)
    }
}

/// Adds the listed weights to the leaves.
fn weights<T: Real>(
    node: &Node,
    names: &WeightNames,
    leaves: &mut [Leaf<T>],
    find: impl Fn(i64, i64) -> Option<Child>,
) -> Result<(), String> {
    let column = |name| node.ints(name).unwrap_or_default();
    let (trees, nodes) = (column(names.trees), column(names.nodes));
    let (targets, weights) = (column(names.targets), numbers::<T>(node, names.weights)?);
    let count = targets.len();
    if count == 0 || [trees.len(), nodes.len(), weights.len()] != [count; 3] {
        return Err(format!(
            "its lists of weights differ in length: {count} {}, {} {}, {} {}, {} {}",
            names.targets,
            trees.len(),
            names.trees,
            nodes.len(),
            names.nodes,
            weights.len(),
            names.weights
        ));
    }
    for ((&tree, &id), (&target, &weight)) in
        trees.iter().zip(nodes).zip(targets.iter().zip(&weights))
    {
        let leaf = match find(tree, id) {
            Some(Child::Leaf(leaf)) => leaves.get_mut(leaf),
            _ => None,
        };
        let leaf =
            leaf.ok_or_else(|| format!("node {id} of tree {tree} has a weight but is not a leaf"))?;
        let target = u32::try_from(target)
            .map_err(|_| format!("a leaf has the {} {target}, which is negative", names.targets))?;
        leaf.weights.push((target, weight));
    }
    Ok(())
}
