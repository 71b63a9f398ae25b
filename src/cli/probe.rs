//! `inferd probe`: the child's side of [`crate::daemon::probe`].

use std::fs;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, nice, setrlimit};

use super::bench::noise;
use crate::bundle::{Bundle, BundleError, MAX_BUNDLE_SIZE};
use crate::daemon::probe::{Answer, ProbeResult, is_for_want_of_memory};
use crate::engine::{Model, RunError};
use crate::pipeline::verify_samples;
use crate::procfs::peak_rss_bytes;
use crate::tensor::Tensor;
use crate::terminal::{Exit, Failure, print_json};
use crate::update::machine::Reason;

/// Load and measure the bundle on standard input, within limits (run by the daemon)
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Memory limit in bytes
    #[arg(long)]
    memory: u64,
    /// CPU time limit in seconds
    #[arg(long)]
    seconds: u64,
    /// Number of measured runs
    #[arg(long)]
    runs: u32,
}

/// Added to the daemon's nice value; at most 19.
const NICE_INCREMENT: i32 = 15;

type Refusal = (Reason, String);

pub(super) fn probe(args: &Args) -> Result<(), Failure> {
    confine(args).map_err(|error| {
        Failure::new(Exit::Internal, format!("the probe cannot limit itself: {error}"))
    })?;
    match measure(args) {
        Ok(measured) => print_json(&Answer::Measured(measured)),
        Err((reason, why)) => {
            print_json(&Answer::Refused { reason, why })?;
            Err(Failure::already_reported(Exit::Failed))
        }
    }
}

/// Sets hard limits, which cannot be raised again. Called before anything else.
fn confine(args: &Args) -> io::Result<()> {
    let hard = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Data, hard(args.memory))?;
    // If the daemon has died, this limit is what ends a model that does not return.
    setrlimit(Resource::Cpu, hard(args.seconds))?;
    // A core dump would only fill the disk.
    setrlimit(Resource::Core, hard(0))?;
    nice(NICE_INCREMENT)?;
    // The kernel kills this process before the daemon if memory is short.
    if let Err(error) = fs::write("/proc/self/oom_score_adj", "1000") {
        log::debug!("the kernel may prefer to kill another: {error}");
    }
    Ok(())
}

fn measure(args: &Args) -> Result<ProbeResult, Refusal> {
    let bundle = Bundle::read(&read()?).map_err(refusal)?;
    let start = Instant::now();
    let model = bundle.model().map_err(refusal)?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let golden = bundle.prove(&model).map_err(refusal)?;
    verify_samples(&bundle, &model).map_err(refusal)?;
    let mut inputs = bundle.golden_inputs(&model).map_err(refusal)?;
    if inputs.is_empty() {
        let mut random = fastrand::Rng::with_seed(1);
        inputs = vec![model.inputs().iter().map(|spec| noise(spec, &mut random)).collect()];
    }
    let budget = Duration::from_secs(args.seconds) / 4;
    let median_us = median_us(&model, &inputs, args.runs, budget)
        .map_err(|error| refused_with(Reason::ErrorRate, format!("a run failed: {error}")))?;
    let peak_rss_bytes = peak_rss_bytes().unwrap_or(0);
    Ok(ProbeResult { load_ms, golden, median_us, peak_rss_bytes, nodes: model.nodes() })
}

fn read() -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    match io::stdin().lock().take(MAX_BUNDLE_SIZE.saturating_add(1)).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
            Err((Reason::Memory, "the bundle exceeds the memory limit".to_owned()))
        }
        Err(error) => Err((Reason::Crash, format!("cannot read standard input: {error}"))),
    }
}

fn refusal(error: BundleError) -> Refusal {
    let reason = match error {
        BundleError::Golden { .. } | BundleError::Samples { .. } => Reason::Golden,
        BundleError::Read { .. }
        | BundleError::TooLarge { .. }
        | BundleError::NoSuchModel { .. }
        | BundleError::OtherModel { .. }
        | BundleError::Archive(_)
        | BundleError::File { .. }
        | BundleError::Card(_)
        | BundleError::Model { .. }
        | BundleError::Mismatch { .. }
        | BundleError::Several(_) => Reason::Load,
    };
    refused_with(reason, error.to_string())
}

/// A refusal with its reason corrected: failed allocations that do not abort the process are reported
/// as errors of various kinds.
fn refused_with(reason: Reason, why: String) -> Refusal {
    let reason = if is_for_want_of_memory(&why) { Reason::Memory } else { reason };
    (reason, why.chars().take(2000).collect())
}

/// The median time of at most `runs` runs within `budget`; at least one run.
fn median_us(
    model: &Arc<Model>,
    inputs: &[Vec<Tensor>],
    runs: u32,
    budget: Duration,
) -> Result<f64, RunError> {
    let mut session = model.session();
    let mut outputs: Vec<Tensor> =
        model.outputs().iter().map(|spec| Tensor::zeros(spec.dtype, &spec.shape)).collect();
    let (start, mut taken) = (Instant::now(), Vec::new());
    let warm_up = (runs / 10).clamp(1, 20);
    for (run, inputs) in (0..warm_up.saturating_add(runs.max(1))).zip(inputs.iter().cycle()) {
        let before = Instant::now();
        session.run(inputs, &mut outputs)?;
        taken.push(before.elapsed());
        if start.elapsed() > budget {
            break;
        }
        if run + 1 == warm_up {
            taken.clear();
        }
    }
    taken.sort_unstable();
    let median = taken.get(taken.len() / 2).copied().unwrap_or_default();
    Ok(median.as_secs_f64() * 1e6)
}
