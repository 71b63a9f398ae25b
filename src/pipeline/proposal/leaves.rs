//! The values in a payload of members and elements.

use serde_json::Value;

use super::payload_kind::{Form, PayloadKind, plain, point};
use crate::pipeline::decode::{is_number_text, msgpack_value};
use crate::protobuf::wire::{Fields, Value as Wire};

/// A value that has no others in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaf {
    /// Where it is: a JSON pointer within the sample.
    pub(super) pointer: String,
    /// The array of samples around it, a pointer too; empty for an array that is the payload.
    pub(super) samples: Option<String>,
    pub(super) value: Value,
}

impl Leaf {
    /// Whether the value is a number, or a text that is one.
    pub(super) fn is_number(&self) -> bool {
        self.value.is_number() || self.value.as_str().is_some_and(is_number_text)
    }

    /// The name of the innermost member.
    pub(super) fn name(&self) -> &str {
        self.pointer.rsplit('/').next().unwrap_or_default()
    }
}

/// The most values of a message that are looked at.
const MAX_LEAVES: usize = 512;
/// The longest array whose elements are fields of their own.
const MAX_PLACES: usize = 16;

pub(super) fn leaves_of(kind: &PayloadKind, payload: &[u8]) -> Vec<Leaf> {
    let payload = plain(payload);
    let text = || {
        let text = std::str::from_utf8(&payload).unwrap_or_default();
        text.trim_start_matches('\u{feff}').trim_end_matches('\0')
    };
    let value = match kind.form {
        Form::Json => serde_json::from_str(text()).ok(),
        Form::JsonLines => text().lines().find_map(|line| serde_json::from_str(line).ok()),
        Form::Cbor => ciborium::from_reader(payload.as_slice()).ok(),
        Form::Msgpack => msgpack_value(&payload),
        Form::Senml => serde_json::from_str(text()).ok().map(|pack| records(&pack)),
        Form::Influx => text().lines().find_map(point).map(|fields| {
            fields.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
        }),
        Form::Sparkplug => metrics(&payload),
        Form::Csv(..) | Form::Number | Form::Text | Form::Bytes(_) => None,
    };
    let mut leaves = Vec::new();
    if let Some(value) = value {
        collect(&value, String::new(), None, &mut leaves);
    }
    leaves
}

/// The numbers of a SenML pack by the names of their records.
fn records(pack: &Value) -> Value {
    let record = |record: &Value| {
        let name = record.get("n").or_else(|| record.get("bn"))?.as_str()?;
        Some((name.to_owned(), record.get("v")?.clone()))
    };
    pack.as_array().into_iter().flatten().filter_map(record).collect()
}

/// The metrics of Sparkplug B that have a name and a number, as they are in births.
fn metrics(payload: &[u8]) -> Option<Value> {
    let mut metrics = serde_json::Map::new();
    let mut fields = Fields::of(payload);
    while let Some(field) = fields.next().ok()? {
        let (2, Wire::Bytes(metric)) = field else { continue };
        let (mut name, mut is_number) = (None, false);
        let mut fields = Fields::of(metric);
        while let Some(field) = fields.next().ok()? {
            match field {
                (1, Wire::Bytes(bytes)) => name = std::str::from_utf8(bytes).ok(),
                (10..=13, _) => is_number = true,
                _ => {}
            }
        }
        if let Some(name) = name.filter(|_| is_number) {
            metrics.insert(name.to_owned(), Value::from(0));
        }
    }
    Some(Value::Object(metrics))
}

fn collect(value: &Value, pointer: String, samples: Option<&str>, into: &mut Vec<Leaf>) {
    if into.len() >= MAX_LEAVES {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(value, format!("{pointer}/{name}"), samples, into);
            }
        }
        Value::Array(elements) => {
            let is_sample = |value: &Value| value.is_object() || value.is_array();
            let first = elements.first();
            if let Some(first) = first.filter(|first| is_sample(first) && samples.is_none()) {
                collect(first, String::new(), Some(&pointer), into);
            } else if elements.len() <= MAX_PLACES {
                for (place, value) in elements.iter().enumerate() {
                    collect(value, format!("{pointer}/{place}"), samples, into);
                }
            }
        }
        leaf => {
            into.push(Leaf { pointer, samples: samples.map(str::to_owned), value: leaf.clone() })
        }
    }
}
