use serde::Serialize;

use crate::clock::Mono;

/// Minutes that are remembered, as an array's length and as a number of minutes.
const MINUTES: usize = 60;
const LENGTH: u64 = 60;
const MINUTE_US: u64 = 60_000_000;

/// What happened on a stream in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Minute {
    pub messages: u32,
    pub predictions: u32,
    /// Samples or messages that were rejected.
    pub rejects: u32,
}

/// The last hour of a stream, minute by minute. Bounded, without a clock.
#[derive(Debug, Clone)]
pub struct History {
    /// The minute of the last entry, counted from the start of the clock.
    latest: u64,
    /// At the minute modulo the length.
    minutes: [Minute; MINUTES],
}

impl Default for History {
    fn default() -> Self {
        Self { latest: 0, minutes: [Minute::default(); MINUTES] }
    }
}

impl History {
    /// Adds to the minute of `now`.
    pub fn add(&mut self, now: Mono, counts: Minute) {
        let minute = now.0 / MINUTE_US;
        for passed in (self.latest + 1..=minute).rev().take(MINUTES) {
            if let Some(slot) = self.minutes.get_mut(place(passed)) {
                *slot = Minute::default();
            }
        }
        self.latest = self.latest.max(minute);
        let Some(sum) = self.minutes.get_mut(place(minute)) else { return };
        sum.messages = sum.messages.saturating_add(counts.messages);
        sum.predictions = sum.predictions.saturating_add(counts.predictions);
        sum.rejects = sum.rejects.saturating_add(counts.rejects);
    }

    /// The minutes until `now`, the oldest first; the last one is not over. Minutes before the start
    /// of the clock are left out.
    pub fn until(&self, now: Mono) -> impl Iterator<Item = Minute> {
        let minute = now.0 / MINUTE_US;
        let first = (minute + 1).saturating_sub(LENGTH);
        (first..=minute).map(move |minute| {
            let is_known = minute <= self.latest && minute + LENGTH > self.latest;
            let known = self.minutes.get(place(minute)).filter(|_| is_known);
            known.copied().unwrap_or_default()
        })
    }
}

fn place(minute: u64) -> usize {
    usize::try_from(minute % LENGTH).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(history: &History, minute: u64) -> Vec<u32> {
        history.until(Mono(minute * MINUTE_US)).map(|minute| minute.messages).collect()
    }

    #[test]
    fn the_last_hour_is_remembered_minute_by_minute() {
        let mut history = History::default();
        let mut add = |minute: u64, messages| {
            let counts = Minute { messages, ..Minute::default() };
            history.add(Mono(minute * MINUTE_US + 7), counts);
            history.clone()
        };
        assert_eq!(messages(&add(0, 3), 0), [3]);
        add(0, 1);
        assert_eq!(messages(&add(2, 5), 3), [4, 0, 5, 0]);
        let later = messages(&add(61, 7), 61);
        assert_eq!((later.len(), later[0], later[59]), (60, 5, 7), "minute 2 is the oldest");
        assert_eq!(messages(&history, 130).iter().sum::<u32>(), 0, "all is long ago");
        history.add(Mono(1_000 * MINUTE_US), Minute { messages: 1, ..Minute::default() });
        assert_eq!(messages(&history, 1_000).iter().sum::<u32>(), 1);
    }
}
