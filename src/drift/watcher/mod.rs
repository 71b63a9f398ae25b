//! One stream beside its baseline: windows go in, alarms come out.

mod channel;
mod comparison;
mod inputs;
mod labels;
mod number;
mod rate;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use comparison::{Comparison, WindowQuantity, Worst};
use inputs::{InputQuantity, InputWatch};
use number::Level;

use super::baseline::{Baseline, Learner};
use super::device_rate::RateChange;
use super::quantity::{Features, Quantities};
use super::report::{
    Alarm, BaselineSource, DriftEvent, DriftReport, DriftState, EventKind, message, rounded,
};
use super::threshold::FalseAlarms;
use crate::clock::{Mono, Now, Timestamp};

/// A drift that lasts is told again after this.
const AGAIN: Duration = Duration::from_secs(24 * 3600);
/// Windows after which a stream without drift reports that once.
const STEADY_AFTER: u64 = 256;
/// The rate of windows is taken from this many and from one a second.
const RATE_WEIGHT: f64 = 64.0;

/// How a stream is watched.
#[derive(Clone, Debug)]
pub struct Settings {
    pub false_alarms: FalseAlarms,
    /// How long a baseline is learned where the bundle has none.
    pub learn: Duration,
    /// The names of the reasons for which inputs are rejected.
    pub reasons: &'static [&'static str],
}

/// Watches one stream.
#[derive(Clone, Debug)]
pub struct Watcher {
    settings: Settings,
    quantities: Arc<Quantities>,
    source: BaselineSource,
    phase: Phase,
    inputs: InputWatch,
    /// The first window that was compared.
    started: Option<Mono>,
    windows: u64,
    /// Windows at which the thresholds are set again for the rate of windows.
    next_thresholds: u64,
    told_steady: bool,
    state: DriftState,
    since: Option<Timestamp>,
    alarmed: Mono,
    /// The last alarm names a quantity of the input.
    is_cause_known: bool,
    alarms: u64,
    last_alarm: Option<Alarm>,
}

#[derive(Clone, Debug)]
enum Phase {
    Learning(Box<Learner>),
    Comparing(Box<Comparison>),
}

/// A quantity of the windows or of the inputs.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Window(WindowQuantity),
    Input(InputQuantity),
}

impl Watcher {
    /// Without a baseline it learns one first.
    #[must_use]
    pub fn new(
        settings: Settings,
        quantities: Arc<Quantities>,
        baseline: Option<Arc<Baseline>>,
    ) -> Self {
        let between = settings.false_alarms.windows_between(statistics(&quantities), 1.0);
        let inputs = InputWatch::new(settings.reasons, between);
        let (source, phase, state) = match baseline {
            Some(baseline) => {
                let comparison = Comparison::new(&quantities, baseline, between);
                (BaselineSource::Bundle, Phase::Comparing(Box::new(comparison)), DriftState::Ok)
            }
            None => {
                let learner = Learner::new(quantities.clone(), settings.learn);
                (BaselineSource::None, Phase::Learning(Box::new(learner)), DriftState::Learning)
            }
        };
        Self {
            settings,
            quantities,
            source,
            phase,
            inputs,
            started: None,
            windows: 0,
            next_thresholds: 64,
            told_steady: false,
            state,
            since: None,
            alarmed: Mono(0),
            is_cause_known: false,
            alarms: 0,
            last_alarm: None,
        }
    }

    /// Goes on with a baseline that this stream learned before.
    pub fn resume(&mut self, learned: Arc<Baseline>) {
        self.compare_with(learned);
    }

    /// What was learned of a baseline so far, for [`Self::resume_learning`]; `None` if none is
    /// being learned.
    #[must_use]
    pub fn learning(&self, now: Mono) -> Option<Vec<u8>> {
        match &self.phase {
            Phase::Learning(learner) => Some(learner.save(now)),
            Phase::Comparing(_) => None,
        }
    }

    /// Goes on with what [`Self::learning`] returned, possibly in an earlier process. Returns
    /// whether that was of these quantities and whole; otherwise nothing changes.
    pub fn resume_learning(&mut self, saved: &[u8]) -> bool {
        if matches!(self.phase, Phase::Comparing(_)) {
            return false;
        }
        let learner = Learner::restore(self.quantities.clone(), self.settings.learn, saved);
        let is_restored = learner.is_some();
        if let Some(learner) = learner {
            self.phase = Phase::Learning(Box::new(learner));
        }
        is_restored
    }

    fn compare_with(&mut self, baseline: Arc<Baseline>) {
        let comparison = Comparison::new(&self.quantities, baseline, self.between(1.0));
        self.phase = Phase::Comparing(Box::new(comparison));
        self.source = BaselineSource::Learned;
        self.state = DriftState::Ok;
    }

    fn between(&self, windows_per_second: f64) -> f64 {
        let statistics = statistics(&self.quantities);
        self.settings.false_alarms.windows_between(statistics, windows_per_second)
    }

    /// Adds a window.
    pub fn window(&mut self, features: &Features, now: Now) -> WindowOutcome {
        self.since.get_or_insert(now.wall);
        match &mut self.phase {
            Phase::Learning(learner) => {
                let Some(baseline) = learner.window(features, now.mono) else {
                    return WindowOutcome::default();
                };
                let learned = Arc::new(baseline);
                self.compare_with(learned.clone());
                self.since = Some(now.wall);
                let kind = EventKind::Learned;
                let event = DriftEvent { kind, time: now.wall, alarm: None };
                WindowOutcome { event: Some(event), learned: Some(learned) }
            }
            Phase::Comparing(comparison) => {
                let changed = comparison.window(features, number::seconds(now.wall));
                self.windows += 1;
                self.started.get_or_insert(now.mono);
                self.update_thresholds(now.mono);
                let told = self.windows == STEADY_AFTER;
                let event = if changed || told { self.judge(now) } else { None };
                WindowOutcome { event, learned: None }
            }
        }
    }

    /// Inputs that were taken, and those rejected by number of the reason.
    pub fn inputs(
        &mut self,
        taken: u32,
        rejected: impl IntoIterator<Item = (usize, u32)>,
        now: Now,
    ) -> Option<DriftEvent> {
        if matches!(self.phase, Phase::Learning(_)) {
            return None;
        }
        self.inputs.taken(taken);
        let mut changed = false;
        for (reason, count) in rejected {
            changed |= self.inputs.rejected(reason, count, number::seconds(now.wall));
        }
        if changed { self.judge(now) } else { None }
    }

    /// A window of a device ended; `change` if it is not at its usual rate.
    pub fn device(
        &mut self,
        device: &str,
        change: Option<RateChange>,
        now: Now,
    ) -> Option<DriftEvent> {
        let compares = matches!(self.phase, Phase::Comparing(_));
        if compares && self.inputs.device(device, change, now) { self.judge(now) } else { None }
    }

    /// Sets the thresholds for the rate of windows, each time there are twice as many.
    fn update_thresholds(&mut self, now: Mono) {
        if self.windows < self.next_thresholds {
            return;
        }
        self.next_thresholds = self.windows.saturating_mul(2);
        let elapsed = self.started.map_or(0.0, |started| now.since(started).as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "windows are far below 2^53")]
        let windows = self.windows as f64;
        let between = self.between((windows + RATE_WEIGHT) / (elapsed + RATE_WEIGHT));
        self.inputs.set_threshold(between);
        if let Phase::Comparing(comparison) = &mut self.phase {
            comparison.set_thresholds(&self.quantities, between);
        }
    }

    fn judge(&mut self, now: Now) -> Option<DriftEvent> {
        let Phase::Comparing(comparison) = &mut self.phase else { return None };
        let of_windows = comparison.judge();
        let Worst { mut state, mut level, mut is_input, quantity } = of_windows;
        let mut subject = Subject::Window(quantity);
        let of_inputs = self.inputs.judge(now.mono);
        if of_inputs.is_worse_than(&of_windows) {
            subject = Subject::Input(of_inputs.quantity);
            Worst { state, level, is_input, .. } = of_inputs;
        }
        let before = std::mem::replace(&mut self.state, state);
        if before != state {
            self.since = Some(now.wall);
        }
        let (is_drift, was_drift) = (state == DriftState::Drift, before == DriftState::Drift);
        let kind = match (was_drift, is_drift) {
            (false, true) => EventKind::Drift,
            (true, true) if now.mono.since(self.alarmed) >= AGAIN => EventKind::Drift,
            // The outputs were found first, and now their cause.
            (true, true) if is_input && !self.is_cause_known => EventKind::Drift,
            (true, false) => EventKind::Recovered,
            (false, false) if !self.told_steady && self.windows >= STEADY_AFTER => {
                EventKind::Steady
            }
            (_, _) => return None,
        };
        self.told_steady = true;
        let alarm = is_drift.then(|| self.alarm(subject, level, now));
        if let Some(alarm) = &alarm {
            self.alarmed = now.mono;
            self.is_cause_known = is_input;
            self.alarms += 1;
            self.last_alarm = Some(alarm.clone());
        }
        Some(DriftEvent { kind, time: now.wall, alarm })
    }

    fn alarm(&self, subject: Subject, level: Level, now: Now) -> Alarm {
        let quantity = match subject {
            Subject::Window(quantity) => quantity.name(&self.quantities),
            Subject::Input(quantity) => self.inputs.name(quantity),
        };
        let changed = match subject {
            Subject::Input(InputQuantity::Rate) => self.inputs.changed_device(),
            Subject::Input(InputQuantity::Rejects(_)) | Subject::Window(_) => None,
        };
        let shift = level.shift.filter(|_| level.psi.is_none());
        let what = match (changed, shift, level.psi) {
            (Some((device, factor)), _, _) => {
                format!("of device {device} is {factor:.2} times the usual one")
            }
            (_, Some(shift), _) => {
                let side = if shift < 0.0 { "below" } else { "above" };
                format!("is {:.1} standard deviations {side} its baseline", shift.abs())
            }
            (_, _, Some(psi)) => format!("is distributed differently (PSI {psi:.2})"),
            (_, _, _) => "happens more often than in the baseline".to_owned(),
        };
        Alarm {
            message: message(&quantity, &what),
            quantity,
            statistic: level.statistic,
            shift: shift.map(rounded),
            psi: level.psi.map(rounded),
            device: changed.map(|(device, _)| device.to_owned()),
            from: level.from.unwrap_or(now.wall),
            to: now.wall,
        }
    }

    /// Whether a value of the window is so far outside of the range of the baseline that it counts
    /// as `CHANNEL.outside`.
    #[must_use]
    pub fn is_outside(&self, features: &Features) -> bool {
        matches!(&self.phase, Phase::Comparing(comparison) if comparison.is_outside(features))
    }

    #[must_use]
    pub fn state(&self) -> DriftState {
        self.state
    }

    /// All that is known, for health.
    #[must_use]
    pub fn report(&self, now: Mono) -> DriftReport {
        let (learned, quantities) = match &self.phase {
            Phase::Learning(learner) => (Some(rounded(learner.progress(now))), Vec::new()),
            Phase::Comparing(comparison) => {
                let windows = comparison.reports(&self.quantities).into_iter();
                (None, windows.chain(self.inputs.reports()).collect())
            }
        };
        DriftReport {
            state: self.state,
            since: self.since,
            baseline: self.source,
            learned,
            windows: self.windows,
            alarms: self.alarms,
            last_alarm: self.last_alarm.clone(),
            quantities,
        }
    }
}

/// What came of a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowOutcome {
    pub event: Option<DriftEvent>,
    /// A baseline that was completed with this window, to be kept.
    pub learned: Option<Arc<Baseline>>,
}

/// The statistics that share the rate: two sums and a histogram for each number, the events of
/// each channel, the labels and the inputs.
fn statistics(quantities: &Quantities) -> usize {
    quantities.len() * 3 + quantities.channels.len() * channel::EVENTS.len() + 2
}
