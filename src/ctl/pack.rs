//! `inferctl pack`

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Failure, write};
use crate::bundle::Bundle;
use crate::bundle::runs::{Collected, Runs};
use crate::cli::{Exit, print, print_json, read_arrays, unfit};
use crate::clock::Timestamp;
use crate::npz;
use crate::tensor::Tensor;
use crate::update::manifest::Requires;
use crate::update::{Manifest, Packed, Release};

/// Pack a model into one file, ready to be signed
///
/// The model is loaded and must reproduce its golden vectors. Where the bundle has none,
/// --golden-inputs runs the model on arrays of your choice and packs what it says, so that every
/// gateway proves it computes the same. With --delta-from, gateways that run the older version
/// fetch only what differs, where that is under 70 % of the file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl pack models/motion --counter 1 --out motion-1.0.0.bundle
  inferctl pack models/motion --counter 2 --delta-from motion-1.0.0.bundle --out motion-1.1.0.bundle
  inferctl pack models/new --counter 1 --golden-inputs windows.npz --out new.bundle")]
pub(super) struct Args {
    /// A bundle: a folder with a card.toml, or a .bundle file
    bundle: PathBuf,
    /// The release's number, higher than that of every release before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    counter: u64,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// An older version that gateways have
    #[arg(long, value_name = "FILE")]
    delta_from: Vec<PathBuf>,
    /// Inputs to make golden vectors of, named as for `inferd infer`
    #[arg(long, value_name = "FILE")]
    golden_inputs: Option<PathBuf>,
    /// How far an output may be from its golden vector
    #[arg(long, value_name = "X", default_value_t = 0.01, requires = "golden_inputs")]
    tolerance: f64,
    /// The oldest inferd that may run it
    #[arg(long, value_name = "VERSION")]
    requires_inferd: Option<String>,
    /// A processor it was made for: aarch64, arm, x86_64; may be given several times [default: any]
    #[arg(long, value_name = "ARCH")]
    requires_arch: Vec<String>,
    /// Memory a gateway must have
    #[arg(long, value_name = "MB", default_value_t = 0)]
    requires_ram_mb: u64,
    /// When it is released [default: now]; the same time gives the same bytes
    #[arg(long, value_name = "TIME", value_parser = time)]
    created: Option<Timestamp>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Timestamp, String> {
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
}

#[derive(serde::Serialize)]
struct Delta {
    path: String,
    bytes: u64,
    of: u64,
}

pub(super) fn pack(args: &Args) -> Result<(), Failure> {
    let bundle = with_golden(Bundle::open(&args.bundle)?, args)?;
    let bases = args.delta_from.iter().map(|path| Bundle::open(path));
    let bases = bases.collect::<Result<Vec<_>, _>>()?;
    let release = Release {
        counter: args.counter,
        created: args.created.unwrap_or_else(|| SystemTime::now().into()),
        requires: Requires {
            inferd: args.requires_inferd.clone(),
            arch: args.requires_arch.clone(),
            ram_mb: args.requires_ram_mb,
            disk_mb: 0,
        },
    };
    let packed = Packed::new(&bundle, release, &bases.iter().collect::<Vec<_>>())?;
    let bytes = packed.write()?;
    // As a gateway will load it: nothing outside the file can be missing.
    Bundle::read(&bytes)?.load()?;
    write(&args.out, &bytes)?;
    let made = made(&packed.envelope().unverified()?, &args.out);
    if args.json {
        return print_json(&made);
    }
    let mut text = format!(
        "{} {} (counter {}): {} bytes in {} chunks, not signed yet\n",
        made.name, made.version, made.counter, made.bytes, made.chunks
    );
    for delta in &made.deltas {
        text += &format!("delta of {}: {} of {} bytes\n", delta.path, delta.bytes, delta.of);
    }
    if made.deltas.is_empty() && !bases.is_empty() {
        text += "no delta pays\n";
    }
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
    }
}

/// The bundle with golden vectors made of the given inputs, where it had none.
fn with_golden(bundle: Bundle, args: &Args) -> Result<Bundle, Failure> {
    let Some(path) = &args.golden_inputs else { return Ok(bundle) };
    if bundle.card().golden.is_some() {
        let message = "the bundle has golden vectors: leave --golden-inputs out";
        return Err(Failure::new(Exit::Failed, message));
    }
    let arrays = read_arrays(path)?;
    let model = bundle.model()?;
    let runs = Runs::new(&arrays, model.inputs(), "input").map_err(|error| unfit(path, &error))?;
    let mut outputs: Vec<Tensor> =
        model.outputs().iter().map(|spec| Tensor::zeros(spec.dtype, &spec.shape)).collect();
    let mut collected = Collected::new(model.outputs());
    let mut session = model.session();
    for run in 0..runs.count() {
        let failed = |error| Failure::new(Exit::Failed, format!("run {run} failed: {error}"));
        session.run(&runs.run(run), &mut outputs).map_err(failed)?;
        collected.push(&outputs);
    }
    let inputs = model.inputs().iter().filter_map(|spec| arrays.get_key_value(&spec.name));
    let inputs = inputs.map(|(name, tensor)| (name.as_str(), tensor));
    let golden = npz::write(inputs.chain(collected.iter())).map_err(|error| unfit(path, &error))?;
    Ok(bundle.with_golden(golden, args.tolerance)?)
}
