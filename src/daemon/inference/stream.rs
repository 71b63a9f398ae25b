//! One stream on its worker: the pipeline, its counters, and when its windows are saved.

use std::sync::PoisonError;
use std::time::Duration;

use super::drift::{DriftPublisher, LearnedBaseline, LearningProgress};
use super::messages::SwapOutcome;
use super::rejects::RejectSample;
use super::retained_inputs::{RetainedInputs, content};
use super::shadow_share::ShadowShare;
use super::stats::SharedStats;
use super::stream_counters;
use super::window_counters;
use crate::bundle::VerifiedModel;
use crate::capture::CaptureHandle;
use crate::clock::{Clock, Mono, Now};
use crate::config::{Drift, Gateway, RetainedInput, Stream, WindowSafety};
use crate::daemon::labels::SavedLabels;
use crate::daemon::live::SharedLive;
use crate::daemon::windows::SavedWindows;
use crate::daemon::windows::journal_state::SharedJournal;
use crate::daemon::windows::recent_inputs::RecentInputs;
use crate::drift::DriftReport;
use crate::ids::{Digest, StreamName};
use crate::message::{Incoming, InputId, InputProcessed, ResultMessage};
use crate::pipeline::{LabelReport, Pipeline, StepReport};
use crate::store::windows::Windows;

/// The journal entries may take this many times the bytes of their base before a new base is
/// written. A higher ratio takes more disk space, a lower one writes the base more often.
const JOURNAL_TO_BASE_RATIO: usize = 4;
/// Journal entries may take at least this many bytes before a new base is written.
const MIN_JOURNAL_BYTES: usize = 64 * 1024;
/// About the overhead of a journal entry in the store, in bytes.
const ENTRY_OVERHEAD: usize = 128;

/// The remembered predictions are saved at most this often, and at a clean stop: up to 1 MiB each time.
const LABELS_SAVE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Runs the pipeline of one stream on its worker.
pub(crate) struct StreamRunner {
    index: usize,
    name: StreamName,
    pipeline: Pipeline,
    stats: SharedStats,
    safety: WindowSafety,
    saves: SaveIntervals,
    retained: RetainedInput,
    retained_inputs: RetainedInputs,
    /// Inputs whose samples are in the windows.
    recent: RecentInputs,
    waiting: Vec<InputProcessed>,
    /// When the windows first changed since the last save.
    changed: Option<Mono>,
    journal: SharedJournal,
    /// Bytes that journal entries may still take before the next base.
    room: usize,
    /// While a candidate runs beside the active model.
    shadow: Option<ShadowShare>,
    live: SharedLive,
    /// Where the windows are watched for drift; with the digest of the model.
    drift: Option<(DriftPublisher, Digest)>,
    has_labels: bool,
    capture: Option<CaptureHandle>,
    /// When the remembered predictions first changed since they were saved.
    labels_changed: Option<Mono>,
}

impl StreamRunner {
    pub(crate) fn new(
        index: usize,
        stream: &Stream,
        pipeline: Pipeline,
        saves: SaveIntervals,
        recent: RecentInputs,
    ) -> Self {
        Self {
            index,
            name: stream.name.clone(),
            pipeline,
            stats: SharedStats::default(),
            safety: stream.windows,
            saves,
            retained: stream.retained,
            retained_inputs: RetainedInputs::new(stream.max_keys),
            recent,
            waiting: Vec::new(),
            changed: None,
            journal: SharedJournal::default(),
            room: 0,
            shadow: None,
            live: SharedLive::default(),
            drift: None,
            has_labels: stream.labels.is_some(),
            capture: None,
            labels_changed: None,
        }
    }

    /// The runner with a thread that writes captured inputs.
    pub(crate) fn with_capture(self, capture: Option<CaptureHandle>) -> Self {
        Self { capture, ..self }
    }

    /// The runner that publishes what the pipeline finds to drift; `model` is the digest of its
    /// model file.
    pub(crate) fn with_drift(mut self, gateway: &Gateway, drift: &Drift, model: Digest) -> Self {
        self.drift = Some((DriftPublisher::new(self.index, &self.name, gateway, drift), model));
        self
    }

    /// The runner with the statistics of restored labels.
    pub(crate) fn with_label_stats(self) -> Self {
        let labels = self.pipeline.label_stats();
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).labels = labels;
        self
    }

    pub(crate) fn step(
        &mut self,
        incoming: &Incoming,
        clock: &dyn Clock,
        out: &mut Vec<ResultMessage>,
    ) -> StepReport {
        if self.recent.contains(incoming.input_id) {
            // Its samples were restored with the windows, and the results of them were safe before.
            return StepReport::default();
        }
        if incoming.retained && self.is_repeated(incoming) {
            self.stats.lock().unwrap_or_else(PoisonError::into_inner).retained += 1;
            return StepReport::default();
        }
        let is_watched = self.live.is_watched(incoming.received.mono);
        if is_watched {
            self.pipeline.watch(&self.live.asked());
        } else if self.pipeline.unwatch() {
            self.live.clear();
        }
        if let Some(capture) = &self.capture {
            self.pipeline.request_capture(capture.take_request(self.index));
        }
        let mut outcome = self.pipeline.step(incoming, clock, out);
        if let Some(step) = self.pipeline.take_live() {
            self.live.add(step);
        }
        if let Some(capture) = &self.capture {
            let (captured, dropped) = self.pipeline.take_captured();
            capture.offer(self.index, captured, dropped);
        }
        let outdated =
            if incoming.retained { stream_counters::take_outdated(&mut outcome) } else { 0 };
        self.remember(incoming, &outcome);
        self.count_shadow();
        let now = clock.now();
        let after = now.mono;
        let drift = self.publish_drift(now, out);
        if self.has_labels && outcome.runs > 0 {
            self.labels_changed.get_or_insert(after);
        }
        if self.save_every().is_some() && outcome.values() > 0 {
            self.changed.get_or_insert(after);
            self.recent.record(incoming.input_id);
        }
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.retained += u64::from(outdated);
        stream_counters::count(&mut stats, &outcome, after.since(incoming.received.mono));
        stream_counters::note(&mut stats, &outcome, incoming.received, now);
        stats.history.add(after, stream_counters::minute(&outcome));
        if outcome.runs > 0 {
            stats.outputs.copy_from(self.pipeline.outputs());
        }
        if drift.is_some() {
            stats.drift = drift;
        }
        if let Some(fill) = outcome.fill {
            let window = stats.window.get_or_insert_default();
            window_counters::count(window, &outcome, fill, &self.pipeline);
            window_counters::log_fill(&self.name, outcome.samples, &window.device, fill);
        }
        outcome
    }

    /// Joins the labels of a message with the predictions of this stream.
    pub(crate) fn take_labels(&mut self, incoming: &Incoming, now: Mono) -> LabelReport {
        let report = self.pipeline.take_labels(incoming);
        self.labels_changed.get_or_insert(now);
        let stats = self.pipeline.label_stats();
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).labels = stats;
        report
    }

    /// When the remembered predictions are to be saved; `None` if they have not changed.
    pub(crate) fn save_labels_at(&self) -> Option<Mono> {
        Some(self.labels_changed?.plus(LABELS_SAVE_INTERVAL))
    }

    /// The remembered predictions to save; `None` if the stream has no labels or nothing changed.
    pub(crate) fn save_labels(&mut self) -> Option<SavedLabels> {
        self.labels_changed.take()?;
        Some(SavedLabels { stream: self.index, bytes: self.pipeline.save_labels()? })
    }

    /// Publishes what was found. Returns the report for health, now and then.
    fn publish_drift(&mut self, now: Now, out: &mut Vec<ResultMessage>) -> Option<DriftReport> {
        let (publisher, _) = self.drift.as_mut()?;
        publisher.publish(&mut self.pipeline, now, out)
    }

    /// Whether an alarm that may roll the model back came since this was asked last.
    pub(crate) fn take_rollback(&mut self) -> bool {
        self.drift.as_mut().is_some_and(|(publisher, _)| publisher.take_rollback())
    }

    /// A baseline that was completed since this was asked last.
    pub(crate) fn take_baseline(&mut self) -> Option<LearnedBaseline> {
        let baseline = self.pipeline.take_learned_baseline()?;
        let (_, model) = self.drift.as_ref()?;
        Some(LearnedBaseline { stream: self.index, model: *model, baseline })
    }

    /// When the progress of a learned baseline is to be saved; `None` while none is learned.
    pub(crate) fn save_progress_at(&self) -> Option<Mono> {
        self.drift.as_ref()?.0.save_at()
    }

    /// The progress of a learned baseline to save.
    pub(crate) fn save_progress(&mut self, now: Mono) -> Option<LearningProgress> {
        let (publisher, model) = self.drift.as_mut()?;
        publisher.take_progress(&self.pipeline, now, *model)
    }

    /// Whether a retained message is the last one processed of its topic, or one whose samples are
    /// in the windows. The broker sends retained messages with each new subscription.
    fn is_repeated(&self, incoming: &Incoming) -> bool {
        self.retained_inputs.contains(incoming) || self.recent.contains_content(content(incoming))
    }

    /// Records a processed input, to recognise it when it arrives again as a retained message.
    fn remember(&mut self, incoming: &Incoming, outcome: &StepReport) {
        if self.retained == RetainedInput::Ignore || outcome.values() == 0 {
            return;
        }
        self.retained_inputs.record(incoming);
        if self.keeps_samples() {
            let by_content = || InputId::of_content(content(incoming));
            self.recent.record(Some(incoming.input_id.unwrap_or_else(by_content)));
        }
    }

    /// Records a rejected input as the example that health shows.
    pub(crate) fn note_reject(&self, sample: &RejectSample) {
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = &mut stats.condition;
        let place = if sample.is_of_model() {
            &mut condition.last_failure
        } else {
            &mut condition.last_reject
        };
        *place = Some(sample.example());
    }

    /// Returns the report to pass on now; keeps it if the windows have to be durable first.
    pub(crate) fn hold(&mut self, taken: InputProcessed) -> Option<InputProcessed> {
        let journal = self.keeps_samples() && self.safety == WindowSafety::Journal;
        if journal && self.changed.is_some() {
            self.waiting.push(taken);
            return None;
        }
        Some(taken)
    }

    /// When the windows are to be saved; `None` if they have not changed or are not saved while the
    /// daemon runs.
    pub(crate) fn save_at(&self) -> Option<Mono> {
        Some(self.changed?.plus(self.save_every()?))
    }

    /// `None` if windows are saved at a clean stop only.
    fn save_every(&self) -> Option<Duration> {
        match self.safety {
            WindowSafety::Memory => None,
            WindowSafety::Checkpoint => self.keeps_samples().then_some(self.saves.checkpoint),
            WindowSafety::Journal => self.keeps_samples().then_some(self.saves.journal),
        }
    }

    pub(crate) fn save(&mut self, now: Now) -> SavedWindows {
        self.changed = None;
        SavedWindows {
            stream: self.index,
            windows: self.windows(now),
            waiting: std::mem::take(&mut self.waiting),
        }
    }

    /// As [`Self::save`], with a new base.
    pub(crate) fn save_whole(&mut self, now: Now) -> SavedWindows {
        self.journal.request_base();
        self.save(now)
    }

    fn windows(&mut self, now: Now) -> Windows {
        if self.safety != WindowSafety::Journal {
            return Windows::base(0, self.recent.prepend_to(&self.pipeline.snapshot(now)));
        }
        if self.journal.take_base_request() || !self.pipeline.has_base() || self.room == 0 {
            let number = fastrand::u64(..);
            let bytes = self.recent.prepend_to(&self.pipeline.base(number, now));
            self.room = bytes.len().saturating_mul(JOURNAL_TO_BASE_RATIO).max(MIN_JOURNAL_BYTES);
            return Windows::base(number, bytes);
        }
        let addition = self.pipeline.addition(now);
        let size = addition.as_ref().map_or(0, |addition| addition.bytes.len() + ENTRY_OVERHEAD);
        self.room = self.room.saturating_sub(size);
        Windows { base: None, entries: addition.into_iter().collect() }
    }

    pub(crate) fn journal(&self) -> SharedJournal {
        self.journal.clone()
    }

    pub(crate) fn stats(&self) -> SharedStats {
        self.stats.clone()
    }

    pub(crate) fn live(&self) -> SharedLive {
        self.live.clone()
    }

    /// Whether it has windows or joins to save.
    pub(crate) fn keeps_samples(&self) -> bool {
        self.pipeline.keeps_samples()
    }

    /// Runs another model from the next step on. No input may be waiting for a save.
    pub(crate) fn swap(&mut self, loaded: VerifiedModel) -> SwapOutcome {
        let swapped = self.pipeline.swap(loaded.card, Box::new(loaded.model.session()));
        if swapped.is_ok() {
            let labels = self.pipeline.label_stats();
            let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
            stats.version.renew();
            stats.labels = labels;
            // Another version is compared with its own baseline, from the start.
            stats.drift = None;
            drop(stats);
            if let Some((_, model)) = &mut self.drift {
                *model = loaded.digest;
                if let Err(why) = self.pipeline.watch_drift(loaded.baseline, None) {
                    log::warn!("stream {}: the baseline is not used: {why}", self.name);
                }
            }
            self.shadow = None;
        }
        swapped
    }

    /// Runs a candidate beside the model from the next step on.
    pub(crate) fn shadow(&mut self, candidate: VerifiedModel, share: ShadowShare) {
        if share.is_over() {
            return;
        }
        match self.pipeline.shadow(candidate.card, Box::new(candidate.model.session())) {
            Ok(()) => self.shadow = Some(share),
            Err(why) => share.not_comparable(format!("on stream {}, {why}", self.name)),
        }
    }

    pub(crate) fn end_shadow_if_over(&mut self) {
        if self.shadow.as_ref().is_some_and(ShadowShare::is_over) {
            self.shadow = None;
            self.pipeline.end_shadow();
        }
    }

    fn count_shadow(&mut self) {
        if let Some(share) = &self.shadow
            && !share.add(&self.pipeline.shadow_tally())
        {
            self.shadow = None;
            self.pipeline.end_shadow();
        }
    }

    pub(crate) fn name(&self) -> &StreamName {
        &self.name
    }
}

/// How often windows are saved, by the `windows` option of the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaveIntervals {
    pub(crate) checkpoint: Duration,
    pub(crate) journal: Duration,
}
