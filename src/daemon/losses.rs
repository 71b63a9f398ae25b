//! Results that will never arrive, by stream and reason: the number an operator looks at first.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ids::StreamName;

#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Losses(BTreeMap<StreamName, BTreeMap<&'static str, u64>>);

impl Losses {
    pub(crate) fn add(&mut self, stream: &StreamName, reason: &'static str, count: u64) {
        *self.0.entry(stream.clone()).or_default().entry(reason).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_add_up_by_stream_and_reason() {
        let (mut losses, stream) = (Losses::default(), StreamName::parse("motion").unwrap());
        losses.add(&stream, "disk-full", 2);
        losses.add(&stream, "disk-full", 3);
        losses.add(&stream, "too-large", 1);
        let json = serde_json::to_value(&losses).unwrap();
        assert_eq!(json["motion"]["disk-full"], 5);
        assert_eq!(json["motion"]["too-large"], 1);
    }
}
