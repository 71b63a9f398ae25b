//! Turns the detection of drift of a pipeline on, and takes what it found.

use std::sync::Arc;

use super::{Collector, DriftObserver};
use crate::clock::{Mono, Timestamp};
use crate::drift::{Baseline, DriftEvent, DriftReport, EventKind, Features, Quantities};
use crate::pipeline::stream::Pipeline;

impl Pipeline {
    /// Watches the windows from now on beside the baseline of the model's bundle, or without one
    /// beside that which the stream `learned` before, or beside one that it learns. Does nothing
    /// where the stream has that turned off.
    ///
    /// # Errors
    /// In what the bundle's baseline is not of this model; another one is learned then.
    pub fn watch_drift(
        &mut self,
        baseline: Option<Arc<Baseline>>,
        learned: Option<Arc<Baseline>>,
    ) -> Result<(), String> {
        self.observers.drift = None;
        if !self.stream.drift.enabled {
            return Ok(());
        }
        let quantities = self.runner.extract_features().quantities().clone();
        if quantities.is_empty() {
            return Ok(());
        }
        let fit = baseline.as_ref().map_or(Ok(()), |baseline| baseline.check(&quantities));
        let baseline = baseline.filter(|_| fit.is_ok());
        let learned = learned.filter(|learned| learned.check(&quantities).is_ok());
        let observer = DriftObserver::new(&self.stream.drift, quantities, baseline, learned);
        self.observers.drift = Some(Box::new(observer));
        fit
    }

    /// Keeps the features of every window from now on.
    pub(in crate::pipeline) fn collect_features(&mut self) -> &Arc<Quantities> {
        self.observers.collector = Some(Collector::default());
        self.runner.extract_features().quantities()
    }

    /// The features so far, with the time of each window.
    pub(in crate::pipeline) fn take_features(&mut self) -> Vec<(Timestamp, Features)> {
        self.observers.collector.take().map(|collector| collector.windows).unwrap_or_default()
    }

    /// What happened since this was asked last. If an alarm did, the next inputs are captured where
    /// the stream asks for that.
    pub fn take_drift_events(&mut self) -> Vec<DriftEvent> {
        let events = self.observers.drift.as_mut().map(|drift| drift.take_events());
        let events = events.unwrap_or_default();
        let is_alarm = events.iter().any(|event| event.kind == EventKind::Drift);
        if let Some(count) = self.stream.drift.capture_inputs.filter(|_| is_alarm)
            && let Some(capture) = &mut self.observers.capture
        {
            capture.request_after_alarm(count);
        }
        events
    }

    /// A baseline that was completed since this was asked last.
    pub fn take_learned_baseline(&mut self) -> Option<Arc<Baseline>> {
        self.observers.drift.as_mut()?.take_learned()
    }

    /// How the windows compare with the baseline; `None` where they are not watched.
    #[must_use]
    pub fn drift_report(&self, now: Mono) -> Option<DriftReport> {
        self.observers.drift.as_ref().map(|drift| drift.report(now))
    }
}
