//! How many messages the broker is asked to send ahead of our acknowledgements.
//!
//! mosquitto up to 2.0.12 counts wrongly (its issue 2306): for each acknowledgement it sends a whole
//! window more, until all it has queued is on the way. Our results are then acknowledged behind
//! hundreds of megabytes of inputs, and packet ids are used twice. With a window of one it counts
//! right: one more for each acknowledgement. So a connection on which far too much is on the way is
//! ended and made again with a window of one. What was on the way stays on the way, which keeps the
//! workers busy until the flood is over; then the configured window is asked for again.

use std::time::{Duration, Instant};

/// What a careful broker may be above the window: rumqttd 0.20 sends up to 100 whatever is asked.
const SPARE: usize = 128;

/// With no more than one message on the way for so long, the flood is over.
const CALM: Duration = Duration::from_secs(10);

/// What is to be asked of the broker; outlives a connection.
#[derive(Debug)]
pub(crate) struct Window {
    configured: u16,
    is_narrow: bool,
    calm_since: Option<Instant>,
}

/// The connection is to be made again with another window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The broker does not keep to the window.
    Narrow,
    /// It has nothing more on the way.
    Widen,
}

impl Window {
    pub(crate) fn new(configured: u16) -> Self {
        Self { configured: configured.max(1), is_narrow: false, calm_since: None }
    }

    /// The receive maximum of the next CONNECT.
    pub(crate) fn to_ask(&self) -> u16 {
        if self.is_narrow { 1 } else { self.configured }
    }

    /// A message came, and so many are without an acknowledgement now, itself included.
    pub(crate) fn on_the_way(&mut self, unacknowledged: usize, now: Instant) -> Option<Change> {
        if !self.is_narrow {
            let most = 2 * usize::from(self.configured) + SPARE;
            return (unacknowledged > most).then(|| self.turn(Change::Narrow));
        }
        if unacknowledged > 1 {
            self.calm_since = None;
            return None;
        }
        let since = *self.calm_since.get_or_insert(now);
        (now.duration_since(since) >= CALM).then(|| self.turn(Change::Widen))
    }

    fn turn(&mut self, change: Change) -> Change {
        self.is_narrow = change == Change::Narrow;
        self.calm_since = None;
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_counts_right_is_left_alone() {
        let now = Instant::now();
        let mut window = Window::new(256);
        assert!((0..=640).all(|count| window.on_the_way(count, now).is_none()));
        assert_eq!(window.to_ask(), 256);
    }

    #[test]
    fn a_flood_narrows_the_window_and_calm_widens_it() {
        let start = Instant::now();
        let mut window = Window::new(256);
        assert_eq!(window.on_the_way(641, start), Some(Change::Narrow));
        assert_eq!(window.to_ask(), 1);
        assert_eq!(window.on_the_way(5_000, start), None, "once is enough");
        assert_eq!(window.on_the_way(1, start), None);
        assert_eq!(window.on_the_way(2, start + CALM), None, "not calm yet");
        assert_eq!(window.on_the_way(1, start + CALM), None);
        assert_eq!(window.on_the_way(1, start + 2 * CALM), Some(Change::Widen));
        assert_eq!(window.to_ask(), 256);
    }
}
