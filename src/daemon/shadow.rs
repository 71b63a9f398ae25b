//! A candidate beside the active model on live inputs: how well they agree, and at what cost.
//!
//! ```text
//! let outcome = shadow(&lanes, &candidate, runs, max).await?;   // candidate: a `Loaded`, proved
//! outcome.verdict(&Terms { min_agreement, max_error_rate, max_slowdown })   // Result<(), Reason>
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

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::switch::Lanes;
use super::worker::ToWorker;
use crate::bundle::Loaded;
use crate::ids::ModelName;
use crate::pipeline::ShadowTally;
use crate::update::ShadowReport;
use crate::update::device::Reason;

/// Timed runs from which a slowdown says anything.
const TIMED_MIN: u32 = 10;
/// Runs that differ by less say nothing, in microseconds.
const TIME_SLACK: u32 = 20;

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShadowError {
    #[error("the candidate cannot be compared with the active model: {0}")]
    NotComparable(String),
    #[error("the model was changed, or the daemon is stopping")]
    Interrupted,
    #[error("no stream here uses a model {0}")]
    NoSuchModel(ModelName),
}

/// What a candidate must not fall short of; the last two are those of the trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
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
    pub(crate) fn verdict(&self, terms: &Terms) -> Result<(), Reason> {
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
    lanes: &Lanes,
    candidate: &Loaded,
    runs: u32,
    max: Duration,
) -> Result<ShadowOutcome, ShadowError> {
    let name = &candidate.card.name;
    let of_model = lanes.0.iter().enumerate().filter(|(_, (model, _))| model == name);
    let streams: Vec<_> = of_model.map(|(stream, (_, worker))| (stream, worker.clone())).collect();
    if streams.is_empty() {
        return Err(ShadowError::NoSuchModel(name.clone()));
    }
    let board = Arc::new(Board::new(runs));
    // Ends it wherever this future does.
    let _over = Over { board: board.clone(), streams: streams.clone() };
    let (asked, loaded) = (board.clone(), candidate.clone());
    let ask = move || {
        for (stream, worker) in streams {
            let part = Part(asked.clone());
            // A part that finds no worker says so as it is dropped.
            if worker
                .send(ToWorker::Shadow(Shadowing { stream, loaded: loaded.clone(), part }))
                .is_err()
            {
                log::debug!("stream {stream} has no worker for a shadow");
            }
        }
    };
    let wait = async {
        // Where queues are full this waits, and the time is already running.
        if spawn_blocking(ask).await.is_err() {
            log::debug!("a shadow was not started on all streams");
        }
        board.wait().await
    };
    match tokio::time::timeout(max, wait).await {
        Ok(ended) => ended,
        Err(_) => board.so_far(),
    }
}

/// What a worker is told: to run this candidate beside the stream's model.
#[derive(Debug)]
pub(crate) struct Shadowing {
    pub(crate) stream: usize,
    pub(crate) loaded: Loaded,
    pub(crate) part: Part,
}

/// One stream's part in a shadow; dropped before it is over, it ends the whole.
#[derive(Debug)]
pub(crate) struct Part(Arc<Board>);

impl Part {
    /// Counts; whether it goes on.
    pub(crate) fn add(&self, tally: &ShadowTally) -> bool {
        self.0.with(|state| {
            if state.ended.is_none() {
                state.tally.add(tally);
                if state.tally.runs >= state.wanted {
                    state.ended = Some(Ok(ShadowOutcome(state.tally)));
                }
            }
            state.ended.is_none()
        })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.with(|state| state.ended.is_some())
    }

    pub(crate) fn not_comparable(self, why: String) {
        self.0.end(ShadowError::NotComparable(why));
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.end(ShadowError::Interrupted);
    }
}

/// What all parts write on.
#[derive(Debug)]
struct Board {
    state: Mutex<State>,
    told: Notify,
}

#[derive(Debug)]
struct State {
    wanted: u32,
    tally: ShadowTally,
    ended: Option<Result<ShadowOutcome, ShadowError>>,
}

impl Board {
    fn new(wanted: u32) -> Self {
        let state = State { wanted, tally: ShadowTally::default(), ended: None };
        Self { state: Mutex::new(state), told: Notify::new() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut state);
        if state.ended.is_some() {
            self.told.notify_one();
        }
        result
    }

    /// Does nothing where it has ended already.
    fn end(&self, why: ShadowError) {
        self.with(|state| _ = state.ended.get_or_insert(Err(why)));
    }

    async fn wait(&self) -> Result<ShadowOutcome, ShadowError> {
        loop {
            if let Some(ended) = self.with(|state| state.ended.clone()) {
                return ended;
            }
            self.told.notified().await;
        }
    }

    /// The outcome when the time is up.
    fn so_far(&self) -> Result<ShadowOutcome, ShadowError> {
        self.with(|state| state.ended.clone().unwrap_or(Ok(ShadowOutcome(state.tally))))
    }
}

/// Ends a shadow as it is dropped, and has idle workers let go of the candidate.
struct Over {
    board: Arc<Board>,
    streams: Vec<(usize, std::sync::mpsc::SyncSender<ToWorker>)>,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.board.end(ShadowError::Interrupted);
        for (stream, worker) in &self.streams {
            // A worker whose queue is full sees with the next message that it is over.
            if worker.try_send(ToWorker::ShadowOver(*stream)).is_err() {
                log::trace!("stream {stream} is too busy to be told that a shadow is over");
            }
        }
    }
}
