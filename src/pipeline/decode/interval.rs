//! The times of samples that come in one message with one time.

use super::decoder::{Decoded, PayloadDecoder};
use super::sample_builder::wrong_shape;
use crate::clock::Timestamp;
use crate::config::SampleInterval;
use crate::pipeline::reject::Reject;

/// Gives each sample of a message its own time.
#[derive(Debug)]
pub(super) struct IntervalDecoder {
    decoder: Box<dyn PayloadDecoder>,
    interval: SampleInterval,
}

impl IntervalDecoder {
    pub(super) fn new(decoder: Box<dyn PayloadDecoder>, interval: SampleInterval) -> Self {
        Self { decoder, interval }
    }
}

impl PayloadDecoder for IntervalDecoder {
    fn begin(&mut self, topic: &str, received: Timestamp) {
        self.decoder.begin(topic, received);
    }

    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        self.decoder.decode(payload, out)?;
        let times = &mut out.samples_mut().times;
        let Some(&Some(of_message)) = times.first() else { return Ok(()) };
        if times.iter().any(|time| *time != Some(of_message)) {
            return Err(wrong_shape(
                "its samples have times of their own, which payload.interval would replace",
            ));
        }
        let last = times.len().saturating_sub(1);
        for (place, time) in times.iter_mut().enumerate() {
            let away = if self.interval.from_first { place } else { last.saturating_sub(place) };
            let nanos = u128::from(self.interval.nanos)
                .saturating_mul(u128::try_from(away).unwrap_or(u128::MAX));
            // Half a microsecond is rounded up.
            let micros = i64::try_from(nanos.saturating_add(500) / 1000).unwrap_or(i64::MAX);
            *time = Some(Timestamp(if self.interval.from_first {
                of_message.0.saturating_add(micros)
            } else {
                of_message.0.saturating_sub(micros)
            }));
        }
        Ok(())
    }
}
