//! Turns the detection of drift of a pipeline on, and takes what it found.

use std::sync::Arc;

use super::{Collector, DriftObserver, FeatureExtractor};
use crate::bundle::VerifiedModel;
use crate::clock::{Mono, Timestamp};
use crate::config::Stream;
use crate::drift::{Baseline, DriftEvent, DriftReport, EventKind, Features, Quantities};
use crate::pipeline::plan::StreamPlan;
use crate::pipeline::stream::Pipeline;

/// Why this stream does not use the baseline of its model's bundle, which is of another model;
/// `None` if it does, or if there is none.
#[must_use]
pub fn baseline_misfit(stream: &Stream, loaded: &VerifiedModel) -> Option<String> {
    let baseline = loaded.baseline.as_ref().filter(|_| stream.drift.enabled)?;
    let (card, model) = (&loaded.card, &loaded.model);
    let plan = StreamPlan::new(stream, card, model.inputs(), model.outputs()).ok()?;
    let extractor = FeatureExtractor::new(&plan, card, &card.fed(model.inputs()));
    baseline.check(extractor.quantities()).err()
}

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

    /// Whether a baseline is being learned.
    #[must_use]
    pub fn is_learning(&self) -> bool {
        self.observers.drift.as_ref().is_some_and(|drift| drift.is_learning())
    }

    /// What was learned of a baseline so far, for [`Self::resume_learning`]; `None` if none is being
    /// learned.
    #[must_use]
    pub fn learning(&self, now: Mono) -> Option<Vec<u8>> {
        self.observers.drift.as_ref()?.learning(now)
    }

    /// Goes on with what [`Self::learning`] returned, possibly in an earlier process. Returns
    /// whether it does: only with whole bytes of the same quantities.
    pub fn resume_learning(&mut self, saved: &[u8]) -> bool {
        self.observers.drift.as_mut().is_some_and(|drift| drift.resume_learning(saved))
    }

    /// How the windows compare with the baseline; `None` where they are not watched.
    #[must_use]
    pub fn drift_report(&self, now: Mono) -> Option<DriftReport> {
        self.observers.drift.as_ref().map(|drift| drift.report(now))
    }
}
