//! Float models, and what is refused before anything runs.

use super::model::build;
use super::{load, refusal, run};
use crate::engine::{LoadOptions, Model, NodeCounts, RunError};
use crate::tensor::{Data, Dtype, Tensor};
use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value};
use tract_onnx::pb::{TensorProto, tensor_proto::DataLocation, type_proto};

fn dense() -> super::model::Build {
    build()
        .input("x", Dtype::F32, &[1, 2])
        .constant("w", &[2, 3], Data::F32(vec![1., 2., 3., 4., 5., 6.]))
        .node("MatMul", &["x", "w"], &["y"])
        .output("y", Dtype::F32, &[1, 3])
}

#[test]
fn runs_a_float_model() {
    let bytes = dense().bytes();
    let y = run(&bytes, &[Data::F32(vec![1., -1.])]);
    assert_eq!(y, [Tensor { shape: vec![1, 3], data: Data::F32(vec![-3., -3., -3.]) }]);
    assert_eq!(load(&bytes).unwrap().nodes(), NodeCounts { integer: 0, float: 1 });
}

#[test]
fn outputs_may_differ_in_type_from_inputs() {
    let bytes = build()
        .input("x", Dtype::F32, &[1, 4])
        .input("offset", Dtype::F64, &[1, 4])
        .node("ArgMax", &["x"], &["best"])
        .int("axis", 1)
        .node("Cast", &["offset"], &["offset32"])
        .int("to", 1)
        .node("Add", &["x", "offset32"], &["sum"])
        .node("Shape", &["x"], &["size"])
        .output("best", Dtype::I64, &[1, 1])
        .output("sum", Dtype::F32, &[1, 4])
        .output("size", Dtype::I64, &[2])
        .bytes();
    let y = run(&bytes, &[Data::F32(vec![1., 3., 2., 0.]), Data::F64(vec![0.5; 4])]);
    let data: Vec<_> = y.into_iter().map(|t| t.data).collect();
    let sum = Data::F32(vec![1.5, 3.5, 2.5, 0.5]);
    assert_eq!(data, [Data::I64(vec![1]), sum, Data::I64(vec![1, 4])]);
}

#[test]
fn fourier_transforms_of_any_length_are_their_sums() {
    for len in [8, 12, 49] {
        let bytes = build()
            .input("x", Dtype::F32, &[1, len, 1])
            .node("DFT", &["x"], &["y"])
            .output("y", Dtype::F32, &[1, len, 2])
            .bytes();
        let x: Vec<f32> = (0..len).map(|j| ((j * j) % 7) as f32 - 3.0).collect();
        let y = run(&bytes, &[Data::F32(x.clone())]);
        let Data::F32(y) = &y[0].data else { panic!("{:?}", y[0].data) };
        for (k, y) in y.chunks(2).enumerate() {
            let turn = |j: usize| -std::f64::consts::TAU * (j * k) as f64 / len as f64;
            let terms = || x.iter().enumerate().map(|(j, &x)| (f64::from(x), turn(j)));
            let re: f64 = terms().map(|(x, turn)| x * turn.cos()).sum();
            let im: f64 = terms().map(|(x, turn)| x * turn.sin()).sum();
            let off = (f64::from(y[0]) - re).abs().max((f64::from(y[1]) - im).abs());
            assert!(off < 1e-5, "{len}, {k}: {y:?} instead of {re}, {im}");
        }
    }
}

/// The first and the last bin of each filter with its sum, as ONNX Runtime 1.32 has them for 20 filters
/// of a DFT of 256 points at 16 kHz up to 8 kHz.
const MEL_FILTERS: [(usize, usize, f32); 20] = [
    (1, 1, 1.0),
    (2, 3, 1.5),
    (3, 5, 2.0),
    (5, 7, 2.0),
    (7, 10, 2.5),
    (9, 12, 2.5),
    (12, 15, 2.5),
    (14, 19, 3.5),
    (17, 23, 4.0),
    (21, 27, 4.0),
    (25, 32, 4.5),
    (29, 37, 5.0),
    (34, 43, 5.5),
    (39, 50, 6.5),
    (45, 58, 7.5),
    (52, 66, 8.0),
    (60, 76, 9.0),
    (68, 86, 10.0),
    (78, 98, 11.0),
    (88, 112, 13.0),
];

fn mel(sizes: [i64; 3], upper: f32) -> super::model::Build {
    let scalar = |value: i64| Data::I64(vec![value]);
    let [filters, dft_length, rate] = sizes;
    build()
        .input("x", Dtype::F32, &[129, 129])
        .constant("filters", &[], scalar(filters))
        .constant("length", &[], scalar(dft_length))
        .constant("rate", &[], scalar(rate))
        .constant("lower", &[], Data::F32(vec![0.0]))
        .constant("upper", &[], Data::F32(vec![upper]))
}

#[test]
fn mel_filters_are_those_of_the_definition() {
    let inputs = ["filters", "length", "rate", "lower", "upper"];
    let bytes = mel([20, 256, 16_000], 8000.0)
        .node("MelWeightMatrix", &inputs, &["mel"])
        .node("MatMul", &["x", "mel"], &["y"])
        .output("y", Dtype::F32, &[129, 20])
        .bytes();
    // Each bin by itself.
    let x = (0..129 * 129).map(|at| f32::from(u8::from(at / 129 == at % 129)));
    let y = run(&bytes, &[Data::F32(x.collect())]);
    let Data::F32(y) = &y[0].data else { panic!("{:?}", y[0].data) };
    let rows: Vec<&[f32]> = y.chunks(20).collect();
    for (filter, (first, last, sum)) in MEL_FILTERS.into_iter().enumerate() {
        let own: Vec<f32> = rows.iter().map(|row| row[filter]).collect();
        assert_eq!(own.iter().position(|w| *w > 0.0), Some(first), "{filter}");
        assert_eq!(own.iter().rposition(|w| *w > 0.0), Some(last), "{filter}");
        assert!((own.iter().sum::<f32>() - sum).abs() < 1e-4, "{filter}");
    }
}

#[test]
fn mel_filters_that_are_not_constants_are_refused() {
    let matrix = |sizes, upper, lower: &str| {
        let inputs = ["filters", "length", "rate", lower, "upper"];
        let model = mel(sizes, upper).input("hertz", Dtype::F32, &[]);
        refusal(
            &model
                .node("MelWeightMatrix", &inputs, &["y"])
                .output("y", Dtype::F32, &[9, 8])
                .bytes(),
        )
    };
    let changing = matrix([8, 16, 8192], 4096.0, "hertz");
    assert!(changing.contains("lower_edge is not a constant"), "{changing}");
    for (sizes, upper) in [([0, 16, 8192], 4096.0), ([8, 16, 8192], 4097.0)] {
        let wrong = matrix(sizes, upper, "lower");
        assert!(wrong.contains("are no sizes and frequencies"), "{wrong}");
    }
    let large = matrix([8, 1 << 30, 8192], 9.0, "lower");
    assert!(large.contains("more than 16777216 elements"), "{large}");
}

#[test]
fn unknown_dimensions_become_one_or_what_the_caller_says() {
    let mut model = dense().model();
    let graph = model.graph.as_mut().unwrap();
    let value = graph.input[0].r#type.as_mut().unwrap().value.as_mut().unwrap();
    let tract_onnx::pb::type_proto::Value::TensorType(type_proto::Tensor { shape, .. }) = value;
    let batch = Value::DimParam("batch".into());
    shape.as_mut().unwrap().dim[0] = Dimension { value: Some(batch), ..Dimension::default() };
    let bytes = model.encode_to_vec();
    assert_eq!(load(&bytes).unwrap().inputs()[0].shape, [1, 2]);
    let options = LoadOptions { dims: [("batch".into(), 5)].into(), ..LoadOptions::default() };
    let model = Model::load(&bytes, &options).unwrap();
    assert_eq!(model.inputs()[0].shape, [5, 2]);
    assert_eq!(model.outputs()[0].shape, [5, 3]);
}

#[test]
fn wrong_tensors_are_refused_by_the_session() {
    let model = load(&dense().bytes()).unwrap();
    let mut session = model.session();
    let mut y = [Tensor::zeros(Dtype::F32, &[1, 3])];
    let x = |dtype, shape: &[usize]| [Tensor::zeros(dtype, shape)];
    let wrong = |e: Result<(), RunError>| e.unwrap_err().to_string();
    let text = wrong(session.run(&x(Dtype::I8, &[1, 2]), &mut y));
    assert_eq!(text, "input 0: expected f32 elements, found i8");
    let text = wrong(session.run(&x(Dtype::F32, &[2, 1]), &mut y));
    assert_eq!(text, "input 0: expected shape [1, 2], found [2, 1]");
    assert_eq!(wrong(session.run(&[], &mut y)), "expected 1 inputs, found 0");
    let short = Tensor { shape: vec![1, 2], data: Data::F32(vec![0.0]) };
    assert_eq!(wrong(session.run(&[short], &mut y)), "input 0: expected 2 elements, found 1");
    let mut y = [Tensor::zeros(Dtype::F32, &[3])];
    let text = wrong(session.run(&x(Dtype::F32, &[1, 2]), &mut y));
    assert_eq!(text, "output 0: expected shape [1, 3], found [3]");
}

#[test]
fn empty_truncated_and_foreign_files_are_refused() {
    assert_eq!(refusal(&[]), "not an ONNX model: it is an empty file: copy or download it again");
    assert!(refusal(b"{\"json\": true}").starts_with("not an ONNX model: "));
    let mut model = dense().model();
    model.opset_import.truncate(1);
    let bytes = model.encode_to_vec();
    for len in 1..bytes.len() {
        load(&bytes[..len]).unwrap_err();
    }
}

#[test]
fn a_missing_operator_is_named_with_its_node() {
    let bytes = build()
        .input("x", Dtype::F32, &[1, 2])
        .node("Frobnicate", &["x"], &["y"])
        .output("y", Dtype::F32, &[1, 2])
        .bytes();
    let text = "node \"y_node\" needs operator Frobnicate, which is not supported";
    assert!(refusal(&bytes).starts_with(text), "{}", refusal(&bytes));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let text = refusal(
        &build()
            .input("x", Dtype::F32, &[1, 5])
            .constant("w", &[2, 3], Data::F32(vec![0.; 6]))
            .node("MatMul", &["x", "w"], &["y"])
            .output("y", Dtype::F32, &[1, 3])
            .bytes(),
    );
    assert!(text.starts_with("node \"y_node\" (MatMul): the shapes or types"), "{text}");
    let text = refusal(&build_huge());
    assert!(text.contains("more than"), "{text}");
}

fn build_huge() -> Vec<u8> {
    build()
        .input("x", Dtype::F32, &[1 << 20, 1 << 20])
        .node("Relu", &["x"], &["y"])
        .output("y", Dtype::F32, &[1, 3])
        .bytes()
}

#[test]
fn external_data_is_read_from_the_folder_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let weights: Vec<u8> = (1..=6u8).flat_map(|v| f32::from(v).to_le_bytes()).collect();
    std::fs::write(dir.path().join("w.bin"), weights).unwrap();
    let bytes = |location: &str| {
        let mut model = dense().model();
        let tensor = &mut model.graph.as_mut().unwrap().initializer[0];
        let entry = tract_onnx::pb::StringStringEntryProto {
            key: "location".into(),
            value: location.into(),
        };
        *tensor = TensorProto {
            raw_data: vec![],
            data_location: Some(DataLocation::External as i32),
            external_data: vec![entry],
            ..tensor.clone()
        };
        model.encode_to_vec()
    };
    let options = LoadOptions { folder: Some(dir.path().to_owned()), ..LoadOptions::default() };
    Model::load(&bytes("w.bin"), &options).unwrap();
    let text = Model::load(&bytes("../w.bin"), &options).unwrap_err().to_string();
    assert!(text.contains("\"../w.bin\"") && text.contains("inside the model's folder"), "{text}");
    assert!(refusal(&bytes("w.bin")).contains("save the model in one file"));
}
