//! Counts the results that were lost, by stream and reason.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ids::StreamName;

/// The results that were lost since the start, by stream and reason.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct LostResults(BTreeMap<StreamName, BTreeMap<&'static str, u64>>);

impl LostResults {
    /// Every stream and reason with a loss, with the number of results.
    pub fn iter(&self) -> impl Iterator<Item = (&StreamName, &'static str, u64)> {
        self.0.iter().flat_map(|(stream, reasons)| {
            reasons.iter().map(move |(reason, count)| (stream, *reason, *count))
        })
    }

    pub(crate) fn add(&mut self, stream: &StreamName, reason: &'static str, count: u64) {
        *self.0.entry(stream.clone()).or_default().entry(reason).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_add_up_by_stream_and_reason() {
        let (mut losses, stream) = (LostResults::default(), StreamName::parse("motion").unwrap());
        losses.add(&stream, "disk-full", 2);
        losses.add(&stream, "disk-full", 3);
        losses.add(&stream, "too-large", 1);
        let json = serde_json::to_value(&losses).unwrap();
        assert_eq!(json["motion"]["disk-full"], 5);
        assert_eq!(json["motion"]["too-large"], 1);
    }
}
