//! Float models on inferd beside stock tract, the runtime that inferd runs them on:
//! `cargo run --release --example float_time -- MODEL.onnx…` prints the median time of a run of each,
//! taken in turns on one thread, and their ratio. Without a model: three convolutions, each by itself, the same in
//! every build, so that builds can be held against each other. `INFERD_RUNS=100` takes that many runs of inferd's and no
//! time, to count instructions (`scripts/count-instructions`), of integer models, too.

use anyhow::Context;
use inferd::engine::{LoadOptions, Model};
use inferd::tensor::{Data, Dtype, Tensor};
use prost::Message;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tract_onnx::pb;
use tract_onnx::prelude::*;

const ROUNDS: usize = 15;
const TURN: Duration = Duration::from_millis(200);

fn main() -> anyhow::Result<()> {
    let convolutions = [
        ("3x3, 16 to 32", convolution([32, 16, 3, 3], 1, [32, 32])),
        ("1x1, 64 to 64", convolution([64, 64, 1, 1], 1, [25, 5])),
        ("by depth, 3x3, 64", convolution([64, 1, 3, 3], 64, [25, 5])),
    ];
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for path in wanted.iter().filter(|path| path.ends_with(".onnx")) {
        compare(path.rsplit('/').next().unwrap_or_default(), &std::fs::read(path)?)?;
    }
    for (name, model) in &convolutions {
        if wanted.is_empty() || wanted.iter().any(|wanted| name.starts_with(wanted)) {
            compare(name, model)?;
        }
    }
    Ok(())
}

fn compare(name: &str, onnx: &[u8]) -> anyhow::Result<()> {
    let model = Arc::new(Model::load(onnx, &LoadOptions::default())?);
    let [input] = model.inputs() else { anyhow::bail!("a model of one input is wanted") };
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<f32> = (0..input.len()).map(|_| random.f32() * 4.0 - 2.0).collect();

    let inputs = [match input.dtype {
        Dtype::F32 => Tensor { shape: input.shape.clone(), data: Data::F32(noise.clone()) },
        other => Tensor::zeros(other, &input.shape),
    }];
    let mut outputs: Vec<Tensor> =
        model.outputs().iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect();
    let mut session = model.session();
    if let Ok(runs) = std::env::var("INFERD_RUNS") {
        return (0..runs.parse::<u32>()?).try_for_each(|_| Ok(session.run(&inputs, &mut outputs)?));
    }

    let stock = tract_onnx::onnx().model_for_read(&mut &*onnx)?;
    let fact = InferenceFact::dt_shape(f32::datum_type(), &input.shape);
    let stock = stock.with_input_fact(0, fact)?.into_optimized()?.into_runnable()?;
    let mut state = stock.spawn()?;
    let value = tract_onnx::prelude::Tensor::from_shape(&input.shape, &noise)?.into_tvalue();

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(turn(|| Ok(session.run(&inputs, &mut outputs)?))?);
        theirs.push(turn(|| state.run(tvec!(value.clone())).map(drop))?);
    }
    let (ours, theirs) = (median(&mut ours)?, median(&mut theirs)?);
    let ratio = ours / theirs;
    println!("{name:24} inferd {ours:8.2} us  tract {theirs:8.2} us  ratio {ratio:.3}");
    Ok(())
}

/// A model of one convolution with its activation: `weights` as `[out, in of a group, height, width]`, on an
/// image of `size`, its edges padded.
fn convolution(weights: [i64; 4], group: i64, size: [i64; 2]) -> Vec<u8> {
    let [out, of_group, height, width] = weights;
    let mut random = fastrand::Rng::with_seed(2);
    let kernel = (0..weights.iter().product()).flat_map(|_| (random.f32() - 0.5).to_le_bytes());
    let kernel = pb::TensorProto {
        dims: weights.to_vec(),
        data_type: pb::tensor_proto::DataType::Float as i32,
        name: "w".into(),
        raw_data: kernel.collect(),
        ..pb::TensorProto::default()
    };
    let ints = |name: &str, ints: Vec<i64>| pb::AttributeProto {
        name: name.into(),
        r#type: pb::attribute_proto::AttributeType::Ints as i32,
        ints,
        ..pb::AttributeProto::default()
    };
    let group_of = pb::AttributeProto {
        name: "group".into(),
        r#type: pb::attribute_proto::AttributeType::Int as i32,
        i: group,
        ..pb::AttributeProto::default()
    };
    let edge = [height / 2, width / 2, height / 2, width / 2];
    let node = |op: &str, input: &[&str], output: &str| pb::NodeProto {
        op_type: op.into(),
        name: op.into(),
        input: input.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        ..pb::NodeProto::default()
    };
    let conv = pb::NodeProto {
        attribute: vec![ints("pads", edge.to_vec()), group_of],
        ..node("Conv", &["x", "w"], "c")
    };
    let [rows, columns] = size;
    let graph = pb::GraphProto {
        name: "convolution".into(),
        node: vec![conv, node("Relu", &["c"], "y")],
        initializer: vec![kernel],
        input: vec![declared("x", [1, of_group * group, rows, columns])],
        output: vec![declared("y", [1, out, rows, columns])],
        ..pb::GraphProto::default()
    };
    let opset = pb::OperatorSetIdProto { domain: String::new(), version: 13 };
    let model = pb::ModelProto {
        ir_version: 8,
        opset_import: vec![opset],
        graph: Some(graph),
        ..pb::ModelProto::default()
    };
    model.encode_to_vec()
}

fn declared(name: &str, shape: [i64; 4]) -> pb::ValueInfoProto {
    let dim = shape.map(|size| pb::tensor_shape_proto::Dimension {
        value: Some(pb::tensor_shape_proto::dimension::Value::DimValue(size)),
        ..pb::tensor_shape_proto::Dimension::default()
    });
    let tensor = pb::type_proto::Tensor {
        elem_type: pb::tensor_proto::DataType::Float as i32,
        shape: Some(pb::TensorShapeProto { dim: dim.to_vec() }),
    };
    let value = Some(pb::type_proto::Value::TensorType(tensor));
    pb::ValueInfoProto {
        name: name.into(),
        r#type: Some(pb::TypeProto { value, ..pb::TypeProto::default() }),
        ..pb::ValueInfoProto::default()
    }
}

/// The median time of the runs that fit a turn, in microseconds.
fn turn(mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < TURN {
        let began = Instant::now();
        run()?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    median(&mut times)
}

fn median(times: &mut [f64]) -> anyhow::Result<f64> {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().context("no time was taken")
}
