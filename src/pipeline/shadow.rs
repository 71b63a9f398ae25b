//! Runs a candidate on the same inputs as the active model and compares their predictions. Agreements
//! are counted; nothing of the candidate is published.
//! [`super::comparison`] defines when two models agree.

use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::carried::{CarriedPlan, CarriedState};
use super::comparison::{Answer, agree, answer_of, check_comparable};
use super::interpret::Prediction;
use super::model::Infer;
use super::reject::Reject;
use super::runner::{InputSource, ModelRunner};
use super::stopwatch::Stopwatch;
use crate::bundle::card::Card;
use crate::config::Stream;

/// The tolerance of a card without golden vectors.
const TOLERANCE: f64 = 1e-3;

/// The counts of a candidate beside the active model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShadowTally {
    /// Inputs for which the active model gave a prediction.
    pub runs: u32,
    /// Inputs for which the candidate's prediction agreed.
    pub agreed: u32,
    /// Runs of the candidate that failed.
    pub errors: u32,
    /// Outputs of the candidate that were not finite or named no label.
    pub nans: u32,
    /// Timed runs: all but the first of a stream, which allocates the buffers.
    pub timed: u32,
    /// The time of the active model in the timed runs.
    pub active_us: u64,
    /// The time of the candidate in the timed runs.
    pub candidate_us: u64,
}

impl ShadowTally {
    pub fn add(&mut self, more: &Self) {
        self.runs = self.runs.saturating_add(more.runs);
        self.agreed = self.agreed.saturating_add(more.agreed);
        self.errors = self.errors.saturating_add(more.errors);
        self.nans = self.nans.saturating_add(more.nans);
        self.timed = self.timed.saturating_add(more.timed);
        self.active_us = self.active_us.saturating_add(more.active_us);
        self.candidate_us = self.candidate_us.saturating_add(more.candidate_us);
    }
}

/// A candidate on one stream.
#[derive(Debug)]
pub(super) struct Shadow {
    runner: ModelRunner,
    tolerance: f64,
    /// The answer of the active model to the current input.
    active: Option<Answer>,
    tally: ShadowTally,
    warm: bool,
    /// It panicked and is not run again.
    broken: bool,
}

impl Shadow {
    /// # Errors
    /// The candidate cannot be compared with the active model; the text says why.
    pub(super) fn new(
        stream: &Stream,
        active: &ModelRunner,
        card: Arc<Card>,
        model: Box<dyn Infer>,
    ) -> Result<Self, String> {
        let tolerance = card.golden.as_ref().map_or(TOLERANCE, |golden| golden.tolerance);
        let runner = ModelRunner::new(stream, card, model).map_err(|misfits| {
            let misfits: Vec<String> = misfits.iter().map(ToString::to_string).collect();
            misfits.join("; ")
        })?;
        check_comparable(active, &runner)?;
        let tolerance = tolerance * runner.plan.output.unit();
        let tally = ShadowTally::default();
        Ok(Self { runner, tolerance, active: None, tally, warm: false, broken: false })
    }

    /// What it carries for each device.
    pub(super) fn carried(&self) -> Option<&Arc<CarriedPlan>> {
        self.runner.plan.carried.as_ref()
    }

    /// The time between two samples that starts the candidate's state over.
    pub(super) fn state_gap(&self) -> Option<Duration> {
        self.runner.plan.shape.and_then(|shape| shape.state_gap)
    }

    /// Takes the counts since the last call.
    pub(super) fn take_tally(&mut self) -> ShadowTally {
        take(&mut self.tally)
    }

    /// Records the prediction of the active model for the current input.
    pub(super) fn note(&mut self, prediction: &Prediction<'_>) {
        self.active = Some(answer_of(prediction));
    }

    /// Runs the candidate on the input of the last [`Shadow::note`], if there was one. Returns whether both
    /// agree; `None` if only one of them has a prediction. `state` is what it carries for the
    /// device; `window` holds the samples if `source` is a window.
    pub(super) fn run(
        &mut self,
        source: InputSource<'_>,
        state: &mut Option<Box<CarriedState>>,
        window: &[f64],
        active_us: u64,
        watch: &mut Stopwatch<'_>,
    ) -> Option<bool> {
        let active = self.active.take()?;
        self.tally.runs = self.tally.runs.saturating_add(1);
        if self.broken {
            self.tally.errors = self.tally.errors.saturating_add(1);
            return None;
        }
        self.runner.window.clear();
        self.runner.window.extend_from_slice(window);
        let mut own = watch.another();
        let runner = &mut self.runner;
        let run =
            || runner.run(source, state, &mut own).map(|(prediction, _)| answer_of(&prediction));
        let candidate = catch_unwind(AssertUnwindSafe(run));
        let (_, candidate_us) = own.take();
        watch.pass();
        match candidate {
            Ok(Ok(candidate)) => {
                return Some(self.compare(&active, &candidate, active_us, candidate_us));
            }
            Ok(Err(Reject::BadOutput { .. })) => {
                self.tally.nans = self.tally.nans.saturating_add(1);
            }
            Ok(Err(_)) => self.tally.errors = self.tally.errors.saturating_add(1),
            Err(_) => {
                self.tally.errors = self.tally.errors.saturating_add(1);
                self.broken = true;
            }
        }
        None
    }

    fn compare(
        &mut self,
        active: &Answer,
        candidate: &Answer,
        active_us: u64,
        candidate_us: u64,
    ) -> bool {
        let tally = &mut self.tally;
        let agreed = agree(active, candidate, self.tolerance);
        if agreed {
            tally.agreed = tally.agreed.saturating_add(1);
        }
        if self.warm {
            tally.timed = tally.timed.saturating_add(1);
            tally.active_us = tally.active_us.saturating_add(active_us);
            tally.candidate_us = tally.candidate_us.saturating_add(candidate_us);
        }
        self.warm = true;
        agreed
    }
}
