//! Shadow runs: a candidate runs beside the active model on live inputs, to compare predictions and
//! run times.
//!
//! ```text
//! let outcome = run_shadow(&queues, &candidate, runs, max).await?;
//! outcome.verdict(&ShadowLimits { min_agreement, max_error_rate, max_slowdown })?;
//! ```
//!
//! The candidate runs on the workers of its streams, once for every prediction of the active model
//! and after it. Its predictions are not published, and it does not change any state. Each window
//! costs one more run. The shadow run ends after `runs` predictions of all streams together or
//! after `max`, whichever comes first; its outcome may have no run at all if the sensors are
//! silent.
//!
//! Dropping the future ends the run. A swap of the model and a stop of the daemon end it with
//! [`ShadowError::Interrupted`]. A candidate with other windows, channels or kinds of output gives
//! [`ShadowError::NotComparable`] at once; it is not rejected for that, and is judged by its trial.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::bundle::VerifiedModel;
use crate::daemon::inference::messages::ToWorker;
use crate::daemon::inference::queues::WorkerQueues;
use crate::daemon::inference::shadow_share::{ShadowError, ShadowRun, ShadowStart};
use crate::pipeline::ShadowTally;
use crate::update::ShadowReport;
use crate::update::machine::Reason;

/// Timed runs below which a slowdown is not judged.
const MIN_TIMED_RUNS: u32 = 10;
/// Smaller differences of a run time are noise, in microseconds.
const TIME_SLACK: u32 = 20;

/// The limits of a shadow run; the last two are those of the trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShadowLimits {
    /// Share of the predictions that must agree, 0 to 1.
    pub(crate) min_agreement: f64,
    /// Share of the runs that may fail, 0 to 1.
    pub(crate) max_error_rate: f64,
    /// Run time of the candidate over that of the active model.
    pub(crate) max_slowdown: f64,
}

/// The sum of all streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShadowOutcome(pub(crate) ShadowTally);

impl ShadowOutcome {
    /// Whether the candidate passes. An outcome without runs passes.
    ///
    /// # Errors
    /// The first of: outputs that are not numbers, too many failed runs, too little agreement, too
    /// slow.
    pub(crate) fn verdict(&self, limits: &ShadowLimits) -> Result<(), Reason> {
        let tally = &self.0;
        let predictions = tally.runs.saturating_sub(tally.errors).saturating_sub(tally.nans);
        if tally.nans > 0 {
            return Err(Reason::NotANumber);
        }
        if f64::from(tally.errors) > f64::from(tally.runs) * limits.max_error_rate {
            return Err(Reason::ErrorRate);
        }
        if f64::from(tally.agreed) < f64::from(predictions) * limits.min_agreement {
            return Err(Reason::Disagrees);
        }
        if self.is_slow(limits.max_slowdown) { Err(Reason::Slow) } else { Ok(()) }
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
        timed >= MIN_TIMED_RUNS && candidate > active * max_slowdown + slack
    }
}

/// Runs a candidate beside the active model on every stream of its name.
///
/// # Errors
/// See [`ShadowError`].
pub(crate) async fn run_shadow(
    queues: &WorkerQueues,
    candidate: &VerifiedModel,
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
                log::debug!("stream {stream} has no worker for a shadow run");
            }
        }
    };
    let wait = async {
        // This waits if queues are full; the time is already running.
        if spawn_blocking(ask).await.is_err() {
            log::debug!("a shadow run was not started on all streams");
        }
        run.wait().await
    };
    match tokio::time::timeout(max, wait).await {
        Ok(ended) => ended,
        Err(_) => run.so_far(),
    }
    .map(ShadowOutcome)
}

/// Ends a shadow run when it is dropped, and has idle workers release the candidate.
struct EndGuard {
    run: Arc<ShadowRun>,
    streams: Vec<(usize, std::sync::mpsc::SyncSender<ToWorker>)>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.run.end(ShadowError::Interrupted);
        for (stream, worker) in &self.streams {
            // A worker whose queue is full notices with its next message.
            if worker.try_send(ToWorker::ShadowEnded(*stream)).is_err() {
                log::trace!(
                    "the queue of stream {stream} is full: the end of a shadow run is noticed later"
                );
            }
        }
    }
}
