//! Golden samples: recordings of raw samples with the expected predictions. A card that does not fit
//! its model gives other predictions and is refused.
//!
//! They verify the preprocessing. Golden vectors start at the input of the model, so they do not detect
//! a missing `normalize`, a wrong `layout` or channels in another order.

mod compare;
mod diagnosis;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::{Map, Value, json};

pub use diagnosis::undetected_changes;

use super::recording::{ColumnNames, Expected, Recording, read_recordings};
use super::replay::{Replay, ReplayEvent, channels, fields};
use crate::bundle::card::Card;
use crate::bundle::{Bundle, BundleError, GoldenSamples, VerifiedModel};
use crate::engine::Model;

/// The most rows in a file of golden samples.
pub const MAX_GOLDEN_ROWS: usize = 100_000;
/// The most predictions in a file of golden samples; each is computed at every start.
const MAX_GOLDEN_PREDICTIONS: usize = 1_000;
/// The fields of a prediction that a recording may expect.
const FIELDS: [&str; 8] =
    ["label", "score", "scores", "labels", "values", "units", "anomaly", "tensor"];

/// Loads the model of a bundle and verifies it with its golden vectors and golden samples. Every model
/// that predicts was loaded by this function.
///
/// # Errors
/// As [`Bundle::model`]; golden vectors or samples are missing or differ.
pub fn load(bundle: &Bundle) -> Result<VerifiedModel, BundleError> {
    bundle.load(prove)
}

/// Verifies a loaded model with the golden samples of the bundle, if it has any.
///
/// # Errors
/// As [`load`].
pub(crate) fn verify_samples(bundle: &Bundle, model: &Arc<Model>) -> Result<(), BundleError> {
    bundle.verify_samples(model, prove)
}

fn prove(card: &Arc<Card>, model: &Arc<Model>, samples: GoldenSamples<'_>) -> Result<(), String> {
    let names = channels(card);
    let recordings = read_recordings(samples.bytes, ColumnNames::Channels(&names), MAX_GOLDEN_ROWS)
        .map_err(|error| error.to_string())?;
    check_expectations(&recordings)?;
    let tolerance = samples.tolerance;
    check(card, model, &recordings, tolerance).map_err(|mismatch| {
        let likely = diagnosis::likely(card, model, &recordings, tolerance, &mismatch);
        format!("{mismatch}; {likely}")
    })
}

/// Checks that every recording has expectations, in known fields.
fn check_expectations(recordings: &[Recording]) -> Result<(), String> {
    let expected: usize = recordings.iter().map(|recording| recording.expected.len()).sum();
    if expected > MAX_GOLDEN_PREDICTIONS {
        return Err(format!(
            "{expected} expected predictions; at most {MAX_GOLDEN_PREDICTIONS} are run"
        ));
    }
    for recording in recordings {
        let title = recording.title();
        if recording.expected.is_empty() {
            return Err(format!(
                "recording {title} expects no prediction, so it proves nothing: write the file \
                 with `inferd infer MODEL --samples FILE --golden FILE`"
            ));
        }
        for Expected { row, says } in &recording.expected {
            let unknown = says.keys().find(|field| !FIELDS.contains(&field.as_str()));
            let problem = match unknown {
                Some(field) => format!("{field:?} is not one of {FIELDS:?}"),
                None if says.is_empty() => format!("it says nothing; name one of {FIELDS:?}"),
                None => continue,
            };
            return Err(format!("recording {title}, expected at row {row}: {problem}"));
        }
    }
    Ok(())
}

/// The first difference.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("recording {recording}, {what}")]
struct Mismatch {
    recording: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum What {
    /// The card does not fit the model, or the file cannot be run at all.
    #[error("{0}")]
    Unfit(String),
    #[error("row {row} is rejected: {problem}")]
    Reject { row: usize, problem: String },
    #[error("row {row}: a prediction came, the {next}")]
    Early { row: usize, next: Next },
    #[error("no prediction came at row {row}, where one is expected")]
    Missing { row: usize },
    #[error("row {row}, {field}: expected {expected}, got {got}{}", over(*.tolerance))]
    Differs { row: usize, field: String, expected: Value, got: Value, tolerance: Option<f64> },
}

#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
enum Next {
    #[error("next is expected at row {0}")]
    At(usize),
    #[error("last was expected before")]
    None,
}

fn over(tolerance: Option<f64>) -> String {
    tolerance.map_or_else(String::new, |tolerance| format!(" (tolerance {tolerance})"))
}

/// Runs recordings and compares each prediction with the expected one.
fn check(
    card: &Arc<Card>,
    model: &Arc<Model>,
    recordings: &[Recording],
    tolerance: f64,
) -> Result<(), Mismatch> {
    for recording in recordings {
        check_one(card, model, recording, tolerance)
            .map_err(|what| Mismatch { recording: recording.title(), what })?;
    }
    Ok(())
}

fn check_one(
    card: &Arc<Card>,
    model: &Arc<Model>,
    recording: &Recording,
    tolerance: f64,
) -> Result<(), What> {
    let replay = Replay::of_card(card, model).map_err(What::Unfit)?;
    let mut expected = recording.expected.iter();
    let mut found = Ok(());
    replay
        .run(recording, None, |row, replayed| {
            found = match replayed {
                ReplayEvent::Reject(reject) => {
                    Err(What::Reject { row, problem: reject.to_string() })
                }
                ReplayEvent::Prediction(bytes) => {
                    at_row(card, row, bytes, expected.as_slice().first(), tolerance)
                }
            };
            if matches!(replayed, ReplayEvent::Prediction(_)) {
                expected.next();
            }
            if found.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .map_err(What::Unfit)?;
    found?;
    match expected.next() {
        Some(missing) => Err(What::Missing { row: missing.row }),
        None => Ok(()),
    }
}

fn at_row(
    card: &Card,
    row: usize,
    prediction: &[u8],
    expected: Option<&Expected>,
    tolerance: f64,
) -> Result<(), What> {
    let Some(expected) = expected else { return Err(What::Early { row, next: Next::None }) };
    if expected.row < row {
        return Err(What::Missing { row: expected.row });
    }
    if expected.row > row {
        return Err(What::Early { row, next: Next::At(expected.row) });
    }
    let got = fields(prediction).unwrap_or_default();
    compare::prediction(card, &expected.says, &got, tolerance).map_err(|differs| What::Differs {
        row,
        field: differs.field,
        expected: differs.expected,
        got: differs.got,
        tolerance: differs.numeric.then_some(tolerance),
    })
}

/// Runs recordings and records the predictions as their expectations. Existing expectations must be
/// met.
///
/// # Errors
/// A row is rejected, a recording has no prediction, there are too many of them, or an expectation is
/// not met.
pub fn record(
    card: &Arc<Card>,
    model: &Arc<Model>,
    recordings: &mut [Recording],
    tolerance: f64,
) -> Result<(), String> {
    let replay = Replay::of_card(card, model)?;
    let mut predictions = 0_usize;
    for recording in recordings {
        let title = recording.title();
        let (mut noted, mut rejected) = (Vec::new(), None);
        replay.run(recording, None, |row, replayed| match replayed {
            ReplayEvent::Reject(reject) => {
                rejected = Some(format!("recording {title}, row {row} is rejected: {reject}"));
                ControlFlow::Break(())
            }
            ReplayEvent::Prediction(bytes) => {
                let said = fields(bytes).unwrap_or_default();
                let says = said.into_iter().filter(|(name, _)| FIELDS.contains(&name.as_str()));
                noted.push(Expected { row, says: says.collect() });
                ControlFlow::Continue(())
            }
        })?;
        if let Some(rejected) = rejected {
            return Err(rejected);
        }
        if noted.is_empty() {
            let rows = recording.rows.len();
            return Err(format!("recording {title}: {}", no_prediction(card, rows)));
        }
        predictions = predictions.saturating_add(noted.len());
        if predictions > MAX_GOLDEN_PREDICTIONS {
            return Err(format!(
                "more than {MAX_GOLDEN_PREDICTIONS} predictions: every start of the daemon runs \
                 them all; choose fewer or shorter recordings"
            ));
        }
        if !recording.expected.is_empty() {
            let given = std::slice::from_ref(recording);
            check(card, model, given, tolerance).map_err(|mismatch| {
                format!(
                    "{mismatch}; {}",
                    diagnosis::likely(card, model, given, tolerance, &mismatch)
                )
            })?;
        }
        recording.expected = noted;
    }
    Ok(())
}

/// Why accepted rows gave no prediction.
#[must_use]
pub fn no_prediction(card: &Card, rows: usize) -> String {
    let length = card.window.as_ref().map_or(1, |window| window.length);
    format!(
        "{rows} rows give no prediction; a window takes {length}, and none of the gaps between \
         them may be longer than the card's max_gap"
    )
}

/// Compares the expected predictions of a classification with the labels of their rows: how many agree,
/// of how many with a label, and the first that does not.
#[must_use]
pub fn agreement(card: &Card, recordings: &[Recording]) -> (usize, usize, Option<String>) {
    let rows = card.window.as_ref().map_or(1, |window| window.length);
    let (mut right, mut all, mut first) = (0, 0, None);
    for recording in recordings {
        for Expected { row, says } in &recording.expected {
            let begin = row.saturating_add(1).saturating_sub(rows);
            let (Some(label), Some(said)) = (recording.label(begin..=*row), says.get("label"))
            else {
                continue;
            };
            all += 1;
            if said.as_str() == Some(label) {
                right += 1;
            } else if first.is_none() {
                let title = recording.title();
                first =
                    Some(format!("recording {title}, row {row}: labelled {label:?}, got {said}"));
            }
        }
    }
    (right, all, first)
}

/// The bytes of a file of golden samples.
#[must_use]
pub fn golden_file(recordings: &[Recording]) -> Vec<u8> {
    // One row per line, because people read and version the file.
    let recording = |recording: &Recording| {
        let mut members = Map::new();
        if let Ok(Value::Object(all)) = serde_json::to_value(recording) {
            members = all;
        }
        let order = ["name", "device", "channels", "times", "labels", "rows", "expected"];
        let lines = order.iter().filter_map(|key| Some((key, members.get(*key)?)));
        let lines = lines.map(|(key, value)| match (*key, value) {
            ("rows" | "expected", Value::Array(list)) => {
                let list: Vec<String> = list.iter().map(|item| format!("        {item}")).collect();
                format!("      {}: [\n{}\n      ]", json!(key), list.join(",\n"))
            }
            _ => format!("      {}: {value}", json!(key)),
        });
        format!("    {{\n{}\n    }}", lines.collect::<Vec<_>>().join(",\n"))
    };
    let recordings: Vec<String> = recordings.iter().map(recording).collect();
    let recordings = recordings.join(",\n");
    format!("{{\n  \"format\": 1,\n  \"recordings\": [\n{recordings}\n  ]\n}}\n").into_bytes()
}
