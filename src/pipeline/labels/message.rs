//! A message with labels, as JSON: one object or an array of them.

use std::borrow::Cow;

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::pipeline::decode::time;
use crate::truth::{Label, LabelKey, Truth};

/// Labels in one message.
pub(super) const MAX_LABELS: usize = 10_000;

/// One label as it is written. Unknown fields are ignored.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with id or time, and label or value")]
pub(super) struct LabelFields<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    time: Option<Time>,
    #[serde(borrow, default)]
    device: Option<Cow<'a, str>>,
    /// Where streams share a topic: the one that is meant.
    #[serde(borrow, default)]
    pub(super) stream: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    label: Option<Named<'a>>,
    #[serde(default)]
    value: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "RFC 3339 text or a number since 1970")]
enum Time {
    Number(f64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "the name of a label or its number")]
enum Named<'a> {
    Anomaly(bool),
    Number(u64),
    #[serde(borrow)]
    Name(Cow<'a, str>),
}

/// Reads a message. One object is a list of one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(payload: &[u8]) -> Result<Vec<LabelFields<'_>>, String> {
    let is_array = payload.trim_ascii_start().first() == Some(&b'[');
    let labels: Vec<LabelFields<'_>> = if is_array {
        serde_json::from_slice(payload).map_err(|error| error.to_string())?
    } else {
        vec![serde_json::from_slice(payload).map_err(|error| error.to_string())?]
    };
    if labels.len() > MAX_LABELS {
        return Err(format!("more than {MAX_LABELS} labels in one message: split it"));
    }
    Ok(labels)
}

impl LabelFields<'_> {
    /// The id of the prediction, if the label names one.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The label. `device`: the one that the topic names.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(super) fn label<'a>(&'a self, device: Option<&'a str>) -> Result<Label<'a>, &'static str> {
        let key = match (&self.id, &self.time) {
            (Some(id), _) => LabelKey::Id(id),
            (None, Some(time)) => LabelKey::Time(time.read().ok_or(BAD_TIME)?),
            (None, None) => return Err("id and time are missing: send the id of the prediction"),
        };
        let truth = match (&self.label, self.value) {
            (Some(_), Some(_)) => return Err("label and value are both there: send one of them"),
            (Some(Named::Name(name)), None) => Truth::Name(name),
            (Some(Named::Number(number)), None) => Truth::Number(*number),
            (Some(Named::Anomaly(anomaly)), None) => Truth::Number(u64::from(*anomaly)),
            (None, Some(value)) => Truth::Value(value),
            (None, None) => return Err("label and value are missing: send one of them"),
        };
        Ok(Label { key, device: self.device.as_deref().or(device), truth })
    }
}

const BAD_TIME: &str = "time is no time: send RFC 3339 text or a number since 1970";

impl Time {
    fn read(&self) -> Option<Timestamp> {
        match self {
            Self::Number(number) => time::from_number(*number),
            Self::Text(text) => time::from_text(text),
        }
    }
}
