//! A candidate run on the same inputs as the model in use, and compared with it. What it says is
//! counted and forgotten; nothing it does reaches a result.
//!
//! | kind | agrees when |
//! |---|---|
//! | classification | the label is the same (below the threshold: none) |
//! | multi-label | the labels over their thresholds are the same |
//! | anomaly | both are on the same side of their thresholds |
//! | regression, raw | each number is within the golden tolerance of the candidate's card, relative to the number where that is above 1 |

use std::mem::{discriminant, take};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::infer::Infer;
use super::interpret::{Body, Elements, Verdict};
use super::reject::Reject;
use super::runner::{Runner, Source, Watch};
use crate::bundle::batched_arrays::reals;
use crate::bundle::card::{Card, Kind};
use crate::config::Stream;

/// For a card without golden vectors.
const TOLERANCE: f64 = 1e-3;

/// What a candidate did beside the model in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShadowTally {
    /// Inputs that the model in use had a verdict for.
    pub runs: u32,
    /// Inputs for which the candidate's verdict was the same.
    pub agreed: u32,
    /// Runs of the candidate that failed.
    pub errors: u32,
    /// Outputs of the candidate that were not finite, or named no label.
    pub nans: u32,
    /// Runs that were timed: all but the first of a stream, which pays for the buffers.
    pub timed: u32,
    /// Of the timed runs, the model in use.
    pub active_us: u64,
    /// Of the timed runs, the candidate.
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
    runner: Runner,
    tolerance: f64,
    /// Of the model in use, for the input at hand.
    said: Option<Said>,
    tally: ShadowTally,
    warm: bool,
    /// It panicked, and what it left behind is not run again.
    broken: bool,
}

/// As much of a verdict as two models are compared by.
#[derive(Debug, PartialEq)]
enum Said {
    Label(Option<String>),
    Labels(Vec<String>),
    Anomaly(bool),
    Numbers(Vec<f64>),
}

impl Shadow {
    /// # Errors
    /// Why the candidate cannot be compared with the model in use.
    pub(super) fn new(
        stream: &Stream,
        active: &Runner,
        card: Arc<Card>,
        model: Box<dyn Infer>,
    ) -> Result<Self, String> {
        let tolerance = card.golden.as_ref().map_or(TOLERANCE, |golden| golden.tolerance);
        let runner = Runner::new(stream, card, model).map_err(|misfits| {
            let misfits: Vec<String> = misfits.iter().map(ToString::to_string).collect();
            misfits.join("; ")
        })?;
        comparable(active, &runner)?;
        let tolerance = tolerance * runner.plan.output.unit();
        let tally = ShadowTally::default();
        Ok(Self { runner, tolerance, said: None, tally, warm: false, broken: false })
    }

    /// What happened since this was asked last.
    pub(super) fn take_tally(&mut self) -> ShadowTally {
        take(&mut self.tally)
    }

    /// Notes what the model in use made of the input at hand.
    pub(super) fn note(&mut self, verdict: &Verdict<'_>) {
        self.said = Some(said(verdict));
    }

    /// Runs the candidate on the input that [`Shadow::note`] was for; without one, not at all.
    /// `window` is what the model in use took where `source` is a window.
    pub(super) fn run(
        &mut self,
        source: Source<'_>,
        window: &[f64],
        active_us: u64,
        watch: &mut Watch<'_>,
    ) {
        let Some(active) = self.said.take() else { return };
        self.tally.runs = self.tally.runs.saturating_add(1);
        if self.broken {
            self.tally.errors = self.tally.errors.saturating_add(1);
            return;
        }
        self.runner.window.clear();
        self.runner.window.extend_from_slice(window);
        let mut own = watch.another();
        let runner = &mut self.runner;
        let run = || runner.run(source, &mut own).map(|(verdict, _)| said(&verdict));
        let candidate = catch_unwind(AssertUnwindSafe(run));
        let (_, candidate_us) = own.take();
        watch.pass();
        match candidate {
            Ok(Ok(candidate)) => self.compare(&active, &candidate, active_us, candidate_us),
            Ok(Err(Reject::BadOutput { .. })) => {
                self.tally.nans = self.tally.nans.saturating_add(1);
            }
            Ok(Err(_)) => self.tally.errors = self.tally.errors.saturating_add(1),
            Err(_) => {
                self.tally.errors = self.tally.errors.saturating_add(1);
                self.broken = true;
            }
        }
    }

    fn compare(&mut self, active: &Said, candidate: &Said, active_us: u64, candidate_us: u64) {
        let tally = &mut self.tally;
        if agree(active, candidate, self.tolerance) {
            tally.agreed = tally.agreed.saturating_add(1);
        }
        if self.warm {
            tally.timed = tally.timed.saturating_add(1);
            tally.active_us = tally.active_us.saturating_add(active_us);
            tally.candidate_us = tally.candidate_us.saturating_add(candidate_us);
        }
        self.warm = true;
    }
}

/// Whether both take the same inputs and say the same kind of thing.
fn comparable(active: &Runner, candidate: &Runner) -> Result<(), String> {
    let windows = |r: &Runner| r.plan.shape.map(|s| (s.length, s.channels, s.wide));
    if windows(active) != windows(candidate) {
        return Err("it takes windows of another shape".to_owned());
    }
    let sample = |r: &Runner| (r.plan.width, r.plan.direct);
    let channels = |r: &Runner| -> Vec<String> {
        r.card.inputs.iter().flat_map(|input| input.channels.clone()).collect()
    };
    let inputs = sample(active) == sample(candidate)
        && active.plan.fields == candidate.plan.fields
        && channels(active) == channels(candidate);
    if !inputs {
        return Err("it takes other channels".to_owned());
    }
    let (was, is) = (&active.card.output.kind, &candidate.card.output.kind);
    let same = match (was, is) {
        (Kind::Regression { names: was, .. }, Kind::Regression { names: is, .. }) => was == is,
        (Kind::Raw, Kind::Raw) => active.plan.output.shape() == candidate.plan.output.shape(),
        _ => discriminant(was) == discriminant(is),
    };
    if same { Ok(()) } else { Err("its output means something else".to_owned()) }
}

fn said(verdict: &Verdict<'_>) -> Said {
    match &verdict.body {
        Body::Classification { label, .. } => Said::Label(label.map(str::to_owned)),
        Body::MultiLabel { labels, scores, thresholds } => {
            let all = labels.iter().zip(*scores).zip(*thresholds);
            let over = all.filter(|((_, score), threshold)| score >= threshold);
            let mut over: Vec<String> = over.map(|((label, _), _)| label.clone()).collect();
            // Another model may have them in another order.
            over.sort_unstable();
            Said::Labels(over)
        }
        Body::Anomaly { anomaly, .. } => Said::Anomaly(*anomaly),
        Body::Regression { values, .. } => Said::Numbers(widened(values)),
        Body::Raw { elements: Elements::Reals(values), .. } => Said::Numbers(widened(values)),
        Body::Raw { elements: Elements::Stored(values), .. } => Said::Numbers(reals(values)),
    }
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

fn agree(active: &Said, candidate: &Said, tolerance: f64) -> bool {
    let (Said::Numbers(active), Said::Numbers(candidate)) = (active, candidate) else {
        return active == candidate;
    };
    let near = |(a, c): (&f64, &f64)| (a - c).abs() <= tolerance * a.abs().max(1.0);
    active.len() == candidate.len() && active.iter().zip(candidate).all(near)
}
