//! The watcher of a stream, fed with its windows.

use std::sync::Arc;

use crate::clock::{Mono, Now, Timestamp};
use crate::config::Drift;
use crate::drift::{
    Baseline, DriftEvent, DriftReport, DriftState, FalseAlarms, Features, Quantities, RateChange,
    Settings, Watcher,
};
use crate::pipeline::reject::Reject;
use crate::pipeline::step_report::StepReport;

/// Watches the windows of one stream. Events wait until they are taken.
#[derive(Debug)]
pub(in crate::pipeline) struct DriftObserver {
    watcher: Watcher,
    events: Vec<DriftEvent>,
    learned: Option<Arc<Baseline>>,
}

impl DriftObserver {
    /// `baseline`: of the bundle; without one it is learned, or goes on with `learned`.
    pub(in crate::pipeline) fn new(
        config: &Drift,
        quantities: Arc<Quantities>,
        baseline: Option<Arc<Baseline>>,
        learned: Option<Arc<Baseline>>,
    ) -> Self {
        let (count, per) = config.false_alarms;
        let settings = Settings {
            false_alarms: FalseAlarms { count, per },
            learn: config.learn,
            reasons: &Reject::CODES,
        };
        let resumed = learned.filter(|_| baseline.is_none());
        let mut watcher = Watcher::new(settings, quantities, baseline);
        if let Some(learned) = resumed {
            watcher.resume(learned);
        }
        Self { watcher, events: Vec::new(), learned: None }
    }

    pub(in crate::pipeline) fn window(&mut self, features: &Features, now: Now) {
        let outcome = self.watcher.window(features, now);
        self.events.extend(outcome.event);
        if outcome.learned.is_some() {
            self.learned = outcome.learned;
        }
    }

    pub(in crate::pipeline) fn device(
        &mut self,
        device: &str,
        change: Option<RateChange>,
        now: Now,
    ) {
        self.events.extend(self.watcher.device(device, change, now));
    }

    pub(in crate::pipeline) fn is_learning(&self) -> bool {
        self.watcher.state() == DriftState::Learning
    }

    /// What was learned of a baseline so far; `None` if none is being learned.
    pub(in crate::pipeline) fn learning(&self, now: Mono) -> Option<Vec<u8>> {
        self.watcher.learning(now)
    }

    pub(in crate::pipeline) fn resume_learning(&mut self, saved: &[u8]) -> bool {
        self.watcher.resume_learning(saved)
    }

    /// Takes the counts of one message.
    pub(in crate::pipeline) fn inputs(&mut self, report: &StepReport, now: Now) {
        let rejected = report.rejects.iter().map(|of| (of.reject.index(), of.count));
        self.events.extend(self.watcher.inputs(report.samples, rejected, now));
    }

    pub(in crate::pipeline) fn is_drifting(&self) -> bool {
        self.watcher.state() == DriftState::Drift
    }

    /// Whether a value of the window is outside of the range of the baseline.
    pub(in crate::pipeline) fn is_outside(&self, features: &Features) -> bool {
        self.watcher.is_outside(features)
    }

    pub(in crate::pipeline) fn take_events(&mut self) -> Vec<DriftEvent> {
        std::mem::take(&mut self.events)
    }

    pub(in crate::pipeline) fn take_learned(&mut self) -> Option<Arc<Baseline>> {
        self.learned.take()
    }

    pub(in crate::pipeline) fn report(&self, now: Mono) -> DriftReport {
        self.watcher.report(now)
    }
}

/// Keeps the features of all windows, to make a baseline of them.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Collector {
    pub(in crate::pipeline) windows: Vec<(Timestamp, Features)>,
}
