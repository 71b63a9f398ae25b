//! What a payload is.

use serde_json::Value;

use crate::pipeline::decode::{is_number_text, msgpack_value, sniff};

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
    Senml,
    /// Line protocol.
    Influx,
    Sparkplug,
    Msgpack,
    /// A text that is none of these.
    Text,
    /// Bytes, so many of them.
    Bytes(usize),
}

/// The namespace of Sparkplug B.
pub(super) const SPARKPLUG: &str = "spBv1.0";

pub(super) fn kind_of(topic: &str, payload: &[u8]) -> PayloadKind {
    if topic.split('/').any(|level| level == SPARKPLUG) {
        return PayloadKind { compression: None, form: Form::Sparkplug };
    }
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
        let is_msgpack =
            || msgpack_value(payload).is_some_and(|value| value.is_object() || value.is_array());
        return match is_cbor {
            true => Form::Cbor,
            false if is_msgpack() => Form::Msgpack,
            false => Form::Bytes(payload.len()),
        };
    };
    let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0').trim();
    let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    if text.starts_with(['{', '[']) {
        return match text {
            text if is_senml(text) => Form::Senml,
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
    if text.lines().all(|line| point(line).is_some()) && !text.is_empty() {
        return Form::Influx;
    }
    csv(text).unwrap_or(Form::Text)
}

/// A list of records with a name and a value by the labels of RFC 8428.
fn is_senml(text: &str) -> bool {
    let Ok(Value::Array(records)) = serde_json::from_str(text) else { return false };
    let has = |record: &Value, labels: &[&str]| labels.iter().any(|it| record.get(it).is_some());
    let is_record =
        |it: &Value| has(it, &["n", "bn"]) && has(it, &["v", "vs", "vb", "vd", "s", "bn"]);
    !records.is_empty() && records.iter().all(is_record)
}

/// The fields of a point in line protocol, without escapes.
pub(super) fn point(line: &str) -> Option<Vec<(&str, f64)>> {
    let mut parts = line.trim().split(' ');
    let (_measurement, fields, time) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() || time.is_some_and(|time| time.parse::<i64>().is_err()) {
        return None;
    }
    if !fields.split(',').all(|field| field.contains('=')) {
        return None;
    }
    let numbers = fields.split(',').filter_map(|field| {
        let (name, value) = field.split_once('=')?;
        Some((name, value.trim_end_matches(['i', 'u']).parse().ok()?))
    });
    Some(numbers.collect())
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
