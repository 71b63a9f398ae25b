//! `inferd infer --samples`: a recording through the pipeline of a bundle's card, without a broker.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::contained;
use crate::bundle::Bundle;
use crate::bundle::card::{Card, OutputKind};
use crate::clock::SystemClock;
use crate::config::{Config, Environment, Stream};
use crate::pipeline::{self, ColumnNames, Recording, Replay, ReplayEvent};
use crate::terminal::{
    Exit, Failure, GoldenMade, GoldenTerms, print, read_recording_file, table, write_atomic,
};

/// The most rows of a replayed file.
const MAX_REPLAY_ROWS: usize = 2_000_000;
/// The most labels of a confusion matrix that fits a terminal.
const MAX_MATRIX_LABELS: usize = 12;
/// Rows printed at once: a long recording is shown while it runs.
const PRINTED_ROWS: usize = 1000;

/// The options of a replay.
#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// A recording of raw samples: CSV with a header, JSON lines, or golden samples
    #[arg(long, value_name = "FILE", conflicts_with_all = ["inputs", "outputs", "explain"])]
    pub(super) samples: Option<PathBuf>,
    /// With --samples, write the recording with its predictions as golden samples
    #[arg(long, value_name = "FILE", requires = "samples", conflicts_with_all = ["json", "stream"])]
    golden: Option<PathBuf>,
    #[command(flatten)]
    terms: GoldenTerms,
    /// With --samples, the configuration file that defines the stream
    #[arg(long, short, value_name = "FILE", requires = "stream")]
    config: Option<PathBuf>,
    /// With --samples, the stream whose payloads the file contains
    #[arg(long, value_name = "NAME", requires = "samples")]
    stream: Option<String>,
}

pub(super) fn replay(
    model: &Path,
    path: &Path,
    args: &ReplayArgs,
    json: bool,
) -> Result<(), Failure> {
    let bare = |extension: &std::ffi::OsStr| extension == "onnx" || extension == "tflite";
    if model.extension().is_some_and(bare) && model.is_file() {
        let message = format!(
            "{}: a model file does not define channels and windows; give a bundle (a folder with a \
             card.toml)",
            model.display()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let bundle = Bundle::open(model)?;
    match &args.golden {
        Some(golden) => make_golden(&bundle, path, golden, &args.terms),
        None => predict(&bundle, path, args, json),
    }
}

fn make_golden(
    bundle: &Bundle,
    path: &Path,
    golden: &Path,
    terms: &GoldenTerms,
) -> Result<(), Failure> {
    bundle.model()?;
    contained::loaded();
    let made = GoldenMade::of(bundle, path, terms)?;
    made.warn();
    write_atomic(golden, &made.file)?;
    let mut text = format!("{}written to {}\n", made.summary(), golden.display());
    let name = golden.file_name().unwrap_or_default().to_string_lossy();
    let named = bundle.card().golden.as_ref().and_then(|golden| golden.samples.as_deref());
    if named != Some(&*name) {
        let lines = crate::bundle::samples_lines(&name, made.tolerance);
        text +=
            &format!("put it beside the card and add these lines to the card:\n[golden]\n{lines}");
    }
    print(&text)
}

fn predict(bundle: &Bundle, path: &Path, args: &ReplayArgs, json: bool) -> Result<(), Failure> {
    let (card, model) = bundle.card_and_model()?;
    contained::loaded();
    let card = &card;
    let failed = |why: String| Failure::new(Exit::Failed, why);
    let (mut replay, recordings) = match &args.stream {
        None => {
            let names = pipeline::channels(card);
            let recordings =
                read_recording_file(path, ColumnNames::Channels(&names), MAX_REPLAY_ROWS)?;
            (Replay::of_card(card, &model).map_err(failed)?, recordings)
        }
        Some(name) => {
            let (config, stream) = stream(args.config.as_deref(), name, card)?;
            let recordings = payloads(path, &stream, card)?;
            let gateway = &config.gateway.id;
            let replay = Replay::of_stream(card, &model, &stream, gateway).map_err(failed)?;
            (replay, recordings)
        }
    };
    replay.start = SystemTime::now().into();
    let mut tally = Tally::default();
    let mut shown = Shown::new(json);
    let clock = SystemClock::start();
    for recording in &recordings {
        let mut printed = Ok(());
        let title = recording.title();
        replay
            .run(recording, Some(&clock), |row, replayed| {
                match replayed {
                    ReplayEvent::Prediction(bytes) => {
                        let said = serde_json::from_slice(bytes).unwrap_or_default();
                        tally.add(recording.label(replay.rows_of(row)), &said);
                        printed = shown.add(&title, row, bytes, &said);
                    }
                    ReplayEvent::Reject(reject) => {
                        let first = || format!("recording {title}, row {row}: {reject}");
                        tally.first_reject.get_or_insert_with(first);
                        tally.rejects += 1;
                    }
                }
                if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .map_err(failed)?;
        printed?;
    }
    shown.flush()?;
    tally.report(card, path, &recordings, json)
}

/// The stream of that name.
fn stream(path: Option<&Path>, name: &str, card: &Card) -> Result<(Config, Stream), Failure> {
    let environment = Environment::of_process();
    let config = Config::load(&environment.config_file(path), &environment)?;
    let found = config.streams.iter().find(|stream| stream.name.as_str() == name).cloned();
    let Some(stream) = found else {
        let names: Vec<&str> = config.streams.iter().map(|stream| stream.name.as_str()).collect();
        let message = format!("the configuration has no stream {name:?}; it has {names:?}");
        return Err(Failure::new(Exit::Usage, message));
    };
    if stream.model != card.name {
        let message = format!(
            "stream {name} is for the model {}, and this bundle is {}",
            stream.model, card.name
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok((config, stream))
}

/// Payloads of a stream: JSON lines as they are, or columns named after its fields.
fn payloads(path: &Path, stream: &Stream, card: &Card) -> Result<Vec<Recording>, Failure> {
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    if !is_csv {
        return read_recording_file(path, ColumnNames::Payloads, MAX_REPLAY_ROWS);
    }
    let mut names = stream.payload.fields.clone();
    if names.is_empty() {
        names = pipeline::channels(card);
    }
    names.extend(stream.payload.time.clone());
    read_recording_file(path, ColumnNames::Channels(&names), MAX_REPLAY_ROWS)
}

/// Predictions on their way to the terminal.
struct Shown {
    json: bool,
    rows: Vec<Vec<String>>,
    lines: String,
    has_header: bool,
}

impl Shown {
    fn new(json: bool) -> Self {
        Self { json, rows: Vec::new(), lines: String::new(), has_header: false }
    }

    fn add(&mut self, title: &str, row: usize, bytes: &[u8], said: &Value) -> Result<(), Failure> {
        if self.json {
            self.lines += &String::from_utf8_lossy(bytes);
            self.lines.push('\n');
        } else {
            self.rows.push(vec![title.to_owned(), row.to_string(), in_words(said)]);
        }
        let full = self.rows.len() >= PRINTED_ROWS || self.lines.len() >= PRINTED_ROWS * 100;
        if full { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if !self.json && !self.rows.is_empty() && !std::mem::replace(&mut self.has_header, true) {
            self.rows.insert(0, ["RECORDING", "ROW", "PREDICTION"].map(str::to_owned).to_vec());
        }
        let text = std::mem::take(&mut self.lines) + &table(&std::mem::take(&mut self.rows));
        if text.is_empty() { Ok(()) } else { print(&text) }
    }
}

/// A prediction in words.
fn in_words(said: &Value) -> String {
    let number = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |n| format!("{n}"));
    let pairs = |members: &Value| {
        let members = members.as_object().into_iter().flatten();
        members
            .map(|(name, value)| format!("{name}={}", number(value)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    match said["kind"].as_str().unwrap_or_default() {
        "classification" => {
            let label = said["label"].as_str().unwrap_or("- (below the threshold)");
            match &said["score"] {
                Value::Null => label.to_owned(),
                score => format!("{label} {}", number(score)),
            }
        }
        "multi-label" => {
            let labels: Vec<&str> =
                said["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(",") };
            format!("{labels}  ({})", pairs(&said["scores"]))
        }
        "regression" => pairs(&said["values"]),
        "anomaly" => {
            let word = if said["anomaly"] == true { "anomaly" } else { "normal" };
            format!("{word} {}", number(&said["score"]))
        }
        _ => said.pointer("/tensor/data").unwrap_or(&Value::Null).to_string(),
    }
}

/// Counts of predictions and rejects.
#[derive(Default)]
struct Tally {
    predictions: usize,
    rejects: usize,
    first_reject: Option<String>,
    /// By label of the rows, then by predicted label.
    matrix: BTreeMap<String, BTreeMap<String, usize>>,
}

/// The column of the matrix for predictions without a label.
const NO_LABEL: &str = "(none)";

impl Tally {
    fn add(&mut self, label: Option<&str>, said: &Value) {
        self.predictions += 1;
        let Some(label) = label else { return };
        let said = match (&said["label"], &said["anomaly"]) {
            (Value::String(said), _) => said.clone(),
            (_, Value::Bool(anomaly)) => anomaly.to_string(),
            _ => NO_LABEL.to_owned(),
        };
        *self.matrix.entry(label.to_owned()).or_default().entry(said).or_default() += 1;
    }

    fn report(
        &self,
        card: &Arc<Card>,
        path: &Path,
        recordings: &[Recording],
        json: bool,
    ) -> Result<(), Failure> {
        let rows = recordings.iter().map(|recording| recording.rows.len()).sum();
        if let Some(first) = &self.first_reject {
            log::warn!("{} rows were rejected, first: {first}", self.rejects);
        }
        if self.predictions == 0 {
            let why = match &self.first_reject {
                Some(first) => format!("no predictions: {first}"),
                None => pipeline::no_prediction(card, rows),
            };
            return Err(Failure::new(Exit::Failed, format!("{}: {why}", path.display())));
        }
        let (predictions, count) = (self.predictions, recordings.len());
        let mut text = format!("{predictions} predictions of {count} recordings, {rows} rows\n");
        if recordings.iter().any(|recording| !recording.labels.is_empty()) {
            text += &self.accuracy(card);
        }
        if json {
            // Standard output is for the predictions.
            eprint!("{text}");
            return Ok(());
        }
        print(&format!("\n{text}"))
    }

    /// The accuracy and the confusion matrix.
    fn accuracy(&self, card: &Card) -> String {
        if !matches!(
            card.output.kind,
            OutputKind::Classification { .. } | OutputKind::Anomaly { .. }
        ) {
            return "the labels are not compared: the model does not predict a single label\n"
                .to_owned();
        }
        let all: usize = self.matrix.values().flat_map(BTreeMap::values).sum();
        let right = |(label, said): (&String, &BTreeMap<String, usize>)| {
            said.get(label).copied().unwrap_or_default()
        };
        let right: usize = self.matrix.iter().map(right).sum();
        if all == 0 {
            return "no window has the same label in all its rows\n".to_owned();
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let share = 100.0 * right as f64 / all as f64;
        let mut text =
            format!("accuracy: {right} of {all} predictions match their label ({share:.1} %)\n");
        let mixed = self.predictions.saturating_sub(all);
        if mixed > 0 {
            text += &format!(
                "{mixed} predictions are not counted: their rows have no label or several\n"
            );
        }
        text + &self.confusion()
    }

    fn confusion(&self) -> String {
        let mut labels: Vec<&String> =
            self.matrix.iter().flat_map(|(label, said)| said.keys().chain([label])).collect();
        labels.sort_unstable();
        labels.dedup();
        if labels.len() > MAX_MATRIX_LABELS {
            return self.mistakes();
        }
        let head = std::iter::once("LABEL \\ PREDICTED".to_owned());
        let mut rows = vec![head.chain(labels.iter().map(|label| (*label).clone())).collect()];
        for (label, said) in &self.matrix {
            let count = |other: &&String| said.get(*other).copied().unwrap_or_default().to_string();
            rows.push(std::iter::once(label.clone()).chain(labels.iter().map(count)).collect());
        }
        table(&rows)
    }

    /// The most frequent mistakes, if a matrix would be too wide.
    fn mistakes(&self) -> String {
        let mut mistakes: Vec<(usize, &String, &String)> = Vec::new();
        for (label, said) in &self.matrix {
            let wrong = said.iter().filter(|(other, _)| *other != label);
            mistakes.extend(wrong.map(|(other, count)| (*count, label, other)));
        }
        mistakes.sort_unstable_by(|a, b| b.cmp(a));
        let mut rows = vec![["COUNT", "LABEL", "PREDICTED"].map(str::to_owned).to_vec()];
        let row = |(count, label, other): &(usize, &String, &String)| {
            vec![count.to_string(), (*label).clone(), (*other).clone()]
        };
        rows.extend(mistakes.iter().take(MAX_MATRIX_LABELS).map(row));
        if mistakes.is_empty() { String::new() } else { table(&rows) }
    }
}
