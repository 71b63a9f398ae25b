//! The part of a shadow run that happens on the workers: each stream adds its tally to one sum.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::bundle::VerifiedModel;
use crate::ids::ModelName;
use crate::pipeline::ShadowTally;

/// Why a shadow run has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShadowError {
    #[error("the candidate cannot be compared with the active model: {0}")]
    NotComparable(String),
    #[error("the model was changed, or the daemon is stopping")]
    Interrupted,
    #[error("no stream here uses a model {0}")]
    NoSuchModel(ModelName),
}

/// Asks a worker to run this candidate beside the model of the stream.
#[derive(Debug)]
pub(crate) struct ShadowStart {
    pub(crate) stream: usize,
    pub(crate) candidate: VerifiedModel,
    pub(crate) share: ShadowShare,
}

/// One stream's share in a shadow run. Dropped before the run is over, it ends the whole run.
#[derive(Debug)]
pub(crate) struct ShadowShare(Arc<ShadowRun>);

impl ShadowShare {
    /// Adds the tally of one step. Returns whether the run goes on.
    pub(crate) fn add(&self, tally: &ShadowTally) -> bool {
        self.0.with(|state| {
            if state.ended.is_none() {
                state.tally.add(tally);
                if state.tally.runs >= state.wanted {
                    state.ended = Some(Ok(state.tally));
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

impl Drop for ShadowShare {
    fn drop(&mut self) {
        self.0.end(ShadowError::Interrupted);
    }
}

/// The shadow run of one candidate, shared by its streams and by the task that waits for it.
#[derive(Debug)]
pub(crate) struct ShadowRun {
    state: Mutex<RunState>,
    ended: Notify,
}

#[derive(Debug)]
struct RunState {
    wanted: u32,
    tally: ShadowTally,
    ended: Option<Result<ShadowTally, ShadowError>>,
}

impl ShadowRun {
    pub(crate) fn new(wanted: u32) -> Self {
        let state = RunState { wanted, tally: ShadowTally::default(), ended: None };
        Self { state: Mutex::new(state), ended: Notify::new() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut RunState) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut state);
        if state.ended.is_some() {
            self.ended.notify_one();
        }
        result
    }

    /// Hands out the share of one stream.
    pub(crate) fn share(self: &Arc<Self>) -> ShadowShare {
        ShadowShare(self.clone())
    }

    /// Ends the run; does nothing if it has ended already.
    pub(crate) fn end(&self, why: ShadowError) {
        self.with(|state| _ = state.ended.get_or_insert(Err(why)));
    }

    pub(crate) async fn wait(&self) -> Result<ShadowTally, ShadowError> {
        loop {
            if let Some(ended) = self.with(|state| state.ended.clone()) {
                return ended;
            }
            self.ended.notified().await;
        }
    }

    /// The outcome once the time is up.
    pub(crate) fn so_far(&self) -> Result<ShadowTally, ShadowError> {
        self.with(|state| state.ended.clone().unwrap_or(Ok(state.tally)))
    }
}
