//! Graphs survive encoding, and constants are read from every field.

use super::*;
use crate::engine::graph::{
    Attribute, AttributeValue, Dimension, ElementType, Node, TensorData, TensorType, ValueInfo,
};
use crate::tensor::Dtype;
use tract_onnx::pb::TensorProto;

fn graph() -> Graph {
    let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    let constant = |name: &str| {
        TensorData::new(name.to_owned(), ElementType::U8, vec![2], vec![3, 4]).unwrap()
    };
    let inner = Graph {
        nodes: vec![Node {
            op: "Relu".to_owned(),
            inputs: names(&["x"]),
            outputs: names(&["z"]),
            ..Node::default()
        }],
        outputs: vec![ValueInfo::untyped("z")],
        ..Graph::default()
    };
    let values = [
        ("int", AttributeValue::Int(-1)),
        ("ints", AttributeValue::Ints(vec![1, 2])),
        ("float", AttributeValue::Float(0.5)),
        ("floats", AttributeValue::Floats(vec![0.5, 2.0])),
        ("text", AttributeValue::Text(b"NOTSET".to_vec())),
        ("texts", AttributeValue::Texts(vec![b"a".to_vec(), b"\xff".to_vec()])),
        ("tensor", AttributeValue::Tensor(constant("value"))),
        ("graph", AttributeValue::Graph(inner)),
    ];
    let attributes = values.map(|(name, value)| Attribute { name: name.to_owned(), value });
    let shape = vec![Dimension::Fixed(2), Dimension::Named("n".to_owned()), Dimension::Unknown];
    let input = TensorType { element: ElementType::F32, shape: Some(shape) };
    Graph {
        nodes: vec![Node {
            name: "node".to_owned(),
            op: "Op".to_owned(),
            domain: "com.example".to_owned(),
            inputs: names(&["x", "", "c"]),
            outputs: names(&["y"]),
            attributes: attributes.to_vec(),
            ..Node::default()
        }],
        initializers: vec![constant("c")],
        inputs: vec![ValueInfo { name: "x".to_owned(), tensor: Some(input) }],
        outputs: vec![ValueInfo::tensor("y", ElementType::U8, &[2])],
    }
}

#[test]
fn graphs_are_encoded_without_loss() {
    let sets = OperatorSets(vec![(String::new(), 13), ("com.example".to_owned(), 1)]);
    let bytes = encode(&sets, &mut graph()).encode_to_vec();
    assert_eq!(decode(&bytes, None).unwrap(), (sets, graph()));
}

#[test]
fn encoding_moves_the_values_of_constants_and_keeps_the_nodes() {
    let mut left = graph();
    encode(&OperatorSets::default(), &mut left);
    assert!(left.initializers[0].bytes.is_empty());
    assert!(left.nodes[0].tensor("tensor").unwrap().bytes.is_empty());
    assert_eq!(left.nodes[0].reads(), graph().nodes[0].reads());
    assert_eq!(left.nodes[0].ints("ints"), Some(&[1, 2][..]));
}

fn tensor(element: ElementType, fill: impl FnOnce(&mut TensorProto)) -> TensorProto {
    let mut proto =
        TensorProto { dims: vec![2], data_type: element.code(), ..TensorProto::default() };
    fill(&mut proto);
    proto
}

#[test]
fn constants_are_read_from_the_field_of_their_type() {
    let bytes = |element: ElementType, fill: fn(&mut TensorProto)| {
        decode_tensor(tensor(element, fill)).unwrap().bytes
    };
    assert_eq!(bytes(ElementType::U8, |t| t.raw_data = vec![1, 255]), [1, 255]);
    assert_eq!(bytes(ElementType::U8, |t| t.int32_data = vec![1, 255]), [1, 255]);
    assert_eq!(bytes(Dtype::I8.into(), |t| t.int32_data = vec![1, -1]), [1, 255]);
    assert_eq!(bytes(Dtype::I16.into(), |t| t.int32_data = vec![1, -1]), [1, 0, 255, 255]);
    assert_eq!(bytes(Dtype::Bool.into(), |t| t.int32_data = vec![0, 5]), [0, 1]);
    let half = bytes(ElementType::FLOAT16, |t| t.int32_data = vec![0x3c00, 0xc000]);
    assert_eq!(half, [0, 0x3c, 0, 0xc0]);
    assert_eq!(bytes(ElementType::F32, |t| t.float_data = vec![0.0, 1.0])[4..], [0, 0, 128, 63]);
    let fills: [fn(&mut TensorProto); 2] =
        [|t| t.uint64_data = vec![1, 2], |t| t.int32_data = vec![1, 2]];
    for fill in fills {
        assert_eq!(bytes(ElementType::UINT32, fill), [1, 0, 0, 0, 2, 0, 0, 0]);
    }
    assert_eq!(bytes(ElementType::UINT64, |t| t.uint64_data = vec![1, 2])[8..10], [2, 0]);
}

#[test]
fn constants_of_impossible_sizes_are_refused() {
    let refusal = |dims: &[i64]| {
        let proto = tensor(ElementType::U8, |t| {
            t.dims = dims.to_vec();
            t.int32_data = vec![1, 2];
        });
        decode_tensor(proto).unwrap_err().to_string()
    };
    assert!(refusal(&[-1]).contains("a negative dimension"));
    assert!(refusal(&[3]).contains("needs 3 elements, found 2"));
    assert!(refusal(&[1 << 20, 1 << 20]).contains("more than"));
}
