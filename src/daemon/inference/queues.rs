//! The queues to the workers, by stream.

use std::sync::mpsc::{self, SyncSender};

use super::messages::{Swap, ToWorker};
use crate::bundle::VerifiedModel;
use crate::ids::ModelName;
use crate::pipeline::{CompatibilityError, SwapEffect};

/// The worker queue and the model of every stream. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct WorkerQueues(Vec<(ModelName, SyncSender<ToWorker>)>);

/// Why the workers did not take up a model.
#[derive(Debug)]
pub(crate) enum SwapError {
    /// The model does not fit a stream.
    Misfit(Vec<CompatibilityError>),
    /// A worker has ended: the daemon is stopping.
    Stopping,
}

impl WorkerQueues {
    pub(crate) fn new(queues: impl IntoIterator<Item = (ModelName, SyncSender<ToWorker>)>) -> Self {
        Self(queues.into_iter().collect())
    }

    /// The streams of this model with the queues of their workers.
    pub(crate) fn of_model<'a>(
        &'a self,
        model: &'a ModelName,
    ) -> impl Iterator<Item = (usize, &'a SyncSender<ToWorker>)> {
        let streams = self.0.iter().enumerate().filter(move |(_, (name, _))| name == model);
        streams.map(|(stream, (_, queue))| (stream, queue))
    }

    /// Has every stream of the model run it. Blocks until the last one does: a worker answers
    /// between two steps, behind the samples in its queue.
    ///
    /// # Errors
    /// The first misfit, or a worker that has ended.
    pub(crate) fn swap(&self, loaded: &VerifiedModel) -> Result<Vec<SwapEffect>, SwapError> {
        let ask = |(stream, worker): (usize, &SyncSender<ToWorker>)| {
            let (answer, swapped) = mpsc::channel();
            let swap = Swap { stream, loaded: loaded.clone(), answer };
            worker.send(ToWorker::Swap(swap)).map_err(|_| SwapError::Stopping)?;
            Ok(swapped)
        };
        // All are asked before the first answer is awaited.
        let asked = self.of_model(&loaded.card.name).map(ask);
        let asked = asked.collect::<Result<Vec<_>, SwapError>>()?;
        let answers = asked.into_iter().map(|swapped| {
            swapped.recv().map_err(|_| SwapError::Stopping)?.map_err(SwapError::Misfit)
        });
        answers.collect()
    }
}
