//! The receive maximum: how many messages the broker may send without an acknowledgement.
//!
//! mosquitto up to 2.0.12 counts wrongly (its issue 2306): for each acknowledgement it sends a whole
//! window more, until all queued messages are in flight. Our publishes are then acknowledged behind
//! hundreds of megabytes of inputs, and packet ids are used twice. With a window of one it counts
//! right: one more for each acknowledgement. So a connection with far too many unacknowledged
//! messages is ended and made again with a window of one. The messages in flight stay in flight,
//! which keeps the workers busy until the flood is over; then the configured window is used again.

use std::time::{Duration, Instant};

/// Unacknowledged messages beyond the window that are tolerated: rumqttd 0.20 sends up to 100
/// whatever the window is.
const TOLERANCE: usize = 128;

/// With at most one unacknowledged message for this long, the flood is over.
const CALM_TIME: Duration = Duration::from_secs(10);

/// The receive maximum to request; outlives a connection.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    configured: u16,
    is_narrow: bool,
    calm_since: Option<Instant>,
}

/// The connection must be made again with another receive maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowChange {
    /// The broker exceeds the window.
    Narrow,
    /// The flood is over.
    Widen,
}

impl ReceiveWindow {
    pub(crate) fn new(configured: u16) -> Self {
        Self { configured: configured.max(1), is_narrow: false, calm_since: None }
    }

    /// The receive maximum of the next CONNECT.
    pub(crate) fn receive_maximum(&self) -> u16 {
        if self.is_narrow { 1 } else { self.configured }
    }

    /// A message was received; `unacknowledged` counts it.
    pub(crate) fn on_received(
        &mut self,
        unacknowledged: usize,
        now: Instant,
    ) -> Option<WindowChange> {
        if !self.is_narrow {
            let most = 2 * usize::from(self.configured) + TOLERANCE;
            return (unacknowledged > most).then(|| self.change_to(WindowChange::Narrow));
        }
        if unacknowledged > 1 {
            self.calm_since = None;
            return None;
        }
        let since = *self.calm_since.get_or_insert(now);
        (now.duration_since(since) >= CALM_TIME).then(|| self.change_to(WindowChange::Widen))
    }

    fn change_to(&mut self, change: WindowChange) -> WindowChange {
        self.is_narrow = change == WindowChange::Narrow;
        self.calm_since = None;
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_honours_the_window_keeps_it() {
        let now = Instant::now();
        let mut window = ReceiveWindow::new(256);
        assert!((0..=640).all(|count| window.on_received(count, now).is_none()));
        assert_eq!(window.receive_maximum(), 256);
    }

    #[test]
    fn a_flood_narrows_the_window_and_calm_widens_it() {
        let start = Instant::now();
        let mut window = ReceiveWindow::new(256);
        assert_eq!(window.on_received(641, start), Some(WindowChange::Narrow));
        assert_eq!(window.receive_maximum(), 1);
        assert_eq!(window.on_received(5_000, start), None, "once is enough");
        assert_eq!(window.on_received(1, start), None);
        assert_eq!(window.on_received(2, start + CALM_TIME), None, "not calm yet");
        assert_eq!(window.on_received(1, start + CALM_TIME), None);
        assert_eq!(window.on_received(1, start + 2 * CALM_TIME), Some(WindowChange::Widen));
        assert_eq!(window.receive_maximum(), 256);
    }
}
