//! Recordings read from files, and golden samples made of them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::failure::{Exit, Failure};
use super::files::array_error;
use crate::bundle::Bundle;
use crate::bundle::card::{Card, OutputKind};
use crate::engine::Model;
use crate::pipeline::{self, ColumnNames, MAX_GOLDEN_ROWS, Recording, read_recordings};

/// The largest file of recordings, in bytes.
const MAX_RECORDING_BYTES: u64 = 256 << 20;
/// Golden samples that take longer than this delay every start noticeably.
const SLOW_GOLDEN_SAMPLES: Duration = Duration::from_secs(1);
/// The default tolerance as a share of the largest expected number: more than processors differ by,
/// and less than a mistake in a card usually changes.
const DEFAULT_RELATIVE_TOLERANCE: f64 = 1e-3;

/// The options for making golden samples.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GoldenTerms {
    /// Largest allowed difference from a golden sample [default: a thousandth of the largest value]
    #[arg(long, value_name = "X")]
    samples_tolerance: Option<f64>,
    /// Smallest share of windows that must get their label, if the recording has labels
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    min_accuracy: f64,
}

/// Golden samples that were made.
#[derive(Debug)]
pub(crate) struct GoldenMade {
    pub(crate) file: Vec<u8>,
    pub(crate) tolerance: f64,
    recordings: usize,
    predictions: usize,
    took: Duration,
    /// Mistakes in the card that the samples would not detect.
    unproved: Vec<String>,
}

impl GoldenMade {
    /// Runs the model on the recordings of a file and records its predictions. Expectations and
    /// labels that the file has must come out.
    pub(crate) fn of(bundle: &Bundle, path: &Path, terms: &GoldenTerms) -> Result<Self, Failure> {
        let (card, model) = bundle.card_and_model()?;
        let card = &card;
        let names = pipeline::channels(card);
        let mut recordings =
            read_recording_file(path, ColumnNames::Channels(&names), MAX_GOLDEN_ROWS)?;
        let failed = |why: String| Failure::new(Exit::Failed, format!("{}: {why}", path.display()));
        let start = Instant::now();
        let tolerance = terms.tolerance(card);
        let known = tolerance.unwrap_or_else(|| largest(&recordings) * DEFAULT_RELATIVE_TOLERANCE);
        pipeline::record(card, &model, &mut recordings, known).map_err(failed)?;
        let took = start.elapsed();
        terms.check_labels(card, &recordings).map_err(failed)?;
        let tolerance =
            tolerance.unwrap_or_else(|| rounded(largest(&recordings) * DEFAULT_RELATIVE_TOLERANCE));
        // They say what was really going on, which is not what is compared.
        recordings.iter_mut().for_each(|recording| recording.labels.clear());
        let unproved = pipeline::undetected_changes(card, &model, &recordings, tolerance);
        let predictions = recordings.iter().map(|recording| recording.expected.len()).sum();
        let file = pipeline::golden_file(&recordings);
        let made =
            Self { file, tolerance, recordings: recordings.len(), predictions, took, unproved };
        made.holds(bundle, &model)?;
        Ok(made)
    }

    /// The file as it will be read at a load: an error here is better than one at a gateway.
    fn holds(&self, bundle: &Bundle, model: &Arc<Model>) -> Result<(), Failure> {
        let with = bundle.with_samples(self.file.clone(), self.tolerance)?;
        Ok(pipeline::verify_samples(&with, model)?)
    }

    /// Tells on standard error what a mistake in the card would not change, and a proof that is slow.
    pub(crate) fn warn(&self) {
        for change in &self.unproved {
            eprintln!(
                "warning: the golden samples would not detect every mistake: {change}; add \
                 recordings in which they differ"
            );
        }
        if self.took > SLOW_GOLDEN_SAMPLES {
            let seconds = self.took.as_secs_f64();
            eprintln!(
                "warning: the golden samples take {seconds:.1} s at every load; choose fewer \
                 recordings"
            );
        }
    }

    /// A line for people.
    pub(crate) fn summary(&self) -> String {
        let Self { recordings, predictions, tolerance, .. } = self;
        format!(
            "golden samples: {predictions} predictions of {recordings} recordings, tolerance \
             {tolerance}\n"
        )
    }
}

impl GoldenTerms {
    /// The tolerance from the option, else from the card.
    fn tolerance(&self, card: &Card) -> Option<f64> {
        let of_card = card.golden.as_ref().filter(|golden| golden.samples.is_some());
        self.samples_tolerance.or(of_card.map(|golden| golden.samples_tolerance))
    }

    fn check_labels(&self, card: &Card, recordings: &[Recording]) -> Result<(), String> {
        if !matches!(card.output.kind, OutputKind::Classification { .. }) {
            return Ok(());
        }
        let (right, all, first) = pipeline::agreement(card, recordings);
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let enough = right as f64 >= self.min_accuracy * all as f64;
        match first {
            Some(first) if !enough => Err(format!(
                "{right} of {all} windows get the label of their rows, and --min-accuracy requires \
                 a share of {}: {first}; correct the card (are its labels in the model's order?), \
                 remove such rows, or lower --min-accuracy",
                self.min_accuracy
            )),
            _ => Ok(()),
        }
    }
}

/// Reads a file of recordings.
pub(crate) fn read_recording_file(
    path: &Path,
    names: ColumnNames<'_>,
    rows_max: usize,
) -> Result<Vec<Recording>, Failure> {
    let unread = |error: std::io::Error| Failure::io("read", path, &error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unread)?;
    file.take(MAX_RECORDING_BYTES + 1).read_to_end(&mut bytes).map_err(unread)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_RECORDING_BYTES {
        let message =
            format!("{}: larger than the limit of {MAX_RECORDING_BYTES} bytes", path.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    read_recordings(&bytes, names, rows_max).map_err(|error| array_error(path, &error))
}

/// The largest expected number.
fn largest(recordings: &[Recording]) -> f64 {
    fn of(value: &Value) -> f64 {
        match value {
            Value::Number(number) => number.as_f64().unwrap_or_default().abs(),
            Value::Array(list) => list.iter().map(of).fold(0.0, f64::max),
            Value::Object(members) => members.values().map(of).fold(0.0, f64::max),
            Value::Null | Value::Bool(_) | Value::String(_) => 0.0,
        }
    }
    let expected = recordings.iter().flat_map(|recording| &recording.expected);
    expected.flat_map(|expected| expected.says.values()).map(of).fold(0.0, f64::max)
}

/// With two digits, so that the card stays readable.
fn rounded(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}
