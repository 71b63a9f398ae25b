//! Heartbeats of the workers: a worker that does not get out of one step is stuck.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts starts and ends of steps. The watchdog reads it, and notifies systemd only while every
/// worker is idle or has made progress since the last check.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    started: AtomicU64,
    done: AtomicU64,
}

/// What the watchdog read at its last check.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeartbeatMonitor(u64);

impl Heartbeat {
    pub(crate) fn start(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the worker is between two steps, or in another step than at the `last` check.
    pub(crate) fn alive_since(&self, last: &mut HeartbeatMonitor) -> bool {
        let (started, done) =
            (self.started.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed));
        let idle = started == done;
        let moved = std::mem::replace(last, HeartbeatMonitor(started)) != HeartbeatMonitor(started);
        idle || moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_alive_while_idle_or_moving_and_not_while_stuck() {
        let (beat, mut pulse) = (Heartbeat::default(), HeartbeatMonitor::default());
        assert!(beat.alive_since(&mut pulse), "idle");
        assert!(beat.alive_since(&mut pulse), "still idle");
        beat.start();
        assert!(beat.alive_since(&mut pulse), "just started");
        assert!(!beat.alive_since(&mut pulse), "in the same step as before");
        beat.done();
        assert!(beat.alive_since(&mut pulse), "done");
        beat.start();
        beat.done();
        beat.start();
        assert!(beat.alive_since(&mut pulse), "in another step than before");
        assert!(!beat.alive_since(&mut pulse), "stuck again");
    }
}
