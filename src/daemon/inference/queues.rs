//! The queues to the workers, by stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};

use super::messages::{Swap, ToWorker};
use crate::bundle::VerifiedModel;
use crate::ids::ModelName;
use crate::message::Incoming;
use crate::pipeline::{CompatibilityError, SwapEffect};

/// The bytes of samples that may wait in one worker's queue. `workers.queue` bounds their number: with
/// large payloads, such as images, the bytes are reached first. An empty queue accepts any sample.
pub(crate) const MAX_QUEUED_BYTES: usize = 16 << 20;

/// The queue to one worker, for samples: bounded in messages and in bytes. Cheap to clone; one thread
/// at a time may push.
#[derive(Clone, Debug)]
pub(crate) struct SampleQueue {
    worker: SyncSender<ToWorker>,
    queued_bytes: Arc<AtomicUsize>,
}

/// A sample in a worker's queue.
#[derive(Debug)]
pub(crate) struct QueuedSample {
    sample: Incoming,
    /// Where the bytes of the sample are returned.
    queued_bytes: Arc<AtomicUsize>,
}

impl SampleQueue {
    pub(crate) fn new(worker: SyncSender<ToWorker>) -> Self {
        Self { worker, queued_bytes: Arc::default() }
    }

    /// Puts a sample in the queue.
    ///
    /// # Errors
    /// Returns the sample if the queue is full, by messages or by bytes, or the worker has ended.
    #[expect(clippy::result_large_err, reason = "the sample is moved back, and held")]
    pub(crate) fn try_push(&self, sample: Incoming) -> Result<(), Incoming> {
        self.try_push_as(ToWorker::Sample, sample)
    }

    /// Puts a message with labels in the queue, behind the samples before it.
    ///
    /// # Errors
    /// As [`Self::try_push`].
    #[expect(clippy::result_large_err, reason = "the message is moved back, and held")]
    pub(crate) fn try_push_labels(&self, labels: Incoming) -> Result<(), Incoming> {
        self.try_push_as(ToWorker::Labels, labels)
    }

    #[expect(clippy::result_large_err, reason = "the message is moved back, and held")]
    fn try_push_as(
        &self,
        kind: fn(QueuedSample) -> ToWorker,
        sample: Incoming,
    ) -> Result<(), Incoming> {
        let bytes = sample.memory();
        let queued = self.queued_bytes.load(Ordering::Relaxed);
        if queued > 0 && queued.saturating_add(bytes) > MAX_QUEUED_BYTES {
            return Err(sample);
        }
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let queued = QueuedSample { sample, queued_bytes: self.queued_bytes.clone() };
        match self.worker.try_send(kind(queued)) {
            Err(
                TrySendError::Full(ToWorker::Sample(queued) | ToWorker::Labels(queued))
                | TrySendError::Disconnected(ToWorker::Sample(queued) | ToWorker::Labels(queued)),
            ) => Err(queued.take()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl QueuedSample {
    /// The sample. Its bytes no longer count for the queue.
    pub(crate) fn take(self) -> Incoming {
        self.queued_bytes.fetch_sub(self.sample.memory(), Ordering::Relaxed);
        self.sample
    }
}

#[cfg(test)]
impl From<Incoming> for QueuedSample {
    /// A sample of a queue of its own.
    fn from(sample: Incoming) -> Self {
        let queued_bytes = Arc::new(AtomicUsize::new(sample.memory()));
        Self { sample, queued_bytes }
    }
}

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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::clock::{Mono, Now, Timestamp};
    use crate::message::Captures;

    fn sample(bytes: usize) -> Incoming {
        Incoming {
            stream: 0,
            topic: "t".into(),
            captures: Captures::default(),
            payload: vec![0; bytes].into(),
            received: Now { wall: Timestamp(0), mono: Mono(0) },
            token: None,
            input_id: None,
            reply: None,
            retained: false,
        }
    }

    #[test]
    fn a_queue_is_full_by_messages_or_by_bytes() {
        let (worker, inbox) = sync_channel(3);
        let queue = SampleQueue::new(worker);
        let take = || match inbox.recv().unwrap() {
            ToWorker::Sample(queued) => queued.take().payload.len(),
            other => panic!("{other:?}"),
        };
        let half = MAX_QUEUED_BYTES / 2;
        assert!(queue.try_push(sample(half)).is_ok());
        let refused = queue.try_push(sample(half)).unwrap_err();
        assert_eq!(refused.payload.len(), half, "the sample comes back");
        assert!(queue.try_push(sample(1)).is_ok(), "a smaller one fits");
        assert!(queue.try_push(sample(1)).is_ok());
        assert!(queue.try_push(sample(1)).is_err(), "three messages");
        assert_eq!([take(), take(), take()], [half, 1, 1]);
        assert!(queue.try_push(sample(2 * MAX_QUEUED_BYTES)).is_ok(), "the queue is empty");
        assert!(queue.try_push(sample(1)).is_err());
        assert_eq!(take(), 2 * MAX_QUEUED_BYTES);
        assert_eq!(queue.queued_bytes.load(Ordering::Relaxed), 0);
    }
}
