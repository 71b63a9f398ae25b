//! What is said of models that do not run: the node and operator of the model and what to do,
//! nothing of the float runtime's insides, and nothing that a terminal obeys.

use super::load;
use super::model::build;
use crate::engine::identify;
use crate::tensor::{Data, Dtype};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Words that only the float runtime, the decoder of protocol buffers or Rust has.
const INSIDES: &[&str] = &[
    "EinSum",
    "declutter",
    "num_traits",
    "Typed",
    "InferenceConcat",
    "Translat",
    "Failed analyse",
    "Building node",
    "Infering",
    "GivenRule",
    "Applying rule",
    "unify",
    "DatumType",
    "Val(",
    "Sym",
    "TDim",
    "::",
    "Protobuf",
    "wire type",
    "ModelProto",
    "Illegal combination",
    "panicked",
];

fn expect_plain(path: &Path) -> bool {
    let Err(error) = load(&std::fs::read(path).unwrap()) else { return false };
    let text = error.to_string();
    // A name is the model's own; the node cases have names of functions in them.
    let outside: String = text.split('"').step_by(2).collect();
    let inside = INSIDES.iter().find(|word| outside.contains(**word));
    assert_eq!(inside, None, "{}: {text}", path.display());
    assert!(!text.chars().any(char::is_control), "{}: {text:?}", path.display());
    true
}

fn models_below(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|e| e.unwrap().path()) {
        if path.is_dir() {
            models_below(&path, into);
        } else if path.extension().is_some_and(|e| e == "onnx") {
            into.push(path);
        }
    }
}

#[test]
fn refusals_speak_of_the_model() {
    let mut models = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    models_below(&root.join("tests/corpus"), &mut models);
    let shipped = models.len();
    models_below(&root.join("../shared/cases"), &mut models);
    if models.len() == shipped {
        eprintln!("SKIPPED: the models of reported cases are absent at ../shared/cases");
    }
    // These take all the memory there is.
    models.retain(|path| !path.to_string_lossy().contains("/oom"));
    let refused = models.iter().filter(|path| expect_plain(path)).count();
    assert!(refused >= 10, "{refused} of {} are refused", models.len());
}

/// The models with which ONNX tests its operators.
#[test]
fn refusals_of_the_node_cases_speak_of_the_model() {
    let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into());
    let find = "import onnx, os; print(os.path.dirname(onnx.__file__))";
    let found = Command::new(python).args(["-c", find]).output();
    let folder = found.ok().filter(|o| o.status.success()).and_then(|o| {
        let package = String::from_utf8(o.stdout).ok()?;
        let folder = Path::new(package.trim()).join("backend/test/data/node");
        folder.is_dir().then_some(folder)
    });
    let Some(folder) = folder else {
        eprintln!("SKIPPED: INFERD_TEST_PYTHON names no Python with the package onnx");
        return;
    };
    let mut models = Vec::new();
    models_below(&folder, &mut models);
    let refused = models.iter().filter(|path| expect_plain(path)).count();
    assert!(refused > 100, "{refused} of {} are refused", models.len());
}

#[test]
fn other_files_and_cut_ones_are_said_to_be_that() {
    let refusal = |bytes: &[u8]| load(bytes).unwrap_err().to_string();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    assert!(refusal(pointer).contains("git lfs pull"));
    assert!(refusal(b"\x1c\0\0\0TFL3\0\0").contains("TensorFlow Lite"));
    let noise: Vec<u8> = (0..200u8).map(|i| i.wrapping_mul(91) ^ 0xc5).collect();
    assert_eq!(identify(&noise), None);
    assert!(refusal(&noise).contains("damaged or of an unknown format"));
    let model = build()
        .input("x", Dtype::F32, &[1])
        .constant("c", &[64], Data::F32(vec![1.0; 64]))
        .node("Add", &["x", "c"], &["y"])
        .output("y", Dtype::F32, &[64])
        .bytes();
    for length in [3, 40, model.len() / 2, model.len() - 1] {
        let refusal = refusal(&model[..length]);
        assert!(refusal.contains("cut off"), "cut to {length}: {refusal}");
    }
}

#[test]
fn names_with_control_characters_are_escaped() {
    let mut model = build()
        .input("x", Dtype::F32, &[1])
        .node("Custom\u{1b}[31m", &["x"], &["y"])
        .output("y", Dtype::F32, &[1]);
    model.graph.node[0].name = "red\u{1b}[31m\r\n".into();
    let refusal = load(&model.bytes()).unwrap_err().to_string();
    assert!(!refusal.chars().any(char::is_control), "{refusal:?}");
    assert!(refusal.contains("\\u{1b}"), "{refusal}");
}

/// A name of the standard in another domain is another operator.
#[test]
fn an_operator_of_another_domain_is_not_taken_for_the_standards() {
    for op in ["com.microsoft.nchwc.Conv", "com.example.Relu", "com.microsoft.Conv"] {
        let model = build()
            .input("x", Dtype::F32, &[1, 1, 4])
            .constant("w", &[1, 1, 1], Data::F32(vec![1.0]))
            .node(op, &["x", "w"], &["y"])
            .output("y", Dtype::F32, &[1, 1, 4]);
        let refusal = load(&model.bytes()).unwrap_err().to_string();
        assert!(refusal.contains("which is not supported"), "{refusal}");
    }
}

#[test]
fn refusals_name_the_export_that_avoids_them() {
    let refusal = |op: &str| {
        let model = build().input("x", Dtype::F32, &[1]).node(op, &["x"], &["y"]).output(
            "y",
            Dtype::F32,
            &[1],
        );
        load(&model.bytes()).unwrap_err().to_string()
    };
    for (op, advice) in [
        ("Loop", "unroll=True"),
        ("Attention", "opset below 23"),
        ("SoftmaxCrossEntropyLoss", "model.eval()"),
        ("SequenceConstruct", "tensors only"),
        ("ai.onnx.ml.DictVectorizer", "give the model its numbers"),
        ("com.microsoft.EmbedLayerNormalization", "ORT_ENABLE_BASIC"),
        ("com.microsoft.nchwc.Conv", "ORT_ENABLE_BASIC"),
        ("com.example.Own", "custom operator"),
        ("NoSuchOperator", "another operator"),
    ] {
        let refusal = refusal(op);
        assert!(refusal.contains(advice), "{op}: {refusal}");
    }
}

/// As `onnxconverter_common.float16` writes it with `keep_io_types=True`: only the middle is in
/// half precision.
#[test]
fn half_precision_between_float32_is_widened() {
    use tract_onnx::pb::{TensorProto, tensor_proto::DataType};
    let half = |name: &str, dims: &[i64]| TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float16 as i32,
        // 1.0, little end first.
        raw_data: [0, 0x3c].repeat(usize::try_from(dims.iter().product::<i64>()).unwrap()),
        ..TensorProto::default()
    };
    let mut model = build()
        .input("x", Dtype::F32, &[1, 4])
        .node("Cast", &["x"], &["x_half"])
        .int("to", 10)
        .node("Gemm", &["x_half", "w", "b"], &["y_half"])
        .node("Cast", &["y_half"], &["y"])
        .int("to", 1)
        .output("y", Dtype::F32, &[1, 2]);
    model.graph.initializer.extend([half("w", &[4, 2]), half("b", &[2])]);
    let y = super::run(&model.bytes(), &[Data::F32(vec![1.0, 2.0, 3.0, 4.0])]);
    assert_eq!(y[0].data, Data::F32(vec![11.0, 11.0]));
}
