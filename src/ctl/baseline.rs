//! `inferctl baseline`

use std::path::{Path, PathBuf};

use crate::bundle::Bundle;
use crate::drift::{Baseline, BaselineBuilder, Quantities};
use crate::pipeline::{self, CollectedFeatures, ColumnNames, RecordingOrder, Replay};
use crate::terminal::{
    Exit, Failure, array_error, print, print_json, progress, read_recording_file, table,
    write_atomic,
};

/// The most rows of one file.
const MAX_ROWS: usize = 2_000_000;
/// Fewer windows find large changes only.
const WINDOWS_ADVISED: u64 = 1_000;

/// Make the baseline that drift is found with
///
/// Runs recordings through the model as the daemon would, and writes how the windows and the
/// predictions are distributed. Use data that the model was not trained on, as the sensors send it
/// and in order of time: from the order follows how many windows in a row tell something new.
/// Recordings whose times are absolute are merged by time; others follow one another. A recording
/// is CSV with a header that names the card's channels (and optionally time, recording and device),
/// JSON lines, or golden samples.
///
/// Put the file beside the card, or give it to `inferctl pack --baseline FILE`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl baseline day.csv --bundle models/motion
  inferctl baseline day.csv --bundle models/motion --concurrent
  inferctl baseline day.csv --bundle motion-1.0.0.bundle --out baseline.npz")]
pub(super) struct Args {
    /// Recordings of raw samples, in order of time
    #[arg(required = true, value_name = "RECORDING")]
    recordings: Vec<PathBuf>,
    /// A bundle: a folder with a card.toml, or a .bundle file
    #[arg(long, value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The file to write [default: baseline.npz in the folder of the bundle]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The recordings are of devices that send at the same time, though their times do not say so
    #[arg(long)]
    concurrent: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Made<'a> {
    file: &'a Path,
    bytes: usize,
    recordings: usize,
    windows: u64,
    rejects: usize,
    quantities: Vec<Quantity<'a>>,
    warnings: Vec<String>,
}

#[derive(serde::Serialize)]
struct Quantity<'a> {
    name: &'a str,
    mean: f64,
    sd: f64,
    /// Windows in a block whose mean is independent of the next one's.
    block: u32,
    /// The slowest changes of the baseline are slower than any block.
    wanders: bool,
}

pub(super) fn baseline(args: &Args) -> Result<(), Failure> {
    let out = out(args)?;
    let bundle = Bundle::open(&args.bundle)?;
    let (card, model) = bundle.card_and_model()?;
    let failed = |why: String| Failure::new(Exit::Failed, why);
    let names = pipeline::channels(&card);
    let mut recordings = Vec::new();
    for path in &args.recordings {
        recordings.extend(read_recording_file(path, ColumnNames::Channels(&names), MAX_ROWS)?);
    }
    let replay = Replay::of_card(&card, &model).map_err(failed)?;
    let quantities = replay.quantities().map_err(failed)?;
    let rows: usize = recordings.iter().map(|recording| recording.rows.len()).sum();
    let bar = progress(u64::try_from(rows).unwrap_or(u64::MAX), "rows");
    let order = if args.concurrent { RecordingOrder::Concurrent } else { RecordingOrder::ByTime };
    let collected = replay.features(&recordings, order, || bar.inc(1)).map_err(failed)?;
    bar.finish_and_clear();
    let mut builder = BaselineBuilder::new(quantities.clone());
    collected.windows.iter().for_each(|window| builder.add(window));
    let baseline = builder.build().map_err(|why| failed(with_reject(why, &collected)))?;
    let bytes = baseline.write().map_err(|error| array_error(&out, &error))?;
    write_atomic(&out, &bytes)?;
    let made = Made {
        file: &out,
        bytes: bytes.len(),
        recordings: recordings.len(),
        windows: baseline.windows,
        rejects: collected.rejects,
        quantities: rows_of(&baseline, &quantities),
        warnings: warnings(&baseline, &collected),
    };
    if args.json { print_json(&made) } else { print(&text(&made)) }
}

/// The file to write.
fn out(args: &Args) -> Result<PathBuf, Failure> {
    match &args.out {
        Some(path) => Ok(path.clone()),
        None if args.bundle.is_dir() => Ok(args.bundle.join("baseline.npz")),
        None => Err(Failure::new(
            Exit::Usage,
            "a packed bundle is not changed: set the file to write with --out, and give it to \
             `inferctl pack --baseline FILE`",
        )),
    }
}

fn with_reject(why: String, collected: &CollectedFeatures) -> String {
    match &collected.first_reject {
        Some(first) => format!("{why} ({} rows were rejected, first: {first})", collected.rejects),
        None => why,
    }
}

fn rows_of<'a>(baseline: &'a Baseline, quantities: &Quantities) -> Vec<Quantity<'a>> {
    let resolution = |name: &str| {
        let place = quantities.names().position(|known| known == name);
        place.map_or(0.0, |place| quantities.resolution(place))
    };
    let row = |number: &'a crate::drift::NumberBaseline| {
        let blocks = number.blocks.choose(resolution(&number.name));
        Quantity {
            name: &number.name,
            mean: number.blocks.mean,
            sd: number.blocks.sd.first().copied().unwrap_or_default(),
            block: blocks.length,
            wanders: blocks.wander.iter().any(|side| *side > 0.0),
        }
    };
    baseline.numbers.iter().map(row).collect()
}

fn warnings(baseline: &Baseline, collected: &CollectedFeatures) -> Vec<String> {
    let mut warnings = Vec::new();
    if baseline.windows < WINDOWS_ADVISED {
        warnings.push(format!(
            "{} windows find large changes only; {WINDOWS_ADVISED} are advised",
            baseline.windows
        ));
    }
    if let Some(first) = &collected.first_reject {
        warnings.push(format!("{} rows were rejected, first: {first}", collected.rejects));
    }
    warnings
}

fn text(made: &Made<'_>) -> String {
    let mut rows = vec![["QUANTITY", "MEAN", "SD", "BLOCK"].map(str::to_owned).to_vec()];
    rows.extend(made.quantities.iter().map(|quantity| {
        let block =
            if quantity.wanders { "wanders".to_owned() } else { quantity.block.to_string() };
        let numbers = [quantity.mean, quantity.sd].map(|number| format!("{number:.4}"));
        std::iter::once(quantity.name.to_owned()).chain(numbers).chain([block]).collect()
    }));
    let warnings = made.warnings.iter().map(|warning| format!("warning: {warning}\n"));
    format!(
        "{}{} windows of {} recordings\n{}written to {} ({} bytes)\n",
        table(&rows),
        made.windows,
        made.recordings,
        warnings.collect::<String>(),
        made.file.display(),
        made.bytes
    )
}
