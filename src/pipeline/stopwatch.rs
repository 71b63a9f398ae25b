//! Measures the stages of a step.

use crate::clock::{Clock, Mono};

/// Measures a step: the time before a run is its preparation.
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

    /// Another stopwatch with the same clock.
    pub(super) fn another(&self) -> Self {
        Self::start(self.clock, self.clock.now().mono)
    }

    /// Discards the time until now.
    pub(super) fn pass(&mut self) {
        self.last = self.clock.now().mono;
    }

    fn lap(&mut self) -> u64 {
        let now = self.clock.now().mono;
        let lap = now.0.saturating_sub(self.last.0);
        self.last = now;
        lap
    }

    /// Takes the times of preparation and run since the last call.
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
