//! What fits and is still likely to go wrong.

use crate::bundle::card::Card;
use crate::config::Stream;

/// What fits and is still likely to go wrong, in sentences for the operator.
#[must_use]
pub fn advice(stream: &Stream, card: &Card) -> Vec<String> {
    let mut advice = Vec::new();
    let Some(window) = &card.window else { return advice };
    let name = &stream.name;
    let channel = stream.join.as_ref().and_then(|join| join.by.as_deref());
    let is_named = stream.topic.captures().any(|name| Some(name) != channel);
    if !is_named && stream.payload.device.is_empty() {
        advice.push(format!(
            "stream {name}: nothing names the device, so all samples share one window. Where \
             several devices send, capture the name in stream.topic, as in sensors/{{device}}, or \
             set payload.device to the field that names it"
        ));
    }
    if let Some(group) = stream.share.as_deref().filter(|_| window.length > 1) {
        advice.push(format!(
            "stream {name}: the group {group:?} shares the messages, and a window needs all \
             samples of a device. Remove share, or let the broker choose the gateway by the topic"
        ));
    }
    if let Some(max_gap) = window.max_gap.filter(|&gap| gap > stream.key_ttl) {
        advice.push(format!(
            "stream {name}: the card allows gaps of {max_gap:?} (window.max_gap), but a device is \
             forgotten with its window after key_ttl = {:?}",
            stream.key_ttl
        ));
    }
    advice
}
