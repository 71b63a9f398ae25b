//! The times of one step.

use crate::clock::{Clock, Mono};

/// Measures a step: what passes before a run is preparation, the run is the run.
pub(super) struct Stopwatch<'c> {
    clock: &'c dyn Clock,
    last: Mono,
    prepare: u64,
    run: u64,
}

impl<'c> Stopwatch<'c> {
    pub(super) fn start(clock: &'c dyn Clock, started: Mono) -> Self {
        Self { clock, last: started, prepare: 0, run: 0 }
    }

    /// One of its own, by the same clock.
    pub(super) fn another(&self) -> Self {
        Self::start(self.clock, self.clock.now().mono)
    }

    /// What passed until now is nobody's time.
    pub(super) fn pass(&mut self) {
        self.last = self.clock.now().mono;
    }

    fn lap(&mut self) -> u64 {
        let now = self.clock.now().mono;
        let lap = now.0.saturating_sub(self.last.0);
        self.last = now;
        lap
    }

    /// The preparation and the run since the last time this was asked.
    pub(super) fn take(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.prepare), std::mem::take(&mut self.run))
    }

    pub(super) fn prepared(&mut self) {
        self.prepare = self.lap();
    }

    pub(super) fn ran(&mut self) {
        self.run = self.lap();
    }
}
