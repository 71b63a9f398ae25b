//! Rules of operators, and what they refuse.

use super::*;
use crate::engine::graph::{Attribute, AttributeValue};
use crate::tensor::{Data, Dtype, Tensor};

fn node(op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> Node {
    Node {
        name: "n".into(),
        op: op.into(),
        inputs: inputs.iter().map(|&name| name.into()).collect(),
        outputs: vec!["y".into(), "y2".into(), "y3".into()],
        attributes,
        ..Node::default()
    }
}

/// An input `x` of a shape, and constants.
fn graph(shape: &[usize], constants: &[(&str, Data)]) -> Graph {
    let constant = |(name, data): &(&str, Data)| {
        let tensor = Tensor { shape: vec![data.len()], data: data.clone() };
        TensorData::from_tensor((*name).to_owned(), &tensor)
    };
    Graph {
        inputs: vec![ValueInfo::tensor("x", Dtype::F32.into(), shape)],
        initializers: constants.iter().map(constant).collect(),
        ..Graph::default()
    }
}

fn result(graph: &Graph, node: &Node) -> Result<Known, String> {
    let mut values = Values::of(graph, None);
    values.add(17, node).map_err(|error| error.to_string())?;
    Ok(values.get("y").cloned().unwrap_or_default())
}

fn shape_of(shape: &[usize], node: &Node, constants: &[(&str, Data)]) -> Option<Vec<usize>> {
    result(&graph(shape, constants), node).unwrap().shape
}

fn integers(values: &[i64]) -> Data {
    Data::I64(values.to_vec())
}

#[test]
fn shapes_follow_the_operators() {
    let ints = |name: &str, values: &[i64]| vec![Attribute::ints(name, values.to_vec())];
    let int = |name: &str, value| vec![Attribute::int(name, value)];
    let c = || integers(&[0, -1]);
    let table: Vec<(&[usize], Node, Data, &[usize])> = vec![
        (&[2, 3, 4], node("Relu", &["x"], vec![]), c(), &[2, 3, 4]),
        (&[2, 3, 4], node("Transpose", &["x"], ints("perm", &[2, 0, 1])), c(), &[4, 2, 3]),
        (&[2, 3, 4], node("Reshape", &["x", "c"], vec![]), c(), &[2, 12]),
        (&[2, 3, 4], node("Flatten", &["x"], int("axis", -1)), c(), &[6, 4]),
        (&[2, 1, 4], node("Squeeze", &["x"], vec![]), c(), &[2, 4]),
        (&[2, 3], node("Unsqueeze", &["x", "c"], vec![]), c(), &[1, 2, 3, 1]),
        (&[2, 3], node("Gather", &["x", "c"], int("axis", 1)), c(), &[2, 2]),
        (&[2, 3], node("Tile", &["x", "c"], vec![]), integers(&[2, 5]), &[4, 15]),
        (&[1, 3], node("Expand", &["x", "c"], vec![]), integers(&[7, 1, 3]), &[7, 1, 3]),
        (&[1, 3], node("Pad", &["x", "c"], vec![]), integers(&[0, 1, 0, 2]), &[1, 6]),
        (&[2, 3], node("ReduceMean", &["x"], ints("axes", &[1])), c(), &[2, 1]),
        (&[2, 3], node("ArgMax", &["x"], [int("axis", 1), int("keepdims", 0)].concat()), c(), &[2]),
        (&[9], node("TopK", &["x", "c"], vec![]), integers(&[4]), &[4]),
        (
            &[1, 2, 9],
            node("MaxPool", &["x"], [ints("kernel_shape", &[3]), ints("strides", &[2])].concat()),
            c(),
            &[1, 2, 4],
        ),
        (&[1, 2, 9], node("GlobalAveragePool", &["x"], vec![]), c(), &[1, 2, 1]),
        (&[1, 4, 2, 2], node("DepthToSpace", &["x"], int("blocksize", 2)), c(), &[1, 1, 4, 4]),
        (&[1, 3], node("Resize", &["x", "", "c"], vec![]), Data::F32(vec![1.0, 2.5]), &[1, 7]),
    ];
    for (shape, node, constant, expected) in table {
        let found = shape_of(shape, &node, &[("c", constant)]);
        assert_eq!(found.as_deref(), Some(expected), "{} of {shape:?}", node.op);
    }
}

#[test]
fn slices_count_their_elements() {
    let table: [(i64, i64, i64, &[i64]); 6] = [
        (0, i64::MAX, 2, &[0, 2, 4]),
        (-2, i64::MAX, 1, &[3, 4]),
        (-1, i64::MIN, -1, &[4, 3, 2, 1, 0]),
        (3, 1, -1, &[3, 2]),
        (4, 2, 1, &[]),
        (1, -1, 1, &[1, 2, 3]),
    ];
    for (start, end, step, expected) in table {
        let list = |value| integers(&[value]);
        let constants = [
            ("c", integers(&[0, 1, 2, 3, 4])),
            ("s", list(start)),
            ("e", list(end)),
            ("a", list(0)),
            ("t", list(step)),
        ];
        let slice = node("Slice", &["c", "s", "e", "a", "t"], vec![]);
        let found = result(&graph(&[1], &constants), &slice).unwrap();
        assert_eq!(found.integers.as_deref(), Some(expected), "{start}:{end}:{step}");
        assert_eq!(found.shape, Some(vec![expected.len()]));
    }
}

#[test]
fn small_integers_are_computed() {
    let mut values = Values::of(&graph(&[5, 7], &[("one", integers(&[1]))]), None);
    let named = |mut node: Node, name: &str| {
        node.outputs = vec![name.into()];
        node
    };
    for node in [
        named(node("Shape", &["x"], vec![]), "shape"),
        named(node("Gather", &["shape", "one"], vec![]), "width"),
        named(node("Add", &["width", "one"], vec![]), "more"),
        named(node("Less", &["width", "more"], vec![]), "less"),
        named(node("Concat", &["more", "shape"], vec![Attribute::int("axis", 0)]), "all"),
    ] {
        values.add(17, &node).unwrap();
    }
    assert_eq!(values.integer("more"), Some(8));
    assert_eq!(values.integer("less"), Some(1));
    assert_eq!(values.integers("all"), Some(&[8, 5, 7][..]));
    assert_eq!(values.integer("x"), None);
}

/// As PyTorch writes the paddings of a Pad: pairs from the last axis on, reversed and transposed.
#[test]
fn paddings_of_pytorch_are_computed() {
    let constants = [
        ("pairs", integers(&[1, 2, 0, 0])),
        ("rows", integers(&[-1, 2])),
        ("last", integers(&[-1])),
        ("before", integers(&[i64::MIN])),
        ("first", integers(&[0])),
        ("flat", integers(&[-1])),
    ];
    let mut values = Values::of(&graph(&[5, 7], &constants), None);
    for (op, inputs, output) in [
        ("Reshape", &["pairs", "rows"][..], "r"),
        ("Slice", &["r", "last", "before", "first", "last"], "s"),
        ("Transpose", &["s"], "t"),
        ("Reshape", &["t", "flat"], "pads"),
        ("Pad", &["x", "pads"], "y"),
    ] {
        let mut node = node(op, inputs, vec![]);
        node.outputs = vec![output.into()];
        values.add(17, &node).unwrap();
    }
    assert_eq!(values.integers("pads"), Some(&[0, 1, 0, 2][..]));
    assert_eq!(values.shape("y"), Some(&[5, 10][..]));
}

#[test]
fn huge_results_of_a_few_bytes_are_refused() {
    let million = || integers(&[1 << 20, 1 << 20]);
    let floats = || Data::F32(vec![1e9, 1e9]);
    let scalar = |value| integers(&[value]);
    let large = [
        (node("ConstantOfShape", &["c"], vec![]), million()),
        (node("Tile", &["x", "c"], vec![]), million()),
        (node("Expand", &["x", "c"], vec![]), million()),
        (node("Pad", &["x", "c"], vec![]), integers(&[0, 0, 1 << 40, 0])),
        (node("Resize", &["x", "", "c"], vec![]), floats()),
        (node("Resize", &["x", "", "", "c"], vec![]), million()),
        (node("OneHot", &["x", "c", "v"], vec![]), scalar(1 << 40)),
        (node("HannWindow", &["c"], vec![]), scalar(1 << 40)),
    ];
    for (node, constant) in large {
        let error = result(&graph(&[1, 1], &[("c", constant)]), &node).unwrap_err();
        assert!(error.contains("more than 16777216 elements"), "{}: {error}", node.op);
    }
    let zero = ("zero", scalar(0));
    let range = node("Range", &["zero", "end", "step"], vec![]);
    let constants = [zero, ("end", scalar(i64::MAX)), ("step", scalar(1))];
    assert!(result(&graph(&[1], &constants), &range).is_err());
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let constants = || [("c", Data::F32(vec![0.0; 7]))];
    for op in ["Add", "Mul", "Where", "MatMul"] {
        let error = result(&graph(&[1, 8], &constants()), &node(op, &["x", "c"], vec![]));
        assert!(error.unwrap_err().contains("[1, 8]"), "{op}");
    }
    let perm = vec![Attribute::ints("perm", vec![0, 2])];
    assert!(result(&graph(&[1, 8], &[]), &node("Transpose", &["x"], perm)).is_err());
    let reshape = node("Reshape", &["x", "c"], vec![]);
    assert!(result(&graph(&[1, 8], &[("c", integers(&[3, -1]))]), &reshape).is_err());
}

#[test]
fn branches_are_walked_with_the_values_outside() {
    let branch = |op: &str| Graph {
        nodes: vec![node(op, &["x", "c"], vec![])],
        outputs: vec![ValueInfo::untyped("y")],
        ..Graph::default()
    };
    let both = |then: Graph, other: Graph| {
        let attribute = |name: &str, graph| Attribute {
            name: name.into(),
            value: AttributeValue::Graph(graph),
        };
        vec![attribute("then_branch", then), attribute("else_branch", other)]
    };
    let outside = graph(&[1, 8], &[("c", Data::F32(vec![0.0; 7]))]);
    let same = node("If", &["x"], both(branch("Relu"), branch("Relu")));
    assert_eq!(result(&outside, &same).unwrap().shape, Some(vec![1, 8]));
    let misfit = node("If", &["x"], both(branch("Relu"), branch("Add")));
    assert!(result(&outside, &misfit).is_err());
}

#[test]
fn a_normalization_has_an_axis_of_its_input() {
    let along = |axis| node("LayerNormalization", &["x"], vec![Attribute::int("axis", axis)]);
    assert!(result(&graph(&[2, 3], &[]), &along(-2)).is_ok());
    for (shape, axis) in [(&[2, 3][..], 2), (&[2, 3], -3), (&[], -1)] {
        let error = result(&graph(shape, &[]), &along(axis)).unwrap_err();
        assert!(error.contains("is not one of its input"), "{error}");
    }
}
