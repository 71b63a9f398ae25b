//! Recordings as JSON: golden samples, a list of samples, or one sample a line.

use serde_json::{Map, Value};

use super::csv::TIMES;
use super::{ColumnNames, Recording, RecordingError, too_many_rows};

/// The version of the file format.
const FORMAT: u64 = 1;

pub(super) fn read(
    text: &str,
    names: ColumnNames<'_>,
    rows_max: usize,
) -> Result<Vec<Recording>, RecordingError> {
    let mut found: Vec<Recording> = Vec::new();
    let mut count = 0_usize;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    while let Some(value) = values.next() {
        let line = line_of(text, values.byte_offset());
        let value = value.map_err(|error| {
            RecordingError::File(format!("not JSON, or not one sample a line: {error}"))
        })?;
        match value {
            Value::Object(members) if count == 0 && members.contains_key("recordings") => {
                let recordings = golden(members)?;
                if values.next().is_some() {
                    let problem = "more follows after the recordings".to_owned();
                    return Err(RecordingError::Line { line, problem });
                }
                return Ok(recordings);
            }
            Value::Array(samples) if count == 0 && is_list_of_samples(&samples, names) => {
                for sample in samples {
                    put(sample, names, line, &mut found)?;
                    count = bounded(count, rows_max)?;
                }
            }
            sample => {
                put(sample, names, line, &mut found)?;
                count = bounded(count, rows_max)?;
            }
        }
    }
    Ok(found)
}

fn bounded(count: usize, max: usize) -> Result<usize, RecordingError> {
    if count >= max { Err(too_many_rows(max)) } else { Ok(count.saturating_add(1)) }
}

fn line_of(text: &str, offset: usize) -> usize {
    // The offset is behind a value; only the line breaks of that value count.
    let before = text.get(..offset).unwrap_or(text).trim_end();
    before.matches('\n').count().saturating_add(1)
}

/// A list of objects is a file of samples; a list of numbers is one sample. For a model whose
/// channels have no names, a list of lists may be a whole input and is one line's.
fn is_list_of_samples(samples: &[Value], names: ColumnNames<'_>) -> bool {
    match (samples.first(), names) {
        (Some(Value::Object(_)), ColumnNames::Channels(_)) => true,
        (Some(Value::Array(_)), ColumnNames::Channels(channels)) => !channels.is_empty(),
        _ => false,
    }
}

/// The recordings of a file of golden samples.
fn golden(mut members: Map<String, Value>) -> Result<Vec<Recording>, RecordingError> {
    let wrong = |problem: String| RecordingError::File(problem);
    match members.remove("format") {
        Some(format) if format == FORMAT => {}
        Some(other) => return Err(wrong(format!("its format is {other}; {FORMAT} is known here"))),
        None => return Err(wrong(format!("`format` is missing: {FORMAT}"))),
    }
    let recordings = members.remove("recordings").unwrap_or_default();
    if let Some(unknown) = members.keys().next() {
        return Err(wrong(format!("{unknown:?} is not a field of golden samples")));
    }
    let Value::Array(recordings) = recordings else {
        return Err(wrong("`recordings` is not a list".to_owned()));
    };
    let read = |(place, value): (usize, Value)| {
        let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
        serde_json::from_value::<Recording>(value).map_err(|error| {
            let recording = name.unwrap_or_else(|| format!("#{place}"));
            RecordingError::Recording { recording, problem: error.to_string() }
        })
    };
    let mut recordings: Vec<Recording> =
        recordings.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    for (place, recording) in recordings.iter_mut().enumerate() {
        if recording.name.is_empty() {
            recording.name = format!("#{place}");
        }
    }
    Ok(recordings)
}

/// Adds one sample.
fn put(
    sample: Value,
    names: ColumnNames<'_>,
    line: usize,
    found: &mut Vec<Recording>,
) -> Result<(), RecordingError> {
    let wrong = |problem: String| RecordingError::Line { line, problem };
    let channels = match names {
        ColumnNames::Channels(channels) => channels,
        ColumnNames::Payloads => &[],
    };
    let mut members = match sample {
        Value::Object(members) => members,
        Value::Array(cells) if channels.is_empty() => {
            return super::within(found, "", None, |into| {
                into.push(Value::Array(cells), None, None)
            });
        }
        number @ Value::Number(_) if channels.len() <= 1 => {
            let row = if channels.is_empty() { number } else { Value::Array(vec![number]) };
            return super::within(found, "", None, |into| {
                into.channels = channels.to_vec();
                into.push(row, None, None);
            });
        }
        Value::Array(_) => {
            let problem = format!(
                "a list has no names, and the card's channels are {channels:?}: send objects"
            );
            return Err(wrong(problem));
        }
        other => return Err(wrong(format!("{other} is not a sample"))),
    };
    let text = |key: &str| {
        let value = members.get(key).filter(|_| !channels.iter().any(|channel| channel == key));
        value.and_then(as_text)
    };
    let (recording, device, label) = (text("recording"), text("device"), text("label"));
    let time = match names {
        // The configuration of the stream defines the member.
        ColumnNames::Payloads => None,
        ColumnNames::Channels(_) => time(&members, channels).map_err(wrong)?,
    };
    let named = !channels.is_empty() && channels.iter().all(|name| members.contains_key(name));
    let row = if named {
        Value::Array(channels.iter().filter_map(|name| members.remove(name)).collect())
    } else {
        Value::Object(members)
    };
    super::within(found, recording.as_deref().unwrap_or_default(), device.as_deref(), |into| {
        if named {
            into.channels = channels.to_vec();
        }
        into.push(row, time, label);
    })
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn time(members: &Map<String, Value>, channels: &[String]) -> Result<Option<i64>, String> {
    for (name, unit) in TIMES {
        if channels.iter().any(|channel| channel == name) {
            continue;
        }
        if let Some(value) = members.get(name) {
            let time = super::moment_in(value, unit);
            return time.map(Some).ok_or_else(|| format!("{name} is {value}, not a time"));
        }
    }
    Ok(None)
}
