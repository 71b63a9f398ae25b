//! Routes messages from the link's poll loop to the queues of the workers and to the updates. Never
//! waits.

use std::sync::{Arc, PoisonError};

use super::inference::queues::SampleQueue;
use super::inference::stats::SharedStats;
use super::updates::mailbox::UpdateMailbox;
use crate::config::{RetainedInput, Stream};
use crate::link::{self, ReceivedMessage, Route};
use crate::message::Incoming;
use crate::pipeline::Router;

/// Routes each message to the workers of its streams, or to the update mailbox.
pub(crate) struct SampleRouter {
    router: Router,
    /// By stream index: its worker's queue.
    queues: Vec<SampleQueue>,
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
        queues: Vec<SampleQueue>,
        stats: Vec<SharedStats>,
        mailbox: Arc<UpdateMailbox>,
    ) -> Self {
        let router = Router::new(streams);
        let ignores = streams.iter().map(|it| it.retained == RetainedInput::Ignore).collect();
        Self { router, queues, stats, ignores, mailbox }
    }
}

impl link::Ingest for SampleRouter {
    fn route(&mut self, topic: &str, payload: &[u8], streams: &mut Vec<usize>) -> Route {
        // This compares a prefix: only topics of updates reach the mailbox.
        if self.mailbox.receive(topic, payload) {
            return Route::Update;
        }
        streams.extend(self.router.streams(topic));
        Route::Streams
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

    fn offer(&mut self, sample: Incoming) -> Result<(), Incoming> {
        // Every stream that the router returns has a queue. If a worker has ended, the daemon
        // stops; until then its samples stay with the broker.
        match self.queues.get(sample.stream) {
            Some(queue) => queue.try_push(sample),
            None => Err(sample),
        }
    }

    fn dropped(&mut self, sample: Incoming) {
        if let Some(stats) = self.stats.get(sample.stream) {
            let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
            stats.dropped += 1;
            stats.condition.dropped.add(sample.received.mono, 1);
        }
    }
}
