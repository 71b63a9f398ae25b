//! When to stop reading. A broker that honours the receive maximum never sends more than may be
//! held for the workers. Some do not: mosquitto up to 2.0.12 sends a whole window more for each
//! acknowledgement (its issue 2306), until all it has is on the way; rumqttd 0.20 always sends up
//! to 100. What they send beyond the window is held too, up to some megabytes, because its
//! acknowledgements of our results come behind it. Only then are bytes left in the socket; the
//! same task can then send neither pings nor acknowledgements, so it takes a breath now and then.

use std::time::{Duration, Instant};

use super::held::Load;

/// Polls in one breath. rumqttc chooses at random between reading, writing and pinging, and reads
/// up to nine messages at a time; of so many polls some write.
const BREATH: u32 = 32;

/// Bytes held beyond the receive maximum up to which reading goes on.
const SPARE_BYTES: usize = 8 << 20;

/// Decides before each poll.
#[derive(Debug)]
pub(crate) struct Gate {
    window: usize,
    every: Duration,
    polls_left: u32,
    next_breath: Option<Instant>,
}

impl Gate {
    /// `every`: the longest time without a poll; well below the keep-alive.
    pub(crate) fn new(receive_maximum: u16, every: Duration) -> Self {
        Self { window: receive_maximum.into(), every, polls_left: 0, next_breath: None }
    }

    /// True where the connection may be polled though that may bring more to hold.
    pub(crate) fn is_open(&mut self, held: Load, now: Instant) -> bool {
        if held.samples <= self.window || held.bytes <= SPARE_BYTES {
            self.polls_left = 0;
            self.next_breath = None;
            return true;
        }
        if self.polls_left > 0 {
            self.polls_left -= 1;
            return true;
        }
        let due = *self.next_breath.get_or_insert(now + self.every) <= now;
        if due {
            self.polls_left = BREATH - 1;
            self.next_breath = Some(now + self.every);
        }
        due
    }

    /// When a closed gate opens by itself.
    pub(crate) fn opens_at(&self) -> Option<Instant> {
        self.next_breath
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(1);

    const FLOOD: Load = Load { samples: 1001, bytes: SPARE_BYTES + 1 };

    #[test]
    fn a_broker_that_honours_the_window_never_closes_it() {
        let now = Instant::now();
        let mut gate = Gate::new(1000, EVERY);
        assert!(gate.is_open(Load { samples: 1000, bytes: usize::MAX }, now));
        assert!(gate.is_open(Load { samples: 60_000, bytes: SPARE_BYTES }, now));
        assert!(!gate.is_open(FLOOD, now));
        assert!(gate.is_open(Load { samples: 1000, ..FLOOD }, now), "room opens it at once");
    }

    #[test]
    fn a_closed_gate_opens_for_a_breath_now_and_then() {
        let mut now = Instant::now();
        let mut gate = Gate::new(1, EVERY);
        for _ in 0..3 {
            assert!(!gate.is_open(FLOOD, now));
            assert_eq!(gate.opens_at(), Some(now + EVERY));
            now += EVERY;
            assert!((0..BREATH).all(|_| gate.is_open(FLOOD, now)));
        }
    }
}
