//! Messages with one quantity each, on topics of their own.

use std::collections::BTreeSet;

use super::fields::FieldGuess;
use super::payload_kind::Form;
use super::topics;

/// A proposal to join the messages of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChannelGuess {
    pub(super) topic: String,
    pub(super) channels: Vec<String>,
    /// The field with the number, unless it is `value` or the number is bare.
    pub(super) value: Option<String>,
}

/// Words in the names of quantities, in lower case.
const QUANTITIES: &[&str] = &[
    "temp", "humid", "press", "volt", "current", "power", "energy", "flow", "level", "co2", "pm1",
    "pm2", "lux", "illumin", "battery", "rssi", "speed", "wind", "rain", "dew", "moist", "freq",
    "return", "supply", "setpoint", "noise", "vibra", "accel", "torque", "weight", "angle",
];

/// Names of quantities that are words in no other name.
const EXACT: &[&str] = &["x", "y", "z", "t", "h", "ax", "ay", "az", "gx", "gy", "gz", "ph", "uv"];

/// The level of the topics that names the quantity, if messages have one each.
pub(super) fn channels(
    form: Form,
    topics: &BTreeSet<&str>,
    guess: &FieldGuess,
) -> Option<ChannelGuess> {
    let value = match form {
        Form::Number => None,
        Form::Json | Form::Cbor if guess.fields.len() == 1 && guess.samples.is_none() => {
            guess.fields.first().filter(|field| *field != "value").cloned()
        }
        _ => return None,
    };
    let levels = topics::levels(topics);
    let is_channel = |level: &&BTreeSet<&str>| {
        let known = level.iter().filter(|name| is_quantity(name)).count();
        level.len() > 1 && known.saturating_mul(2) > level.len()
    };
    let place = levels.iter().rposition(|level| is_channel(&level))?;
    let channels = levels.get(place)?.iter().map(|name| (*name).to_owned()).collect();
    Some(ChannelGuess { topic: topics::with_channel(&levels, place), channels, value })
}

fn is_quantity(name: &str) -> bool {
    let name = name.to_lowercase();
    EXACT.contains(&name.as_str()) || QUANTITIES.iter().any(|word| name.contains(word))
}
