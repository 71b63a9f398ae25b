//! Recordings of raw samples, read from CSV or JSON; also the golden samples of a bundle.
//!
//! The files are not trusted: sizes are bounded, and every error names its recording and row. Columns
//! are matched with the channels of the card by name, never by position, because a wrong order of
//! channels is one of the mistakes to detect.

mod csv;
mod json;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::decode::time;
use crate::clock::Timestamp;

/// The most recordings in a file.
const MAX_RECORDINGS: usize = 1_000;

/// Samples of one device in order, as the sensor sent them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Names of the columns of rows that are lists; empty if the channels of the model have no names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Microseconds since an arbitrary time, one for each row, or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "seconds")]
    pub times: Vec<i64>,
    /// The true labels, one for each row, or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Option<String>>,
    /// One sample (or whole input) each: a list with a cell for each column, or an object.
    pub rows: Vec<Value>,
    /// The expected predictions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Expected>,
}

/// An expected prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// The row, counted from 0, that completes its window.
    pub row: usize,
    /// Fields of the prediction, by name.
    #[serde(flatten)]
    pub says: Map<String, Value>,
}

/// The meaning of the names of columns and members.
#[derive(Clone, Copy, Debug)]
pub enum ColumnNames<'a> {
    /// They are channels of the card; none if the card names none.
    Channels(&'a [String]),
    /// Rows are passed on unchanged; the configuration of a stream defines their contents.
    Payloads,
}

/// Why a file of recordings is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    #[error("{0}")]
    File(String),
    #[error("line {line}: {problem}")]
    Line { line: usize, problem: String },
    #[error("recording {recording}: {problem}")]
    Recording { recording: String, problem: String },
    #[error("recording {recording}, row {row}: {problem}")]
    Row { recording: String, row: usize, problem: String },
}

/// Reads recordings: CSV with a header, JSON lines, a JSON list of samples, or golden samples.
///
/// # Errors
/// The first problem, with its place.
pub fn read_recordings(
    bytes: &[u8],
    names: ColumnNames<'_>,
    rows_max: usize,
) -> Result<Vec<Recording>, RecordingError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let what = "CSV, JSON lines or golden samples are text";
        RecordingError::File(format!("byte {at} is not UTF-8: {what}"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let ColumnNames::Channels(channels) = names
        && let Some(twice) = duplicate(channels)
    {
        let problem = format!("the card has two channels named {twice:?}: give each its own name");
        return Err(RecordingError::File(problem));
    }
    let recordings = match text.trim_start().chars().next() {
        None => return Err(RecordingError::File("the file is empty".to_owned())),
        Some(_) if is_json(text) => json::read(text, names, rows_max)?,
        Some(_) => csv::read(text, names, rows_max)?,
    };
    if recordings.is_empty() {
        return Err(RecordingError::File("there are no recordings in it".to_owned()));
    }
    let rows: usize = recordings.iter().map(|recording| recording.rows.len()).sum();
    if rows > rows_max {
        return Err(too_many_rows(rows_max));
    }
    if recordings.len() > MAX_RECORDINGS {
        return Err(too_many_recordings());
    }
    recordings.iter().try_for_each(|recording| recording.check(names))?;
    Ok(recordings)
}

/// Reads JSON, whose form is recognised by the first line: a list, an object, or a bare number.
fn is_json(text: &str) -> bool {
    let line = text.trim_start().lines().next().unwrap_or_default();
    line.starts_with(['{', '[']) || line.trim().parse::<f64>().is_ok()
}

fn too_many_rows(max: usize) -> RecordingError {
    RecordingError::File(format!("more than {max} rows: choose fewer or shorter recordings"))
}

fn too_many_recordings() -> RecordingError {
    RecordingError::File(format!("more than {MAX_RECORDINGS} recordings: choose fewer"))
}

fn duplicate(names: &[String]) -> Option<&String> {
    let mut seen = std::collections::BTreeSet::new();
    names.iter().find(|name| !seen.insert(name.as_str()))
}

impl Recording {
    fn check(&self, names: ColumnNames<'_>) -> Result<(), RecordingError> {
        let wrong =
            |problem: String| RecordingError::Recording { recording: self.title(), problem };
        let rows = self.rows.len();
        for (what, count) in [("times", self.times.len()), ("labels", self.labels.len())] {
            if count != 0 && count != rows {
                return Err(wrong(format!("{count} {what} for {rows} rows")));
            }
        }
        if rows == 0 {
            return Err(wrong("it has no rows".to_owned()));
        }
        if let Some(back) = self.times.windows(2).position(|pair| !pair.is_sorted()) {
            let problem =
                "its time is before that of the row above: sort the rows by time".to_owned();
            return Err(self.wrong_row(back.saturating_add(1), problem));
        }
        self.check_columns(names)?;
        let mut next = 0;
        for expected in &self.expected {
            if expected.row < next || expected.row >= rows {
                let row = expected.row;
                let problem =
                    format!("`expected` names row {row}; in order, from {next} to {}", rows - 1);
                return Err(wrong(problem));
            }
            next = expected.row.saturating_add(1);
        }
        Ok(())
    }

    fn check_columns(&self, names: ColumnNames<'_>) -> Result<(), RecordingError> {
        let wrong =
            |problem: String| RecordingError::Recording { recording: self.title(), problem };
        let columns = &self.channels;
        if let Some(twice) = duplicate(columns) {
            return Err(wrong(format!("two columns are named {twice:?}")));
        }
        let lists = self.rows.iter().any(Value::is_array);
        if let (ColumnNames::Channels(channels), true) = (names, lists) {
            let missing: Vec<_> = channels.iter().filter(|name| !columns.contains(name)).collect();
            if !missing.is_empty() {
                let have =
                    if columns.is_empty() { "no names".to_owned() } else { format!("{columns:?}") };
                return Err(wrong(format!(
                    "no column for the card's channels {missing:?}; its columns have {have}"
                )));
            }
        }
        for (row, cells) in self.rows.iter().enumerate() {
            let width = columns.len();
            match cells {
                Value::Array(cells) if width > 0 && cells.len() != width => {
                    let problem = format!("{} cells for {width} columns", cells.len());
                    return Err(self.wrong_row(row, problem));
                }
                Value::Array(_) | Value::Object(_) | Value::Number(_) => {}
                _ => return Err(self.wrong_row(row, "neither a list nor an object".to_owned())),
            }
        }
        Ok(())
    }

    /// Adds a row. Times and labels are stored from the first row that has one.
    fn push(&mut self, row: Value, time: Option<i64>, label: Option<String>) {
        if time.is_some() || !self.times.is_empty() {
            // A row without a time has the time of the row before it.
            let before = self.times.last().copied().unwrap_or_default();
            self.times.resize(self.rows.len(), before);
            self.times.push(time.unwrap_or(before));
        }
        if label.is_some() || !self.labels.is_empty() {
            self.labels.resize(self.rows.len(), None);
            self.labels.push(label);
        }
        self.rows.push(row);
    }

    fn wrong_row(&self, row: usize, problem: String) -> RecordingError {
        RecordingError::Row { recording: self.title(), row, problem }
    }

    /// Its name in messages.
    #[must_use]
    pub fn title(&self) -> String {
        match (self.name.as_str(), &self.device) {
            ("", None) => "-".to_owned(),
            ("", Some(device)) => device.clone(),
            (name, None) => name.to_owned(),
            (name, Some(device)) => format!("{name}/{device}"),
        }
    }

    /// Encodes a row as JSON, as a sensor would send it.
    #[must_use]
    pub fn payload(&self, row: usize) -> Value {
        let Some(cells) = self.rows.get(row) else { return Value::Null };
        match cells {
            Value::Array(cells) if !self.channels.is_empty() => {
                let mut members = Map::new();
                let cells = self.channels.iter().zip(cells).filter(|(_, cell)| !cell.is_null());
                cells.for_each(|(name, cell)| put_at(&mut members, name, cell));
                Value::Object(members)
            }
            other => other.clone(),
        }
    }

    /// The true label of all of these rows; `None` if it changed or is not known.
    #[must_use]
    pub fn label(&self, rows: std::ops::RangeInclusive<usize>) -> Option<&str> {
        let labels = self.labels.get(rows)?;
        let first = labels.first()?.as_deref()?;
        labels.iter().all(|label| label.as_deref() == Some(first)).then_some(first)
    }
}

/// Inserts a member at the place of a field: a name, or a JSON pointer.
fn put_at(members: &mut Map<String, Value>, name: &str, value: &Value) {
    let path = name.strip_prefix('/').map(|rest| rest.split('/'));
    let path: Vec<String> = match path {
        Some(path) => path.map(|name| name.replace("~1", "/").replace("~0", "~")).collect(),
        None => vec![name.to_owned()],
    };
    let mut at = members;
    for (place, name) in path.iter().enumerate() {
        if place + 1 == path.len() {
            at.insert(name.clone(), value.clone());
            return;
        }
        let inner = at.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = inner else { return };
        at = inner;
    }
}

/// Parses a time of a file, in microseconds.
fn moment(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => moment_of(number.as_f64()?),
        Value::String(text) => match Timestamp::parse(text.trim()) {
            Some(time) => Some(time.0),
            None => moment_of(text.trim().parse().ok()?),
        },
        _ => None,
    }
}

/// The same in a unit of so many microseconds (negative: so many of it in one); 0 is by magnitude.
fn moment_in(value: &Value, unit: i64) -> Option<i64> {
    if unit == 0 {
        return moment(value);
    }
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "a small unit")]
    let micros = if unit > 0 { number * unit as f64 } else { number / -(unit as f64) };
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (micros.abs() < 1e18).then(|| micros.round() as i64)
}

/// Does something with the recording of this name and device, made where it is not there yet.
fn within(
    found: &mut Vec<Recording>,
    name: &str,
    device: Option<&str>,
    act: impl FnOnce(&mut Recording),
) -> Result<(), RecordingError> {
    let same = |r: &Recording| r.name == name && r.device.as_deref() == device;
    // The newest first: lines of one recording follow one another as a rule.
    let at = found.iter().rposition(same).unwrap_or(found.len());
    if at == found.len() {
        if at >= MAX_RECORDINGS {
            return Err(too_many_recordings());
        }
        let device = device.map(str::to_owned);
        found.push(Recording { name: name.to_owned(), device, ..Recording::default() });
    }
    if let Some(recording) = found.get_mut(at) {
        act(recording);
    }
    Ok(())
}

/// Numbers below this are seconds since an arbitrary time.
const SINCE_1970: f64 = 1e9;

fn moment_of(number: f64) -> Option<i64> {
    if number.abs() >= SINCE_1970 {
        return time::from_number(number).map(|time| time.0);
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 1e15")]
    number.is_finite().then(|| (number * 1e6).round() as i64)
}

/// Times in a file are seconds, or whatever a sensor sends.
mod seconds {
    use super::{Deserialize, Deserializer, Serializer, Value, moment};

    pub(super) fn serialize<S: Serializer>(times: &[i64], to: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit 53 bits")]
        to.collect_seq(times.iter().map(|&micros| micros as f64 / 1e6))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<i64>, D::Error> {
        let values = Vec::<Value>::deserialize(from)?;
        let wrong = |value: &Value| {
            serde::de::Error::custom(format!("times: {value} is neither seconds nor a time"))
        };
        values.iter().map(|value| moment(value).ok_or_else(|| wrong(value))).collect()
    }
}
