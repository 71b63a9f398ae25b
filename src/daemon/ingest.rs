//! Routes messages from the link's poll loop to the queues of the workers and to the updates. Never
//! waits.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, PoisonError};

use super::inference::messages::ToWorker;
use super::inference::stats::SharedStats;
use super::updates::mailbox::UpdateMailbox;
use crate::config::{RetainedInput, Stream};
use crate::link::{self, ReceivedMessage};
use crate::message::Incoming;
use crate::pipeline::Router;

/// Routes each message to the workers of its streams, or to the update mailbox.
pub(crate) struct SampleRouter {
    router: Router,
    /// By stream index: its worker's queue.
    queues: Vec<SyncSender<ToWorker>>,
    /// By stream index.
    stats: Vec<SharedStats>,
    /// By stream index: whether it ignores retained messages.
    ignores: Vec<bool>,
    /// For messages of updates.
    mailbox: Arc<UpdateMailbox>,
}

impl SampleRouter {
    pub(crate) fn new(
        streams: &[Stream],
        queues: Vec<SyncSender<ToWorker>>,
        stats: Vec<SharedStats>,
        mailbox: Arc<UpdateMailbox>,
    ) -> Self {
        let router = Router::new(streams);
        let ignores = streams.iter().map(|it| it.retained == RetainedInput::Ignore).collect();
        Self { router, queues, stats, ignores, mailbox }
    }
}

impl link::Ingest for SampleRouter {
    fn streams(&mut self, topic: &str, streams: &mut Vec<usize>) {
        streams.extend(self.router.streams(topic));
    }

    fn admit(&mut self, message: ReceivedMessage<'_>, streams: &mut Vec<usize>) {
        let is_cleared = message.payload.is_empty() && !message.is_request;
        if !is_cleared && !message.retained {
            return;
        }
        streams.retain(|stream| {
            let Some((ignores, stats)) = self.ignores.get(*stream).zip(self.stats.get(*stream))
            else {
                return true;
            };
            let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
            if is_cleared {
                stats.cleared += 1;
            } else if *ignores {
                stats.retained += 1;
            }
            !(is_cleared || *ignores)
        });
    }

    fn take(&mut self, topic: &str, payload: &[u8]) -> bool {
        self.mailbox.receive(topic, payload)
    }

    fn offer(&mut self, sample: Incoming) -> Result<(), Incoming> {
        // Every stream that the router returns has a queue. If a worker has ended, the daemon
        // stops; until then its samples stay with the broker.
        let Some(queue) = self.queues.get(sample.stream) else { return Err(sample) };
        queue.try_send(ToWorker::Sample(sample)).or_else(|refused| {
            let (TrySendError::Full(back) | TrySendError::Disconnected(back)) = refused;
            match back {
                ToWorker::Sample(sample) => Err(sample),
                // Only samples are sent here.
                ToWorker::Swap(_)
                | ToWorker::Shadow(_)
                | ToWorker::ShadowEnded(_)
                | ToWorker::Stop => Ok(()),
            }
        })
    }

    fn dropped(&mut self, sample: Incoming) {
        if let Some(stats) = self.stats.get(sample.stream) {
            let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
            stats.dropped += 1;
            stats.condition.dropped.add(sample.received.mono, 1);
        }
    }
}
