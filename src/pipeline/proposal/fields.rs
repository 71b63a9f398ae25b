//! Which values are fields, the time and the device.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Group;
use super::leaves::Leaf;
use super::payload_kind::Form;
use crate::clock::{Timestamp, Zone};
use crate::pipeline::decode::time;

/// What the values of a group are taken as.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FieldGuess {
    pub(super) fields: Vec<String>,
    /// Numbers in a sample where fields have no names.
    pub(super) width: usize,
    pub(super) time: Option<String>,
    /// Times have no offset.
    pub(super) is_local: bool,
    pub(super) device: Option<String>,
    pub(super) samples: Option<String>,
    /// Some numbers are texts.
    pub(super) is_lenient: bool,
    /// Some messages lack a field.
    pub(super) has_holes: bool,
}

/// Names of times, in lower case.
const TIMES: &[&str] = &[
    "ts",
    "time",
    "timestamp",
    "datetime",
    "date",
    "last_seen",
    "lastseen",
    "received_at",
    "time_iso",
    "unixtime",
    "epoch",
    "utc",
    "$date",
];

/// Names of what identifies a device, in lower case.
const DEVICES: &[&str] = &[
    "id",
    "device",
    "device_id",
    "deviceid",
    "dev_id",
    "deveui",
    "dev_eui",
    "mac",
    "addr",
    "address",
    "sensor",
    "sensor_id",
    "serial",
    "node",
    "from",
    "uid",
];

/// The earliest and the latest time that a message of today can have.
const DAYS: [&str; 2] = ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"];

pub(super) fn guess(group: &Group<'_>, topic_names_device: bool) -> FieldGuess {
    let mut guess = FieldGuess::default();
    match group.kind.form {
        Form::Number => guess.width = 1,
        Form::Csv(columns, _) => guess.width = columns,
        _ => {}
    }
    let samples = array_of_samples(group);
    let all = || group.messages.iter().flat_map(|(_, leaves)| leaves);
    let in_samples = |leaf: &&Leaf| leaf.samples == samples;
    let mut seen: BTreeMap<&str, Vec<&Leaf>> = BTreeMap::new();
    all().filter(in_samples).for_each(|leaf| seen.entry(&leaf.pointer).or_default().push(leaf));
    // The time and the device may be around the samples as well.
    let mut around = seen.clone();
    let outside = all().filter(|leaf| leaf.samples.is_none() && samples.is_some());
    outside.for_each(|leaf| around.entry(&leaf.pointer).or_default().push(leaf));
    let has_own_time = matches!(group.kind.form, Form::Senml | Form::Influx | Form::Sparkplug);
    if let Some((pointer, is_local)) = time_of(&around).filter(|_| !has_own_time) {
        (guess.time, guess.is_local) = (Some(name_of(pointer)), is_local);
    }
    let time = guess.time.clone();
    let is_time = |pointer: &str| time.as_deref() == Some(&name_of(pointer));
    let device = around.iter().find(|(pointer, leaves)| {
        !is_time(pointer)
            && leaves.iter().all(|leaf| DEVICES.contains(&&*lower(leaf)) && is_id(leaf))
    });
    let named = device.filter(|_| !has_own_time && !topic_names_device);
    guess.device = named.map(|(pointer, _)| name_of(pointer));
    let device = device.filter(|_| !has_own_time);
    let id = device.map(|(pointer, _)| *pointer);
    for (pointer, leaves) in &seen {
        let numbers = leaves.iter().filter(|leaf| leaf.is_number()).count();
        let nulls = leaves.iter().filter(|leaf| leaf.value.is_null()).count();
        let is_field = numbers > 0 && numbers.saturating_add(nulls) == leaves.len();
        if !is_field || is_time(pointer) || id == Some(pointer) {
            continue;
        }
        guess.fields.push(name_of(pointer));
        guess.is_lenient |= leaves.iter().any(|leaf| leaf.value.is_string());
        guess.has_holes |= nulls > 0 || leaves.len() < group.messages.len();
    }
    guess.samples = samples.filter(|pointer| !pointer.is_empty()).map(|pointer| name_of(&pointer));
    guess
}

/// The array of the samples: where no number is outside of one, but for times and names.
fn array_of_samples(group: &Group<'_>) -> Option<String> {
    let (_, leaves) = group.messages.first()?;
    let is_reading = |leaf: &&Leaf| {
        leaf.is_number() && !TIMES.contains(&&*lower(leaf)) && !DEVICES.contains(&&*lower(leaf))
    };
    if leaves.iter().filter(is_reading).any(|leaf| leaf.samples.is_none()) {
        return None;
    }
    leaves.iter().find(is_reading).and_then(|leaf| leaf.samples.clone())
}

fn lower(leaf: &Leaf) -> String {
    leaf.name().to_lowercase()
}

fn is_id(leaf: &Leaf) -> bool {
    matches!(&leaf.value, Value::String(text) if !text.is_empty()) || leaf.value.is_i64()
}

/// The first value that is a time in all messages, and whether it lacks an offset.
fn time_of<'l>(seen: &BTreeMap<&'l str, Vec<&Leaf>>) -> Option<(&'l str, bool)> {
    let rank = |leaf: &Leaf| TIMES.iter().position(|name| *name == lower(leaf));
    let candidates = seen.iter().filter_map(|(pointer, leaves)| {
        let rank = rank(leaves.first()?)?;
        let local = leaves.iter().map(|leaf| is_time(&leaf.value)).collect::<Option<Vec<_>>>()?;
        Some((rank, *pointer, local.contains(&true)))
    });
    candidates.min().map(|(_, pointer, is_local)| (pointer, is_local))
}

/// Whether a value is a time, and then whether it lacks an offset.
fn is_time(value: &Value) -> Option<bool> {
    let [earliest, latest] = DAYS.map(Timestamp::parse);
    let fits = |at: &Timestamp| Some(*at) >= earliest && Some(*at) < latest;
    match value {
        Value::Number(number) => time::from_number(number.as_f64()?).filter(fits).map(|_| false),
        Value::String(text) => match time::from_text(text).filter(fits) {
            Some(_) => Some(false),
            None => Zone::UTC.moment(text).filter(fits).map(|_| true),
        },
        _ => None,
    }
}

/// A pointer as the name of a member where it is one.
fn name_of(pointer: &str) -> String {
    let name = pointer.strip_prefix('/').unwrap_or(pointer);
    let is_plain = !name.is_empty() && !name.contains(['/', '~']);
    let is_place = name.bytes().all(|b| b.is_ascii_digit());
    if is_plain && !is_place { name.to_owned() } else { pointer.to_owned() }
}
