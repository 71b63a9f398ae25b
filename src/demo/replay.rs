//! The replay: recordings distributed to watches, one sample per message.

use std::time::Duration;

use super::recordings::Recording;
use crate::clock::Timestamp;

/// The recorded time between two samples.
pub(crate) const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// The pause between two recordings of a watch. It is longer than `max_gap` of the model card, so that
/// no window contains samples of two recordings.
const RECORDING_PAUSE: Duration = Duration::from_secs(3);

/// The recordings of one watch, one after the other.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) name: String,
    recordings: Vec<Recording>,
}

/// A position of the replay on one watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SamplePosition {
    pub(crate) recording: usize,
    pub(crate) step: usize,
}

/// Distributes the recordings to the watches in turn.
pub(crate) fn deal(recordings: Vec<Recording>, watches: usize) -> Vec<Watch> {
    let mut dealt: Vec<Watch> = (1..=watches.max(1))
        .map(|n| Watch { name: format!("watch-{n}"), recordings: Vec::new() })
        .collect();
    let count = dealt.len();
    for (at, recording) in recordings.into_iter().enumerate() {
        if let Some(watch) = dealt.get_mut(at % count) {
            watch.recordings.push(recording);
        }
    }
    dealt.retain(|watch| !watch.recordings.is_empty());
    dealt
}

impl Watch {
    pub(crate) fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// The length of the watch's replay, pauses included.
    pub(crate) fn duration(&self) -> Duration {
        self.recordings.iter().map(span).sum()
    }

    /// Every sample in order, with its time since the first one.
    pub(crate) fn samples(&self) -> impl Iterator<Item = (Duration, SamplePosition, [f32; 6])> {
        let mut start = Duration::ZERO;
        self.recordings.iter().enumerate().flat_map(move |(recording, of)| {
            let started = start;
            start += span(of);
            of.samples.iter().enumerate().map(move |(step, sample)| {
                let after = started
                    + SAMPLE_INTERVAL.saturating_mul(u32::try_from(step).unwrap_or(u32::MAX));
                (after, SamplePosition { recording, step }, *sample)
            })
        })
    }

    /// The sample that the time of a prediction refers to.
    pub(crate) fn place(&self, first: Timestamp, time: Timestamp) -> Option<SamplePosition> {
        let after = time.since(first);
        let (_, place, _) =
            self.samples().find(|(at, ..)| at.abs_diff(after) < SAMPLE_INTERVAL / 2)?;
        Some(place)
    }
}

fn span(recording: &Recording) -> Duration {
    SAMPLE_INTERVAL.saturating_mul(u32::try_from(recording.samples.len()).unwrap_or(u32::MAX))
        + RECORDING_PAUSE
}

/// One sample as JSON, as a watch would send it.
pub(crate) fn payload(time: Timestamp, sample: [f32; 6]) -> String {
    let [ax, ay, az, gx, gy, gz] = sample;
    format!(r#"{{"ts":"{time}","ax":{ax},"ay":{ay},"az":{az},"gx":{gx},"gy":{gy},"gz":{gz}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recordings(n: usize) -> Vec<Recording> {
        (0..n).map(|i| Recording { label: i.to_string(), samples: vec![[0.0; 6]; 100] }).collect()
    }

    #[test]
    fn recordings_are_dealt_out_evenly() {
        let watches = deal(recordings(40), 8);
        assert_eq!(watches.iter().map(|w| w.recordings.len()).collect::<Vec<_>>(), [5; 8]);
        assert_eq!(watches[1].recordings[0].label, "1");
        assert_eq!(deal(recordings(2), 8).len(), 2, "a watch without recordings is not worn");
    }

    #[test]
    fn a_time_leads_back_to_its_sample() {
        let watch = &deal(recordings(2), 1)[0];
        let first = Timestamp(1_000_000_000);
        for (after, place, _) in watch.samples() {
            assert_eq!(watch.place(first, first.plus(after)), Some(place));
        }
        assert_eq!(watch.place(first, first.plus(Duration::from_secs(11))), None, "in the pause");
    }

    #[test]
    fn a_payload_is_json() {
        let text = payload(Timestamp(0), [1.5, -2.0, 0.0, 1e-7, 3.0, 4.0]);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["ax"], 1.5);
        assert_eq!(json["ts"], "1970-01-01T00:00:00.000Z");
    }
}
