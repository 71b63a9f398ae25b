//! Labels and scores of `ai.onnx.ml`'s classifiers, as ONNX Runtime 1.32 gives them, but never a
//! label that is not the one with the highest score.

use super::model::{Build, build};
use super::{load, run_model};
use crate::engine::{Ending, LoadError, OutputFact};
use crate::tensor::{Data, Dtype};
use tract_onnx::pb::{AttributeProto, attribute_proto::AttributeType};

/// What one side of a tree with one branch adds: pairs of class and weight.
type Side = &'static [(i64, f32)];

fn floats(build: Build, name: &str, values: &[f32]) -> Build {
    build.attribute(AttributeProto {
        name: name.into(),
        r#type: AttributeType::Floats as i32,
        floats: values.to_vec(),
        ..AttributeProto::default()
    })
}

fn texts(build: Build, name: &str, values: &[&str]) -> Build {
    build.attribute(AttributeProto {
        name: name.into(),
        r#type: AttributeType::Strings as i32,
        strings: values.iter().map(|v| v.as_bytes().to_vec()).collect(),
        ..AttributeProto::default()
    })
}

fn text(build: Build, name: &str, value: &str) -> Build {
    build.attribute(AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..AttributeProto::default()
    })
}

fn outputs(build: Build, classes: usize) -> Build {
    build.output("label", Dtype::I64, &[1]).output("scores", Dtype::F32, &[1, classes])
}

/// Trees of one branch: the first asks for x <= 0, the others for x <= 1.
fn trees(sides: &[(Side, Side)], base: &[f32], post: &str, ids: &[i64]) -> Build {
    let count = i64::try_from(sides.len()).unwrap();
    let each = |of: [i64; 3]| (0..count).flat_map(|_| of).collect::<Vec<_>>();
    let nodes = build().input("x", Dtype::F32, &[1, 1]).node(
        "ai.onnx.ml.TreeEnsembleClassifier",
        &["x"],
        &["label", "scores"],
    );
    let nodes = nodes
        .ints("nodes_featureids", &each([0, 0, 0]))
        .ints("nodes_nodeids", &each([0, 1, 2]))
        .ints("nodes_treeids", &(0..count).flat_map(|t| [t, t, t]).collect::<Vec<_>>())
        .ints("nodes_truenodeids", &each([1, 0, 0]))
        .ints("nodes_falsenodeids", &each([2, 0, 0]));
    let modes: Vec<&str> = sides.iter().flat_map(|_| ["BRANCH_LEQ", "LEAF", "LEAF"]).collect();
    let thresholds: Vec<f32> =
        (0..sides.len()).flat_map(|t| [if t == 0 { 0.0 } else { 1.0 }, 0.0, 0.0]).collect();
    let nodes = floats(texts(nodes, "nodes_modes", &modes), "nodes_values", &thresholds);
    let (mut of_tree, mut of_node, mut of_class) = (Vec::new(), Vec::new(), Vec::new());
    let mut weights = Vec::new();
    for (tree, (low, high)) in (0..).zip(sides) {
        for (node, side) in [(1, low), (2, high)] {
            for &(class, weight) in *side {
                of_tree.push(tree);
                of_node.push(node);
                of_class.push(class);
                weights.push(weight);
            }
        }
    }
    let nodes = nodes
        .ints("class_treeids", &of_tree)
        .ints("class_nodeids", &of_node)
        .ints("class_ids", &of_class)
        .ints("classlabels_int64s", ids);
    let nodes = floats(nodes, "class_weights", &weights);
    let nodes = if base.is_empty() { nodes } else { floats(nodes, "base_values", base) };
    outputs(text(nodes, "post_transform", post), ids.len())
}

fn linear(coefficients: &[f32], intercepts: &[f32], post: &str, ids: &[i64]) -> Build {
    let node = build().input("x", Dtype::F32, &[1, 1]).node(
        "ai.onnx.ml.LinearClassifier",
        &["x"],
        &["label", "scores"],
    );
    let node = floats(floats(node, "coefficients", coefficients), "intercepts", intercepts);
    outputs(text(node.ints("classlabels_ints", ids), "post_transform", post), ids.len())
}

/// Label and scores for x = -1, 0.5 and 2.
fn run(build: Build) -> [(i64, Vec<f32>); 3] {
    let model = load(&build.bytes()).unwrap();
    [-1.0, 0.5, 2.0].map(|x| {
        let out = run_model(&model, &[Data::F32(vec![x])]);
        let (Data::I64(label), Data::F32(scores)) = (&out[0].data, &out[1].data) else {
            panic!("{out:?}");
        };
        assert_eq!(out[0].shape, [1]);
        assert_eq!(out[1].shape, [1, scores.len()]);
        (label[0], scores.clone())
    })
}

fn expect(build: Build, expected: [(i64, &[f32]); 3]) {
    for ((label, scores), (wanted, exact)) in run(build).into_iter().zip(expected) {
        let near = scores.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(label == wanted && near && scores.len() == exact.len(), "{label} {scores:?}");
    }
}

fn facts(build: Build) -> Vec<OutputFact> {
    load(&build.bytes()).unwrap().facts().to_vec()
}

fn refused(build: Build) -> String {
    let error = load(&build.bytes()).unwrap_err();
    assert!(matches!(error, LoadError::Node { .. }), "{error}");
    error.to_string()
}

const FOREST: &[(Side, Side)] = &[(&[(0, 0.3)], &[(0, 0.7)]), (&[(0, 0.1)], &[(0, 0.2)])];
const BOOSTED: &[(Side, Side)] = &[(&[(0, -1.5)], &[(0, 0.7)]), (&[(0, -0.1)], &[(0, 0.2)])];

#[test]
fn a_forest_of_two_classes_has_one_sum_and_two_scores() {
    let forest = || trees(FOREST, &[], "NONE", &[10, 20]);
    expect(forest(), [(10, &[0.6, 0.4]), (20, &[0.2, 0.8]), (20, &[0.1, 0.9])]);
    let facts = facts(forest());
    assert_eq!(facts[1].ending, Ending::Probabilities);
    let label = facts[0].label.clone().unwrap();
    assert_eq!((label.ids, label.scores), (vec![10, 20], vec![1]));
}

#[test]
fn boosted_trees_give_logits_or_their_sigmoid() {
    let boosted = |base: &[f32], post| trees(BOOSTED, base, post, &[-1, 1]);
    expect(boosted(&[], "NONE"), [(-1, &[1.6, -1.6]), (1, &[-0.6, 0.6]), (1, &[-0.9, 0.9])]);
    expect(
        boosted(&[], "LOGISTIC"),
        [(-1, &[0.832, 0.168]), (1, &[0.3543, 0.6457]), (1, &[0.2891, 0.7109])],
    );
    expect(
        boosted(&[0.4], "LOGISTIC"),
        [(-1, &[0.7685, 0.2315]), (1, &[0.2689, 0.7311]), (1, &[0.2142, 0.7858])],
    );
    assert_eq!(facts(boosted(&[], "LOGISTIC"))[1].ending, Ending::Sigmoid);
    assert_eq!(facts(boosted(&[], "NONE"))[1].ending, Ending::Sums);
}

/// ONNX Runtime compares the sum of positive weights with 0.5 before the sigmoid: label 10 for the
/// scores 0.40 and 0.60.
#[test]
fn a_label_is_never_the_one_with_the_lower_score() {
    expect(
        trees(FOREST, &[], "LOGISTIC", &[10, 20]),
        [(20, &[0.4013, 0.5987]), (20, &[0.31, 0.69]), (20, &[0.2891, 0.7109])],
    );
    // There it gives label 1, whatever the ids are.
    let both: &[(Side, Side)] = &[(&[(0, 0.8), (1, 0.2)], &[(0, 0.3), (1, 0.7)])];
    expect(
        trees(both, &[], "NONE", &[10, 20]),
        [(10, &[0.8, 0.2]), (20, &[0.3, 0.7]), (20, &[0.3, 0.7])],
    );
}

#[test]
fn three_classes_have_a_sum_each() {
    let three: &[(Side, Side)] =
        &[(&[(0, -0.8), (1, -0.1), (2, -0.2)], &[(0, 0.3), (1, 0.7), (2, 0.7)])];
    let sums = [(20, &[-0.8, -0.1, -0.2][..]), (20, &[0.3, 0.7, 0.7]), (20, &[0.3, 0.7, 0.7])];
    expect(trees(three, &[], "NONE", &[10, 20, 30]), sums);
    let moved = [(20, &[-0.3, 0.5, 0.5][..]), (30, &[0.8, 1.3, 1.4]), (30, &[0.8, 1.3, 1.4])];
    expect(trees(three, &[0.5, 0.6, 0.7], "NONE", &[10, 20, 30]), moved);
    let softmax = facts(trees(three, &[], "SOFTMAX", &[10, 20, 30]));
    assert_eq!(softmax[1].ending, Ending::Softmax);
}

#[test]
fn linear_classifiers_give_ids_and_scores() {
    let two = |post| linear(&[-2.0, 2.0], &[1.0, -1.0], post, &[-1, 1]);
    expect(two("NONE"), [(-1, &[3.0, -3.0]), (-1, &[0.0, 0.0]), (1, &[-3.0, 3.0])]);
    expect(two("SOFTMAX"), [(-1, &[0.9975, 0.0025]), (-1, &[0.5, 0.5]), (1, &[0.0025, 0.9975])]);
    expect(
        linear(&[2.0], &[-1.0], "LOGISTIC", &[10, 20]),
        [(10, &[0.9526, 0.0474]), (10, &[0.5, 0.5]), (20, &[0.0474, 0.9526])],
    );
    expect(
        linear(&[1.0, 2.0, -1.0], &[0.1, 0.2, 0.3], "LOGISTIC", &[1, 2, 7]),
        [
            (7, &[0.2891, 0.1419, 0.7858]),
            (2, &[0.6457, 0.7685, 0.4502]),
            (2, &[0.8909, 0.9852, 0.1545]),
        ],
    );
}

#[test]
fn what_has_no_agreed_meaning_is_refused() {
    let ids = &[10, 20];
    for (sides, base, post) in [
        (BOOSTED, &[0.25, 0.5][..], "LOGISTIC"),
        (FOREST, &[0.25, 0.5], "NONE"),
        (FOREST, &[], "PROBIT"),
    ] {
        let refusal = refused(trees(sides, base, post, ids));
        assert!(refusal.contains("TreeEnsembleClassifier"), "{refusal}");
    }
    assert!(refused(trees(FOREST, &[0.1], "NONE", &[1, 2, 3])).contains("1 base_values"));
    assert!(refused(linear(&[2.0], &[-1.0], "NONE", ids)).contains("a row for each class"));
    assert!(refused(linear(&[2.0, 1.0], &[], "NONE", ids)).contains("0 intercepts"));
}

/// ONNX Runtime leaves a softmax of one sum out.
#[test]
fn a_softmax_of_one_sum_is_none() {
    let scores = [(10, &[0.6, 0.4][..]), (20, &[0.2, 0.8]), (20, &[0.1, 0.9])];
    expect(trees(FOREST, &[], "SOFTMAX", &[10, 20]), scores);
    let moved = [(20, &[0.4, 0.6][..]), (20, &[0.0, 1.0]), (20, &[-0.1, 1.1])];
    expect(trees(FOREST, &[0.2], "NONE", &[10, 20]), moved);
}

#[test]
fn texts_of_classes_become_their_places_and_names() {
    let build = trees(FOREST, &[], "NONE", &[]);
    let named = || texts(build.clone(), "classlabels_strings", &["ok", "fault"]);
    let mut zipped = texts(
        named().node("ai.onnx.ml.ZipMap", &["scores"], &["map"]),
        "classlabels_strings",
        &["ok", "fault"],
    );
    zipped.graph.output[1].name = "map".into();
    zipped.graph.output[1].r#type = None;
    zipped.graph.node[0].attribute.retain(|a| a.name != "classlabels_int64s");
    expect(zipped.clone(), [(0, &[0.6, 0.4]), (1, &[0.2, 0.8]), (1, &[0.1, 0.9])]);
    let facts = facts(zipped);
    let names = ["ok".to_owned(), "fault".to_owned()];
    assert!(facts.iter().all(|fact| fact.classes == names), "{facts:?}");
    assert_eq!(facts[0].label.clone().unwrap().scores, [1]);
}

#[test]
fn lists_that_are_no_trees_are_refused() {
    let altered = |name: &str, place: usize, value: i64| {
        let mut forest = trees(FOREST, &[], "NONE", &[0, 1]);
        let node = forest.graph.node.last_mut().unwrap();
        let attribute = node.attribute.iter_mut().find(|a| a.name == name).unwrap();
        attribute.ints[place] = value;
        refused(forest)
    };
    assert!(altered("nodes_truenodeids", 0, 9).contains("node 9 of tree 0 is not in its lists"));
    assert!(altered("nodes_falsenodeids", 0, 0).contains("or one to itself"));
    assert!(altered("nodes_nodeids", 1, 2).contains("node 2 of tree 0 is listed twice"));
    assert!(altered("nodes_treeids", 4, 7).contains("are not listed together"));
    assert!(altered("class_ids", 0, 7).contains("a leaf is for target 7"));
    assert!(altered("class_nodeids", 0, 0).contains("has a weight but is not a leaf"));
    assert!(altered("nodes_featureids", 0, -1).contains("feature -1, which no input has"));
    assert!(altered("nodes_featureids", 0, 3).contains("its input has 1 features"));
    let mut unknown = trees(FOREST, &[], "NONE", &[0, 1]);
    let node = unknown.graph.node.last_mut().unwrap();
    let modes = node.attribute.iter_mut().find(|a| a.name == "nodes_modes").unwrap();
    modes.strings[0] = b"BRANCH_NEAR".to_vec();
    assert!(refused(unknown).contains("BRANCH_NEAR"));
}

/// `ArrayFeatureExtractor` keeps the axis, which the float runtime drops for a single index.
#[test]
fn a_selected_column_stays_a_column() {
    let column = build()
        .input("x", Dtype::F32, &[1, 3])
        .constant("place", &[], Data::I64(vec![1]))
        .node("ai.onnx.ml.ArrayFeatureExtractor", &["x", "place"], &["y"])
        .output("y", Dtype::F32, &[1, 1]);
    let model = load(&column.bytes()).unwrap();
    let y = run_model(&model, &[Data::F32(vec![1.0, 2.0, 3.0])]).remove(0);
    assert_eq!((y.shape, y.data), (vec![1, 1], Data::F32(vec![2.0])));
    let row = build()
        .input("i", Dtype::I64, &[1])
        .constant("ids", &[3], Data::I64(vec![10, 20, 30]))
        .node("ai.onnx.ml.ArrayFeatureExtractor", &["ids", "i"], &["y"])
        .output("y", Dtype::I64, &[1, 1]);
    let model = load(&row.bytes()).unwrap();
    let y = run_model(&model, &[Data::I64(vec![2])]).remove(0);
    assert_eq!((y.shape, y.data), (vec![1, 1], Data::I64(vec![30])));
}
