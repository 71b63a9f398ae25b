//! `inferd infer`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{contained, replay};
use crate::bundle::batched_arrays::{BatchedArrays, BatchedOutputs};
use crate::bundle::open_model;
use crate::engine::{FloatNode, Model, NodeCounts};
use crate::npz::{self, Arrays};
use crate::tensor::Tensor;
use crate::terminal::{
    Exit, Failure, array_error, print, print_json, progress, read_arrays, table, write_atomic,
};

/// Run a model on arrays or on a recording of samples
///
/// With --samples, replays a recording of raw samples through the pipeline of the bundle's card
/// without a broker: decode, window, normalize, model, interpret. The file is CSV with a header that
/// names the card's channels, JSON lines (one sample each), or golden samples. The columns `time`,
/// `recording`, `device` and `label` are also read: each recording and device has its own windows,
/// and labels are compared with the predictions. With --config and --stream, JSON lines are payloads
/// of that stream, and columns are named after its fields. The stream's publish rules do not apply.
///
/// With --inputs, runs the model alone. The inputs file has one array for each model input, with an
/// additional leading axis of runs. The outputs file gets one array for each model output with the
/// same leading axis. Both are .npz files, as written by numpy.savez.
///
/// With --explain, lists the nodes of the model that run in float instead of integers, with the
/// reason.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd infer models/motion --samples models/recordings/basic-motions-test.csv
  inferd infer models/motion --samples day.jsonl --config inferd.toml --stream motion --json
  inferd infer models/motion --samples day.csv --golden golden_samples.json
  inferd infer models/motion --inputs in.npz --outputs out.npz
  inferd infer model.onnx --inputs in.npz --outputs out.npz
  inferd infer model.onnx --explain
  inferd infer model.onnx --explain --json | jq '.float[].reason'")]
pub(super) struct Args {
    /// An .onnx or .tflite file, or a bundle (a folder or a .bundle file)
    model: PathBuf,
    /// The .npz file with the inputs
    #[arg(long, value_name = "FILE", requires = "outputs")]
    #[arg(required_unless_present_any = ["explain", "samples"])]
    inputs: Option<PathBuf>,
    /// The .npz file to write
    #[arg(long, value_name = "FILE", requires = "inputs")]
    outputs: Option<PathBuf>,
    /// List the nodes that run in float, with the reason
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    replay: replay::ReplayArgs,
    /// With --samples, print predictions as JSON lines; with --explain, one JSON object
    #[arg(long, conflicts_with = "inputs")]
    json: bool,
}

/// The output of --explain.
#[derive(serde::Serialize)]
struct Explained<'a> {
    nodes: NodeCounts,
    /// Those that run in float.
    float: &'a [FloatNode],
}

pub(super) fn infer(args: &Args) -> Result<(), Failure> {
    if let Some(samples) = &args.replay.samples {
        return replay::replay(&args.model, samples, &args.replay, args.json);
    }
    let model = open_model(&args.model)?;
    contained::loaded();
    if args.json {
        return print_json(&Explained { nodes: model.nodes(), float: model.explain() });
    }
    if args.explain {
        print(&explained(&model))?;
    }
    let (Some(inputs), Some(path)) = (&args.inputs, &args.outputs) else { return Ok(()) };
    let arrays = read_arrays(inputs)?;
    let (runs, outputs) = run_all(&model, &arrays, inputs)?;
    let bytes = npz::write(outputs.iter()).map_err(|error| {
        Failure::new(Exit::Internal, format!("cannot encode the outputs: {error}"))
    })?;
    write_atomic(path, &bytes)?;
    print(&format!("{runs} runs written to {}\n", path.display()))
}

/// The number of nodes that run in integers, and the others with the reason.
fn explained(model: &Model) -> String {
    let counts = model.nodes();
    let summary = format!("{} nodes in integers, {} in float\n", counts.integer, counts.float);
    if model.explain().is_empty() {
        return summary;
    }
    let mut rows = vec![["NODE", "OPERATOR", "FLOAT REGION", "WHY"].map(str::to_owned).to_vec()];
    rows.extend(model.explain().iter().map(|float| {
        let region = float.region.map_or_else(|| "-".to_owned(), |region| region.to_string());
        vec![float.node.clone(), float.operator.clone(), region, float.reason.clone()]
    }));
    format!("{summary}\n{}", table(&rows))
}

fn run_all(
    model: &Arc<Model>,
    arrays: &Arrays,
    path: &Path,
) -> Result<(usize, BatchedOutputs), Failure> {
    let runs = BatchedArrays::new(arrays, model.inputs(), "input")
        .map_err(|error| array_error(path, &error))?;
    // Outputs may be there: golden vectors are a file of both.
    let known =
        |name: &String| model.inputs().iter().chain(model.outputs()).any(|s| s.name == *name);
    if let Some(name) = arrays.keys().find(|name| !known(name)) {
        let message = format!("{}: the model has no input {name:?}", path.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    let mut session = model.session();
    let mut outputs: Vec<Tensor> =
        model.outputs().iter().map(|spec| Tensor::zeros(spec.dtype, &spec.shape)).collect();
    let mut collected = BatchedOutputs::new(model.outputs());
    let bar = progress(runs.count().try_into().unwrap_or(u64::MAX), "running");
    for run in 0..runs.count() {
        session
            .run(&runs.run(run), &mut outputs)
            .map_err(|error| Failure::new(Exit::Failed, format!("run {run} failed: {error}")))?;
        collected.push(&outputs);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((runs.count(), collected))
}
