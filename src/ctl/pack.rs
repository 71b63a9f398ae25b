//! `inferctl pack`

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::broker::BrokerArgs;
use super::counter::Counter;
use crate::bundle::Bundle;
use crate::bundle::batched_arrays::{BatchedArrays, BatchedOutputs};
use crate::clock::Timestamp;
use crate::tensor::Tensor;
use crate::terminal::{
    Exit, Failure, GoldenMade, GoldenTerms, array_error, print, print_json, read_arrays,
    write_atomic,
};
use crate::update::manifest::Requires;
use crate::update::{Manifest, PackError, PackedRelease, ReleaseInfo};
use crate::{npz, pipeline};

/// Pack a model into one file that can be signed
///
/// The model is loaded and must reproduce its golden vectors. If the bundle has none,
/// --golden-inputs runs the model on your arrays and packs the outputs, so that every gateway
/// verifies that it computes the same. --golden-samples does so with a recording of raw samples,
/// which also verifies the preprocessing: CSV with a header that names the card's channels (and
/// optionally time, recording, device and label), JSON lines, or golden samples. With --delta-from,
/// gateways that run the older version download only the difference, if it is under 70 % of the
/// file.
///
/// A packed bundle can be packed again as a new release of the same files, for example to roll back
/// to an older version. Its signatures and deltas are dropped; its requirements are kept unless
/// --requires-* options replace them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl pack models/motion --counter 1 --out motion-1.0.0.bundle
  inferctl pack models/motion --counter 2 --delta-from motion-1.0.0.bundle --out motion-1.1.0.bundle
  inferctl pack models/motion --counter next --broker mqtt://broker.example --out motion-1.1.0.bundle
  inferctl pack motion-1.0.0.bundle --counter 3 --out motion-1.0.0-counter-3.bundle
  inferctl pack models/new --counter 1 --golden-inputs windows.npz --out new.bundle
  inferctl pack models/new --counter 1 --golden-samples day.csv --out new.bundle
  inferctl pack models/new --counter 1 --baseline baseline.npz --out new.bundle")]
pub(super) struct Args {
    /// A bundle: a folder with a card.toml, or a .bundle file
    bundle: PathBuf,
    /// Counter of the release, higher than that of every earlier release; `next` reads it from the broker
    #[arg(long, value_name = "N|next")]
    counter: Counter,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// An older version that gateways have
    #[arg(long, value_name = "FILE")]
    delta_from: Vec<PathBuf>,
    /// Inputs for golden vectors, named as for `inferd infer`
    #[arg(long, value_name = "FILE")]
    golden_inputs: Option<PathBuf>,
    /// Largest allowed difference from a golden vector
    #[arg(long, value_name = "X", default_value_t = 0.01, requires = "golden_inputs")]
    tolerance: f64,
    /// A recording of raw samples for golden samples
    #[arg(long, value_name = "FILE")]
    golden_samples: Option<PathBuf>,
    #[command(flatten)]
    terms: GoldenTerms,
    /// A baseline for the detection of drift, as `inferctl baseline` makes it; replaces that of the bundle
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Oldest version of inferd that can run it
    #[arg(long, value_name = "VERSION")]
    requires_inferd: Option<String>,
    /// Required processor: aarch64, arm, x86_64; may be given several times [default: any]
    #[arg(long, value_name = "ARCH")]
    requires_arch: Vec<String>,
    /// Memory that a gateway must have [default: any]
    #[arg(long, value_name = "MB")]
    requires_ram_mb: Option<u64>,
    /// Release time [default: now]; the same time gives the same bytes
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created: Option<Timestamp>,
    /// For `--counter next`
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "not an RFC 3339 time".to_owned())
}

#[derive(serde::Serialize)]
struct Made {
    file: PathBuf,
    name: String,
    version: String,
    counter: u64,
    bytes: u64,
    chunks: usize,
    deltas: Vec<Delta>,
    /// The counter of the release that was packed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    former_counter: Option<u64>,
    warnings: Vec<String>,
}

#[derive(serde::Serialize)]
struct Delta {
    path: String,
    bytes: u64,
    of: u64,
}

pub(super) fn pack(args: &Args) -> Result<(), Failure> {
    let bundle = Bundle::open(&args.bundle)?;
    let embedded = bundle.embedded_bytes();
    let former = former(&bundle, &args.bundle)?;
    let (bundle, golden) = with_samples(with_golden(bundle, args)?, args)?;
    let bundle = with_baseline(bundle, args)?;
    let bases = args.delta_from.iter().map(|path| Bundle::open(path));
    let bases = bases.collect::<Result<Vec<_>, _>>()?;
    let release = ReleaseInfo {
        counter: args.counter.number(&args.broker, &bundle.card().name)?,
        created: args.created.unwrap_or_else(|| SystemTime::now().into()),
        requires: requires(args, former.as_ref()),
    };
    let packed = PackedRelease::new(&bundle, release, &bases.iter().collect::<Vec<_>>())?;
    let bytes = packed.write()?;
    // As a gateway will load it: nothing outside the file can be missing.
    let loaded = pipeline::load(&Bundle::read(&bytes)?)?;
    write_atomic(&args.out, &bytes)?;
    let former_counter = former.map(|former| former.counter);
    let warnings = loaded.warnings;
    let made =
        Made { former_counter, warnings, ..made(&packed.envelope().unverified()?, &args.out) };
    if args.json {
        return print_json(&made);
    }
    let mut text = format!(
        "{} {} (counter {}): {} bytes in {} chunks, not signed yet\n",
        made.name, made.version, made.counter, made.bytes, made.chunks
    );
    if embedded > 0 {
        text += &format!("{embedded} bytes of external data were put into the model file\n");
    }
    if let Some(counter) = made.former_counter {
        text += &format!("the signatures of the release with counter {counter} were dropped\n");
    }
    for delta in &made.deltas {
        text += &format!("delta of {}: {} of {} bytes\n", delta.path, delta.bytes, delta.of);
    }
    for warning in &made.warnings {
        text += &format!("warning: {warning}\n");
    }
    if made.deltas.is_empty() && !bases.is_empty() {
        text += "no delta is small enough to be worthwhile\n";
    }
    text += &golden.map_or_else(String::new, |golden| golden.summary());
    print(&format!("{text}written to {}\n", args.out.display()))
}

fn made(manifest: &Manifest, path: &Path) -> Made {
    let of = |path: &str| {
        let file = manifest.files.iter().find(|file| file.path == path);
        file.map_or(0, |file| file.blob.len)
    };
    let delta = |delta: &crate::update::manifest::DeltaEntry| Delta {
        path: delta.path.clone(),
        bytes: delta.blob.len,
        of: of(&delta.path),
    };
    Made {
        file: path.to_owned(),
        name: manifest.name.to_string(),
        version: manifest.version.clone(),
        counter: manifest.counter,
        bytes: manifest.size(),
        chunks: manifest.files.iter().map(|file| file.blob.chunks.len()).sum(),
        deltas: manifest.deltas.iter().map(delta).collect(),
        former_counter: None,
        warnings: Vec::new(),
    }
}

/// The manifest that the bundle was packed with before.
fn former(bundle: &Bundle, path: &Path) -> Result<Option<Manifest>, Failure> {
    let named =
        |error: PackError| Failure::new(Exit::Failed, format!("{}: {error}", path.display()));
    let former = PackedRelease::former(bundle).map_err(named)?;
    former.map(|former| former.envelope().unverified().map_err(Failure::from)).transpose()
}

/// The requirements from the options, else those of the former release.
fn requires(args: &Args, former: Option<&Manifest>) -> Requires {
    let former = former.map(|former| former.requires.clone()).unwrap_or_default();
    let arch = if args.requires_arch.is_empty() { former.arch } else { args.requires_arch.clone() };
    Requires {
        inferd: args.requires_inferd.clone().or(former.inferd),
        arch,
        ram_mb: args.requires_ram_mb.unwrap_or(former.ram_mb),
        disk_mb: former.disk_mb,
    }
}

/// The bundle with golden vectors made of the given inputs, if it had none.
fn with_golden(bundle: Bundle, args: &Args) -> Result<Bundle, Failure> {
    let Some(path) = &args.golden_inputs else { return Ok(bundle) };
    if bundle.has_golden() {
        let message = "the bundle already has golden vectors; omit --golden-inputs";
        return Err(Failure::new(Exit::Failed, message));
    }
    let arrays = read_arrays(path)?;
    let model = bundle.model()?;
    let runs = BatchedArrays::new(&arrays, model.inputs(), "input")
        .map_err(|error| array_error(path, &error))?;
    let mut outputs: Vec<Tensor> =
        model.outputs().iter().map(|spec| Tensor::zeros(spec.dtype, &spec.shape)).collect();
    let mut collected = BatchedOutputs::new(model.outputs());
    let mut session = model.session();
    for run in 0..runs.count() {
        let failed = |error| Failure::new(Exit::Failed, format!("run {run} failed: {error}"));
        session.run(&runs.run(run), &mut outputs).map_err(failed)?;
        collected.push(&outputs);
    }
    let inputs = model.inputs().iter().filter_map(|spec| arrays.get_key_value(&spec.name));
    let inputs = inputs.map(|(name, tensor)| (name.as_str(), tensor));
    let golden =
        npz::write(inputs.chain(collected.iter())).map_err(|error| array_error(path, &error))?;
    Ok(bundle.with_golden(golden, args.tolerance)?)
}

/// The bundle with golden samples made of the given recordings, where it had none.
fn with_samples(bundle: Bundle, args: &Args) -> Result<(Bundle, Option<GoldenMade>), Failure> {
    let Some(path) = &args.golden_samples else { return Ok((bundle, None)) };
    if bundle.has_samples() {
        let message = "the bundle already has golden samples; omit --golden-samples, or remove \
                       `samples` from the card's [golden] to make new ones";
        return Err(Failure::new(Exit::Failed, message));
    }
    let made = GoldenMade::of(&bundle, path, &args.terms)?;
    made.warn();
    Ok((bundle.with_samples(made.file.clone(), made.tolerance)?, Some(made)))
}

/// The bundle with the given baseline, which must be of this model.
fn with_baseline(bundle: Bundle, args: &Args) -> Result<Bundle, Failure> {
    let Some(path) = &args.baseline else { return Ok(bundle) };
    let bytes = std::fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
    let bundle = bundle.with_baseline(bytes)?;
    let failed = |why: String| Failure::new(Exit::Failed, format!("{}: {why}", path.display()));
    let (card, model) = bundle.card_and_model()?;
    let quantities = pipeline::Replay::of_card(&card, &model)
        .and_then(|replay| replay.quantities())
        .map_err(failed)?;
    let baseline = bundle.baseline()?.unwrap_or_default();
    baseline.check(&quantities).map_err(failed)?;
    Ok(bundle)
}
