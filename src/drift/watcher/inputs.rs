//! Rejected inputs by reason, and devices that send at another rate than usual.

use std::time::Duration;

use super::comparison::Worst;
use super::number::{Level, single, time_of};
use super::rate::RateWatch;
use crate::clock::{Mono, Now};
use crate::drift::device_rate::RateChange;
use crate::drift::report::{DriftState, QuantityReport, rounded};

/// Inputs that the usual share of rejects is taken from.
const LEARNED: u64 = 1_000;
/// A share of rejects that is usual whatever the first inputs were like.
const USUAL_LEAST: f64 = 0.005;
/// The share that is to be found soonest.
const RAISED: f64 = 0.05;
/// A device that sent nothing for so long is not counted any more.
const SILENT: Duration = Duration::from_secs(600);

/// The inputs of a stream.
#[derive(Clone, Debug)]
pub(super) struct InputWatch {
    reasons: &'static [&'static str],
    inputs: u64,
    /// Rejected among the first.
    first_rejected: u64,
    /// By reason; made with the first reject after the usual share is known.
    rejects: Vec<Option<Rejects>>,
    between: f64,
    changed: Option<ChangedDevice>,
}

#[derive(Clone, Copy, Debug)]
struct Rejects {
    watch: RateWatch,
    /// Inputs when it was updated last.
    at: u64,
}

/// The first device that was found at another rate.
#[derive(Clone, Debug)]
struct ChangedDevice {
    name: String,
    factor: f64,
    from: u32,
    seen: Mono,
}

impl InputWatch {
    pub(super) fn new(reasons: &'static [&'static str], between: f64) -> Self {
        let rejects = vec![None; reasons.len()];
        Self { reasons, inputs: 0, first_rejected: 0, rejects, between, changed: None }
    }

    pub(super) fn set_threshold(&mut self, between: f64) {
        self.between = between;
        let known = self.rejects.iter_mut().flatten();
        known.for_each(|rejects| rejects.watch.set_threshold(between));
    }

    /// Inputs that were taken.
    pub(super) fn taken(&mut self, count: u32) {
        self.inputs = self.inputs.saturating_add(u64::from(count));
    }

    /// Inputs that were rejected, for the reason of this number. Returns whether a state may have
    /// changed.
    pub(super) fn rejected(&mut self, reason: usize, count: u32, now: u32) -> bool {
        let before = self.inputs;
        self.inputs = self.inputs.saturating_add(u64::from(count));
        if before < LEARNED {
            self.first_rejected = self.first_rejected.saturating_add(u64::from(count));
            return false;
        }
        let (usual, between) = (self.usual(), self.between);
        let Some(place) = self.rejects.get_mut(reason) else { return false };
        if place.is_none() {
            let watch = RateWatch::new(usual, RAISED, between);
            *place = watch.map(|watch| Rejects { watch, at: before });
        }
        let Some(rejects) = place else { return false };
        rejects.settle(before);
        let capped = count.min(1_000);
        (0..capped).for_each(|_| _ = rejects.watch.add(true, now));
        rejects.at = self.inputs;
        true
    }

    fn usual(&self) -> f64 {
        let rejected = u32::try_from(self.first_rejected).unwrap_or(u32::MAX);
        #[expect(clippy::cast_precision_loss, reason = "1000")]
        let share = f64::from(rejected) / LEARNED as f64;
        (1.5 * share).max(USUAL_LEAST)
    }

    /// A window of a device ended; `change` if the device is not at its usual rate.
    pub(super) fn device(&mut self, name: &str, change: Option<RateChange>, now: Now) -> bool {
        let is_known = |known: &ChangedDevice| known.name == name;
        match (change, &mut self.changed) {
            (Some(change), Some(known)) if known.name == name => {
                (known.factor, known.seen) = (change.factor, now.mono);
                false
            }
            (Some(change), None) => {
                let from = super::number::seconds(now.wall);
                let (name, factor) = (name.to_owned(), change.factor);
                self.changed = Some(ChangedDevice { name, factor, from, seen: now.mono });
                true
            }
            (None, Some(known)) if is_known(known) => {
                self.changed = None;
                true
            }
            (Some(_) | None, _) => false,
        }
    }

    /// The worst quantity.
    pub(super) fn judge(&mut self, now: Mono) -> Worst<InputQuantity> {
        if self.changed.as_ref().is_some_and(|known| now.since(known.seen) > SILENT) {
            self.changed = None;
        }
        if let Some(known) = &self.changed {
            let from = Some(time_of(known.from));
            let level = Level { statistic: "rate", share: 1.0, from, ..Level::default() };
            return worst(DriftState::Drift, level, InputQuantity::Rate);
        }
        let inputs = self.inputs;
        let mut found = worst(DriftState::Ok, Level::default(), InputQuantity::Rate);
        for (reason, rejects) in self.rejects.iter_mut().enumerate() {
            let Some(rejects) = rejects else { continue };
            rejects.settle(inputs);
            let (state, level) = rejects.watch.judge();
            let seen = worst(state, level, InputQuantity::Rejects(reason));
            if seen.is_worse_than(&found) {
                found = seen;
            }
        }
        found
    }

    pub(super) fn name(&self, quantity: InputQuantity) -> String {
        match quantity {
            InputQuantity::Rate => "rate".to_owned(),
            InputQuantity::Rejects(reason) => {
                format!("rejects.{}", self.reasons.get(reason).copied().unwrap_or("other"))
            }
        }
    }

    /// The device that sends at another rate, and its rate over the usual one.
    pub(super) fn changed_device(&self) -> Option<(&str, f64)> {
        self.changed.as_ref().map(|known| (known.name.as_str(), known.factor))
    }

    pub(super) fn reports(&self) -> Vec<QuantityReport> {
        let rejects = self.rejects.iter().enumerate().filter_map(|(reason, rejects)| {
            let name = self.name(InputQuantity::Rejects(reason));
            Some(rejects.as_ref()?.watch.report(name))
        });
        let (state, level) = match &self.changed {
            Some(_) => (DriftState::Drift, 1.0),
            None => (DriftState::Ok, 0.0),
        };
        let level = rounded(f64::from(single(level)));
        let rate = QuantityReport { name: "rate".to_owned(), state, level, ..Default::default() };
        rejects.chain([rate]).collect()
    }
}

fn worst(state: DriftState, level: Level, quantity: InputQuantity) -> Worst<InputQuantity> {
    Worst { state, level, is_input: true, quantity }
}

impl Rejects {
    /// Takes the inputs since the last update as good ones.
    fn settle(&mut self, inputs: u64) {
        #[expect(clippy::cast_precision_loss, reason = "inputs are far below 2^53")]
        let passed = inputs.saturating_sub(self.at) as f64;
        self.watch.add_uneventful(passed);
        self.at = inputs;
    }
}

/// A quantity of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputQuantity {
    Rate,
    Rejects(usize),
}
