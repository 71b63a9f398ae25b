//! What a payload is.

use crate::pipeline::decode::{is_number_text, sniff};

/// What a payload is, as far as it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PayloadKind {
    /// `gzip` or `zlib`.
    pub(super) compression: Option<&'static str>,
    pub(super) form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    JsonLines,
    Cbor,
    /// With the number of columns and what is between them.
    Csv(usize, char),
    /// A bare number.
    Number,
    /// A text that is none of these.
    Text,
    /// Bytes, so many of them.
    Bytes(usize),
}

pub(super) fn kind_of(payload: &[u8]) -> PayloadKind {
    match sniff(payload) {
        Some((compression, inflated)) => {
            PayloadKind { compression: Some(compression), form: form_of(&inflated) }
        }
        None => PayloadKind { compression: None, form: form_of(payload) },
    }
}

/// The payload without compression.
pub(super) fn plain(payload: &[u8]) -> Vec<u8> {
    sniff(payload).map_or_else(|| payload.to_vec(), |(_, inflated)| inflated)
}

fn form_of(payload: &[u8]) -> Form {
    let Ok(text) = std::str::from_utf8(payload) else {
        let is_cbor = ciborium::from_reader::<serde_json::Value, _>(payload)
            .is_ok_and(|value| value.is_object() || value.is_array());
        return if is_cbor { Form::Cbor } else { Form::Bytes(payload.len()) };
    };
    let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0').trim();
    let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    if text.starts_with(['{', '[']) {
        return match text {
            text if is_json(text) => Form::Json,
            text if text.lines().all(|line| line.trim().is_empty() || is_json(line)) => {
                Form::JsonLines
            }
            _ => Form::Text,
        };
    }
    if is_number_text(text.trim_matches('"')) {
        return Form::Number;
    }
    csv(text).unwrap_or(Form::Text)
}

/// Lines with the same number of columns, most of them numbers.
fn csv(text: &str) -> Option<Form> {
    let delimiter = [';', '\t', ',', '|'].into_iter().find(|c| text.contains(*c))?;
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let columns = lines().next()?.split(delimiter).count();
    let even = lines().all(|line| line.split(delimiter).count() == columns);
    let cells = || lines().flat_map(|line| line.split(delimiter));
    let numbers = cells().filter(|cell| is_number_text(cell)).count();
    let most = numbers.saturating_mul(2) >= cells().count();
    (even && most && columns > 1).then_some(Form::Csv(columns, delimiter))
}
