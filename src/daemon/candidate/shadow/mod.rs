//! A candidate beside the active model on live inputs: how well they agree, and at what cost.
//!
//! ```text
//! let outcome = shadow(&queues, &candidate, runs, max).await?;   // candidate: a `Loaded`, proved
//! outcome.verdict(&ShadowLimits { min_agreement, max_error_rate, max_slowdown })   // Result<(), Reason>
//! ```
//!
//! The candidate runs on its streams' workers, once for every input that the active model had a
//! verdict for, after that verdict was made; nothing it says is published and nothing it does
//! changes what is. That costs a window one more run. It is over after `runs` inputs of all streams
//! together or after `max`, whichever comes first; what came in until then is the outcome, which
//! may be no run at all on a gateway whose sensors are silent.
//!
//! Dropping the future ends it. A swap of the model and a stopping daemon end it as
//! [`ShadowError::Interrupted`]. A candidate that takes other windows, channels or kinds of output
//! is [`ShadowError::NotComparable`], at once: nothing is said against it, and only a trial can
//! tell more.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::bundle::Loaded;
use crate::daemon::inference::messages::ToWorker;
use crate::daemon::inference::queues::WorkerQueues;
use crate::daemon::inference::shadow_share::{ShadowError, ShadowRun, ShadowStart};
use crate::pipeline::ShadowTally;
use crate::update::ShadowReport;
use crate::update::device::Reason;

/// Timed runs from which a slowdown says anything.
const TIMED_MIN: u32 = 10;
/// Runs that differ by less say nothing, in microseconds.
const TIME_SLACK: u32 = 20;

/// What a candidate must not fall short of; the last two are those of the trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShadowLimits {
    /// Of the runs that gave a verdict, 0 to 1.
    pub(crate) min_agreement: f64,
    /// Of all runs, 0 to 1.
    pub(crate) max_error_rate: f64,
    /// The candidate's time over the active model's.
    pub(crate) max_slowdown: f64,
}

/// What the candidate did, all streams together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShadowOutcome(pub(crate) ShadowTally);

impl ShadowOutcome {
    /// Whether the candidate may serve. An outcome without runs says nothing against it.
    ///
    /// # Errors
    /// The first of: outputs that are not numbers, too many failed runs, too little agreement, too
    /// slow.
    pub(crate) fn verdict(&self, terms: &ShadowLimits) -> Result<(), Reason> {
        let tally = &self.0;
        let spoken = tally.runs.saturating_sub(tally.errors).saturating_sub(tally.nans);
        if tally.nans > 0 {
            return Err(Reason::NotANumber);
        }
        if f64::from(tally.errors) > f64::from(tally.runs) * terms.max_error_rate {
            return Err(Reason::ErrorRate);
        }
        if f64::from(tally.agreed) < f64::from(spoken) * terms.min_agreement {
            return Err(Reason::Disagrees);
        }
        if self.is_slow(terms.max_slowdown) { Err(Reason::Slow) } else { Ok(()) }
    }

    /// For the gateway's report.
    #[must_use]
    pub(crate) fn report(&self) -> ShadowReport {
        let tally = &self.0;
        let mean = |sum: u64| sum.checked_div(tally.timed.into()).unwrap_or(0);
        ShadowReport {
            runs: tally.runs,
            agreed: tally.agreed,
            active_us: mean(tally.active_us),
            candidate_us: mean(tally.candidate_us),
        }
    }

    fn is_slow(&self, max_slowdown: f64) -> bool {
        let ShadowTally { timed, active_us, candidate_us, .. } = self.0;
        #[expect(clippy::cast_precision_loss, reason = "no shadow takes 2^53 microseconds")]
        let (active, candidate) = (active_us as f64, candidate_us as f64);
        let slack = f64::from(timed) * f64::from(TIME_SLACK);
        timed >= TIMED_MIN && candidate > active * max_slowdown + slack
    }
}

/// Runs a candidate beside the active model on every stream of its name.
///
/// # Errors
/// See [`ShadowError`].
pub(crate) async fn shadow(
    queues: &WorkerQueues,
    candidate: &Loaded,
    runs: u32,
    max: Duration,
) -> Result<ShadowOutcome, ShadowError> {
    let name = &candidate.card.name;
    let of_model = queues.of_model(name);
    let streams: Vec<_> = of_model.map(|(stream, worker)| (stream, worker.clone())).collect();
    if streams.is_empty() {
        return Err(ShadowError::NoSuchModel(name.clone()));
    }
    let run = Arc::new(ShadowRun::new(runs));
    // Ends the run wherever this future ends.
    let _guard = EndGuard { run: run.clone(), streams: streams.clone() };
    let (asked, candidate) = (run.clone(), candidate.clone());
    let ask = move || {
        for (stream, worker) in streams {
            let (candidate, share) = (candidate.clone(), asked.share());
            // A share that reaches no worker ends the run as it is dropped.
            let start = ShadowStart { stream, candidate, share };
            if worker.send(ToWorker::Shadow(start)).is_err() {
                log::debug!("stream {stream} has no worker for a shadow");
            }
        }
    };
    let wait = async {
        // Where queues are full this waits, and the time is already running.
        if spawn_blocking(ask).await.is_err() {
            log::debug!("a shadow was not started on all streams");
        }
        run.wait().await
    };
    match tokio::time::timeout(max, wait).await {
        Ok(ended) => ended,
        Err(_) => run.so_far(),
    }
    .map(ShadowOutcome)
}

/// Ends a shadow as it is dropped, and has idle workers let go of the candidate.
struct EndGuard {
    run: Arc<ShadowRun>,
    streams: Vec<(usize, std::sync::mpsc::SyncSender<ToWorker>)>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.run.end(ShadowError::Interrupted);
        for (stream, worker) in &self.streams {
            // A worker whose queue is full sees with the next message that it is over.
            if worker.try_send(ToWorker::ShadowEnded(*stream)).is_err() {
                log::trace!("stream {stream} is too busy to be told that a shadow is over");
            }
        }
    }
}
