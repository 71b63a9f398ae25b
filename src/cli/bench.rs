//! `inferd bench`

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use indicatif::ProgressBar;
use serde::Serialize;

use super::contained;
use crate::bundle::batched_arrays::BatchedArrays;
use crate::bundle::open_model;
use crate::engine::{Model, NodeCounts, RunError};
use crate::procfs::peak_rss_bytes;
use crate::tensor::{Data, Dtype, Tensor, TensorSpec};
use crate::terminal::{
    Exit, Failure, array_error, print, print_json, progress, read_arrays, table,
};

/// Measure the speed of a model on this machine
///
/// Runs the model repeatedly and prints the median, the 99th percentile and the minimum of the time
/// of one run. Warm-up runs are not counted. Without --inputs the input is random with a fixed seed:
/// floats from -1 to 1, integers of 8 and 16 bits over their whole range, wider ones 0 or 1. Several
/// threads share one model and divide the runs among them; each has its own buffers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd bench models/motion
  inferd bench model.onnx --iterations 10000 --json
  inferd bench model.onnx --inputs in.npz --threads 4")]
pub(super) struct Args {
    /// An .onnx or .tflite file, or a bundle (a folder or a .bundle file)
    model: PathBuf,
    /// Number of measured runs, over all threads
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    iterations: u32,
    /// Number of threads that run the model concurrently
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
    /// An .npz file with inputs, as for `inferd infer`; its runs are used in turn
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    threads: u32,
    iterations: u32,
    median_us: f64,
    p99_us: f64,
    min_us: f64,
    load_ms: f64,
    peak_rss_bytes: u64,
    nodes: NodeCounts,
}

pub(super) fn bench(args: &Args) -> Result<(), Failure> {
    let start = Instant::now();
    let model = open_model(&args.model)?;
    contained::loaded();
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let inputs = inputs(args, &model)?;
    let mut taken = measure(args, &model, &inputs)
        .map_err(|error| Failure::new(Exit::Failed, format!("the model cannot be run: {error}")))?;
    taken.sort_unstable();
    // Nanoseconds at the rank of a quantile (nearest rank), as microseconds.
    let at = |quantile: usize| {
        let rank = (taken.len() * quantile).div_ceil(100).max(1) - 1;
        f64::from(taken.get(rank).copied().unwrap_or(0)) / 1e3
    };
    let report = Report {
        model: args.model.display().to_string(),
        threads: args.threads,
        iterations: args.iterations,
        median_us: at(50),
        p99_us: at(99),
        min_us: at(0),
        load_ms,
        peak_rss_bytes: peak_rss_bytes().unwrap_or(0),
        nodes: model.nodes(),
    };
    if args.json { print_json(&report) } else { print(&render(&report)) }
}

/// The inputs of one run after the other; at least one.
fn inputs(args: &Args, model: &Model) -> Result<Vec<Vec<Tensor>>, Failure> {
    let Some(path) = &args.inputs else {
        let mut random = fastrand::Rng::with_seed(1);
        return Ok(vec![model.inputs().iter().map(|spec| noise(spec, &mut random)).collect()]);
    };
    let arrays = read_arrays(path)?;
    let runs = BatchedArrays::new(&arrays, model.inputs(), "input")
        .map_err(|error| array_error(path, &error))?;
    if runs.count() == 0 {
        let message = format!("{} contains no run", path.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok((0..runs.count()).map(|run| runs.run(run)).collect())
}

pub(super) fn noise(spec: &TensorSpec, random: &mut fastrand::Rng) -> Tensor {
    let n = spec.len();
    macro_rules! draw {
        ($variant:ident, $one:expr) => {
            Data::$variant(std::iter::repeat_with(|| $one).take(n).collect())
        };
    }
    let data = match spec.dtype {
        Dtype::F32 => draw!(F32, random.f32().mul_add(2.0, -1.0)),
        Dtype::F64 => draw!(F64, random.f64().mul_add(2.0, -1.0)),
        Dtype::I8 => draw!(I8, random.i8(..)),
        Dtype::U8 => draw!(U8, random.u8(..)),
        Dtype::I16 => draw!(I16, random.i16(..)),
        Dtype::U16 => draw!(U16, random.u16(..)),
        // Mostly places in a table, which has at least two entries.
        Dtype::I32 => draw!(I32, random.i32(0..2)),
        Dtype::I64 => draw!(I64, random.i64(0..2)),
        Dtype::Bool => draw!(Bool, random.bool()),
    };
    Tensor { shape: spec.shape.clone(), data }
}

/// The nanoseconds of every counted run.
fn measure(args: &Args, model: &Arc<Model>, inputs: &[Vec<Tensor>]) -> Result<Vec<u32>, RunError> {
    let bar = progress(args.iterations.into(), "measuring");
    let bar = &bar;
    let taken = thread::scope(|scope| {
        let share = |thread: u32| {
            args.iterations / args.threads + u32::from(thread < args.iterations % args.threads)
        };
        let start = |thread| scope.spawn(move || one_thread(model, inputs, share(thread), bar));
        let threads: Vec<_> = (0..args.threads).map(start).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    bar.finish_and_clear();
    Ok(taken.concat())
}

fn one_thread(
    model: &Arc<Model>,
    inputs: &[Vec<Tensor>],
    iterations: u32,
    bar: &ProgressBar,
) -> Result<Vec<u32>, RunError> {
    let mut session = model.session();
    let mut outputs: Vec<Tensor> =
        model.outputs().iter().map(|spec| Tensor::zeros(spec.dtype, &spec.shape)).collect();
    let warm_up = (iterations / 10).clamp(3, 100);
    let mut taken = Vec::with_capacity(iterations.try_into().unwrap_or(0));
    for (run, inputs) in (0..warm_up + iterations).zip(inputs.iter().cycle()) {
        let start = Instant::now();
        session.run(inputs, &mut outputs)?;
        let elapsed = start.elapsed();
        if run >= warm_up {
            taken.push(u32::try_from(elapsed.as_nanos()).unwrap_or(u32::MAX));
            bar.inc(1);
        }
    }
    Ok(taken)
}

fn render(report: &Report) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let mib = report.peak_rss_bytes as f64 / f64::from(1 << 20);
    let nodes = report.nodes;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let threads = if report.threads == 1 { "thread" } else { "threads" };
    table(&[
        row("model", report.model.clone()),
        row("runs", format!("{} on {} {threads}", report.iterations, report.threads)),
        row("median", format!("{:.1} us", report.median_us)),
        row("99 %", format!("{:.1} us", report.p99_us)),
        row("minimum", format!("{:.1} us", report.min_us)),
        row("load", format!("{:.1} ms", report.load_ms)),
        row("memory", format!("{mib:.1} MiB at peak")),
        row("nodes", format!("{} in integers, {} in float", nodes.integer, nodes.float)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_at_every_start() {
        let spec =
            TensorSpec { name: "x".into(), dtype: Dtype::I8, shape: vec![2, 50], quant: None };
        let draw = || noise(&spec, &mut fastrand::Rng::with_seed(1));
        assert_eq!(draw(), draw());
        let Data::I8(values) = draw().data else { panic!("i8") };
        assert!(values.iter().any(|&v| v > 64) && values.iter().any(|&v| v < -64));
    }
}
