//! Pauses reading while too much is held for the workers. A broker that honours the receive maximum
//! never sends that much. Some do not: mosquitto up to 2.0.12 sends a whole window more for each
//! acknowledgement (its issue 2306), until everything it has is in flight; rumqttd 0.20 always sends
//! up to 100. What they send beyond the window is held too, up to some megabytes, because the
//! acknowledgements of our publishes come behind it. Only then are bytes left in the socket. Because
//! the same task then sends neither pings nor acknowledgements, it polls in short bursts.

use std::time::{Duration, Instant};

use crate::link::overflow::Occupancy;

/// Polls in one burst. rumqttc chooses at random between reading, writing and pinging, and reads up to
/// nine messages at a time; of this many polls some write.
const BURST_POLLS: u32 = 32;

/// Bytes that may be held beyond the receive maximum before reading pauses.
const MAX_HELD_BYTES: usize = 8 << 20;

/// Decides before each poll whether to read.
#[derive(Debug)]
pub(crate) struct ReadThrottle {
    window: usize,
    interval: Duration,
    polls_left: u32,
    burst_due: Option<Instant>,
}

impl ReadThrottle {
    /// `interval`: the longest time without a poll; well below the keep-alive.
    pub(crate) fn new(receive_maximum: u16, interval: Duration) -> Self {
        Self { window: receive_maximum.into(), interval, polls_left: 0, burst_due: None }
    }

    /// True if the connection may be polled although more may then have to be held.
    pub(crate) fn may_poll(&mut self, held: Occupancy, now: Instant) -> bool {
        if held.samples <= self.window || held.bytes <= MAX_HELD_BYTES {
            self.polls_left = 0;
            self.burst_due = None;
            return true;
        }
        if self.polls_left > 0 {
            self.polls_left -= 1;
            return true;
        }
        let due = *self.burst_due.get_or_insert(now + self.interval) <= now;
        if due {
            self.polls_left = BURST_POLLS - 1;
            self.burst_due = Some(now + self.interval);
        }
        due
    }

    /// When a paused connection may be polled next.
    pub(crate) fn next_burst(&self) -> Option<Instant> {
        self.burst_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    const FLOOD: Occupancy = Occupancy { samples: 1001, bytes: MAX_HELD_BYTES + 1 };

    #[test]
    fn a_broker_that_honours_the_window_is_never_paused() {
        let now = Instant::now();
        let mut throttle = ReadThrottle::new(1000, INTERVAL);
        assert!(throttle.may_poll(Occupancy { samples: 1000, bytes: usize::MAX }, now));
        assert!(throttle.may_poll(Occupancy { samples: 60_000, bytes: MAX_HELD_BYTES }, now));
        assert!(!throttle.may_poll(FLOOD, now));
        assert!(
            throttle.may_poll(Occupancy { samples: 1000, ..FLOOD }, now),
            "room ends the pause at once"
        );
    }

    #[test]
    fn a_paused_connection_is_polled_in_bursts() {
        let mut now = Instant::now();
        let mut throttle = ReadThrottle::new(1, INTERVAL);
        for _ in 0..3 {
            assert!(!throttle.may_poll(FLOOD, now));
            assert_eq!(throttle.next_burst(), Some(now + INTERVAL));
            now += INTERVAL;
            assert!((0..BURST_POLLS).all(|_| throttle.may_poll(FLOOD, now)));
        }
    }
}
