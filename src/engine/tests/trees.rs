//! Ensembles of random trees against a walk that follows the definition of ONNX.

use crate::engine::classical::{Classical, Numbers, Operand};
use crate::engine::graph::{Attribute, AttributeValue, Node};
use crate::tensor::{Data, Dtype};
use fastrand::Rng;

const MODES: [&str; 6] =
    ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
const FEATURES: usize = 3;

/// A node as the attributes list it.
#[derive(Clone)]
struct Row {
    tree: i64,
    id: i64,
    feature: i64,
    /// None for a leaf.
    mode: Option<&'static str>,
    split: f32,
    children: [i64; 2],
    missing: i64,
    weight: f32,
}

/// Thresholds and features that are often equal.
fn number(rng: &mut Rng) -> f32 {
    [-1.0, -0.5, 0.0, 0.5, 1.0, f32::INFINITY][rng.usize(..6)]
}

fn grow(
    rng: &mut Rng,
    tree: i64,
    depth: usize,
    modes: &[&'static str],
    rows: &mut Vec<Row>,
) -> i64 {
    let place = rows.len();
    let id = rows.iter().filter(|row| row.tree == tree).count() as i64;
    let leaf = depth == 0 || rng.u8(..4) == 0;
    rows.push(Row {
        tree,
        id,
        feature: rng.i64(0..FEATURES as i64),
        mode: (!leaf).then(|| modes[rng.usize(..modes.len())]),
        split: number(rng),
        children: [0; 2],
        missing: rng.i64(0..2),
        weight: rng.f32() - 0.5,
    });
    if !leaf {
        let yes = grow(rng, tree, depth - 1, modes, rows);
        let no = grow(rng, tree, depth - 1, modes, rows);
        rows[place].children = [yes, no];
    }
    id
}

fn node(rows: &[Row], aggregate: &str) -> Node {
    let ints = |name: &str, of: &dyn Fn(&Row) -> i64| {
        Attribute::ints(name, rows.iter().map(of).collect::<Vec<_>>())
    };
    let floats = |name: &str, values: Vec<f32>| Attribute {
        name: name.into(),
        value: AttributeValue::Floats(values),
    };
    let leaves: Vec<&Row> = rows.iter().filter(|row| row.mode.is_none()).collect();
    let of_leaves = |name: &str, of: &dyn Fn(&Row) -> i64| {
        Attribute::ints(name, leaves.iter().map(|row| of(row)).collect())
    };
    let modes = rows.iter().map(|row| row.mode.unwrap_or("LEAF").as_bytes().to_vec());
    Node {
        name: "trees".into(),
        op: "TreeEnsembleRegressor".into(),
        domain: "ai.onnx.ml".into(),
        attributes: vec![
            ints("nodes_treeids", &|r| r.tree),
            ints("nodes_nodeids", &|r| r.id),
            ints("nodes_featureids", &|r| r.feature),
            ints("nodes_truenodeids", &|r| r.children[0]),
            ints("nodes_falsenodeids", &|r| r.children[1]),
            ints("nodes_missing_value_tracks_true", &|r| r.missing),
            Attribute { name: "nodes_modes".into(), value: AttributeValue::Texts(modes.collect()) },
            floats("nodes_values", rows.iter().map(|r| r.split).collect()),
            of_leaves("target_treeids", &|r| r.tree),
            of_leaves("target_nodeids", &|r| r.id),
            of_leaves("target_ids", &|_| 0),
            floats("target_weights", leaves.iter().map(|r| r.weight).collect()),
            Attribute::int("n_targets", 1),
            Attribute {
                name: "aggregate_function".into(),
                value: AttributeValue::Text(aggregate.as_bytes().to_vec()),
            },
        ],
        ..Node::default()
    }
}

/// The weight of the leaf that a row of features reaches in a tree.
fn reached(rows: &[Row], tree: i64, x: &[f32]) -> f32 {
    let mut id = 0;
    loop {
        let row = rows.iter().find(|row| (row.tree, row.id) == (tree, id)).unwrap();
        let Some(mode) = row.mode else { return row.weight };
        let value = x[row.feature as usize];
        let holds = match mode {
            "BRANCH_LEQ" => value <= row.split,
            "BRANCH_LT" => value < row.split,
            "BRANCH_GTE" => value >= row.split,
            "BRANCH_GT" => value > row.split,
            "BRANCH_EQ" => value == row.split,
            _ => value != row.split,
        };
        let holds = holds || (value.is_nan() && row.missing == 1);
        id = row.children[usize::from(!holds)];
    }
}

#[test]
fn trees_are_walked_as_onnx_defines_it() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        // Of one comparison, as exporters write them, or of all.
        let one = [MODES[rng.usize(..MODES.len())]];
        let modes = if rng.bool() { &one[..] } else { &MODES };
        let trees = rng.i64(1..20);
        let mut rows = Vec::new();
        for tree in 0..trees {
            grow(&mut rng, tree, 5, modes, &mut rows);
        }
        let aggregate = ["SUM", "AVERAGE", "MIN", "MAX"][rng.usize(..4)];
        let operand = Operand { dtype: Dtype::F32, shape: vec![4, FEATURES] };
        let model = Classical::of(&node(&rows, aggregate), &[operand]).unwrap();
        let missing = rng.bool();
        let feature = |rng: &mut Rng| match rng.u8(..8) {
            0 if missing => f32::NAN,
            1 => f32::NEG_INFINITY,
            _ => number(rng),
        };
        let x: Vec<f32> = (0..4 * FEATURES).map(|_| feature(&mut rng)).collect();
        let mut outputs = [Data::F32(vec![0.0; 4])];
        model.run(&[Numbers::Floats(&x)], &mut outputs).unwrap();
        let Data::F32(found) = &outputs[0] else { panic!("{outputs:?}") };
        for (x, found) in x.chunks(FEATURES).zip(found) {
            let leaves: Vec<f32> = (0..trees).map(|tree| reached(&rows, tree, x)).collect();
            let sum = leaves.iter().fold(0.0, |sum, leaf| sum + leaf);
            let right = match aggregate {
                "SUM" => sum,
                "AVERAGE" => sum / trees as f32,
                "MIN" => leaves.iter().copied().fold(f32::INFINITY, f32::min),
                _ => leaves.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            };
            assert_eq!(found.to_bits(), right.to_bits(), "seed {seed}, {aggregate}: {x:?}");
        }
    }
}
