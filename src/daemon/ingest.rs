//! Routes messages from the link's poll loop to the queues of the workers and to the updates. Never
//! waits.

use std::sync::{Arc, PoisonError};

use super::captures::CaptureRequests;
use super::inference::queues::SampleQueue;
use super::inference::stats::SharedStats;
use super::subscriptions::labels_of;
use super::updates::mailbox::UpdateMailbox;
use crate::config::{RetainedInput, Stream};
use crate::link::{self, ReceivedMessage, Route};
use crate::message::{Delivery, Incoming};
use crate::pipeline::{LabelRouter, Router};

/// Routes each message to the workers of its streams, or to the update mailbox.
pub(crate) struct SampleRouter {
    router: Router,
    /// By stream index: its worker's queue.
    queues: Vec<SampleQueue>,
    /// By stream index.
    stats: Vec<SharedStats>,
    /// By stream index: whether it ignores retained messages.
    ignores: Vec<bool>,
    labels: LabelRouter,
    /// For messages of updates.
    mailbox: Arc<UpdateMailbox>,
    /// `None` if requests for captured inputs are not answered.
    captures: Option<Arc<CaptureRequests>>,
}

impl SampleRouter {
    pub(crate) fn new(
        streams: &[Stream],
        queues: Vec<SampleQueue>,
        stats: Vec<SharedStats>,
        mailbox: Arc<UpdateMailbox>,
        captures: Option<Arc<CaptureRequests>>,
    ) -> Self {
        let router = Router::new(streams);
        let ignores = streams.iter().map(|it| it.retained == RetainedInput::Ignore).collect();
        let labels = LabelRouter::new(streams);
        Self { router, queues, stats, ignores, labels, mailbox, captures }
    }
}

impl link::Ingest for SampleRouter {
    fn route(&mut self, topic: &str, payload: &[u8], deliveries: &mut Vec<Delivery>) -> Route {
        // This compares a prefix: only topics of updates reach the mailbox.
        if self.mailbox.receive(topic, payload) {
            return Route::Update;
        }
        if self.captures.as_ref().is_some_and(|it| it.receive(topic, payload)) {
            return Route::Update;
        }
        deliveries.extend(self.router.route(topic));
        let count = self.queues.len();
        let labels = self.labels.route(topic);
        deliveries.extend(labels.map(|it| Delivery { stream: labels_of(it.stream, count), ..it }));
        Route::Streams
    }

    fn admit(&mut self, message: ReceivedMessage<'_>, deliveries: &mut Vec<Delivery>) {
        let is_cleared = message.payload.is_empty() && !message.is_request;
        if !is_cleared && !message.retained {
            return;
        }
        deliveries.retain(|delivery| {
            let stream = delivery.stream;
            let Some((ignores, stats)) = self.ignores.get(stream).zip(self.stats.get(stream))
            else {
                // Retained labels may be joined as any; an empty message has none.
                return !is_cleared;
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
        if let Some(queue) = self.queues.get(sample.stream) {
            return queue.try_push(sample);
        }
        let index = sample.stream;
        let Some(stream) = index.checked_sub(self.queues.len()) else { return Err(sample) };
        let Some(queue) = self.queues.get(stream) else { return Err(sample) };
        let refused = queue.try_push_labels(Incoming { stream, ..sample });
        refused.map_err(|labels| Incoming { stream: index, ..labels })
    }

    fn dropped(&mut self, sample: Incoming) {
        let stream = sample.stream % self.stats.len().max(1);
        if let Some(stats) = self.stats.get(stream) {
            let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
            stats.dropped += 1;
            stats.condition.dropped.add(sample.received.mono, 1);
        }
    }
}
