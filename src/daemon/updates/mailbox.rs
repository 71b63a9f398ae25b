//! Passes messages from the link's poll loop to the updates. Never waits.
//!
//! Bounded: one message for each requested topic, and the latest wins. All of them are retained
//! messages; they arrive again when they are requested again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::restore::{RestoredMachine, provisioned};
use crate::config::Config;
use crate::daemon::telemetry::topics;
use crate::ids::{Digest, ModelName};
use crate::link::{LinkHandle, Subscription};
use crate::update::Target;
use crate::update::manifest::MAX_CHUNK_SIZE;

/// Bytes of a deployment or keyset; longer ones are rejected.
const MAX_DOCUMENT_BYTES: usize = 17 << 10;

/// A message for one model's updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UpdateMessage {
    /// The target of the topic and the bytes of a deployment; empty if it was withdrawn.
    Deployment(Target, Vec<u8>),
    Keyset(Vec<u8>),
    Chunk {
        blob: Digest,
        index: u32,
        bytes: Vec<u8>,
    },
}

/// What arrives on a topic.
#[derive(Clone, Debug)]
enum Topic {
    Deployment(Target),
    Keyset,
    Chunk { blob: Digest, index: u32 },
}

/// The received messages of all models.
#[derive(Debug)]
pub(crate) struct UpdateMailbox {
    prefix: String,
    streams: Vec<Subscription>,
    notify: Vec<Arc<Notify>>,
    state: Mutex<MailboxState>,
}

#[derive(Debug, Default)]
struct MailboxState {
    /// By topic: what arrives on it, and the models that requested it.
    requested: BTreeMap<String, (Topic, BTreeSet<usize>)>,
    /// By model: the messages received and not drained yet, by topic.
    received: Vec<BTreeMap<String, UpdateMessage>>,
    /// Messages that no update was waiting for, or that a later one replaced.
    dropped: u64,
}

impl UpdateMailbox {
    pub(crate) fn new(
        config: &Config,
        streams: Vec<Subscription>,
        restored: &[RestoredMachine],
    ) -> Arc<Self> {
        let mut state = MailboxState {
            received: vec![BTreeMap::new(); restored.len()],
            ..MailboxState::default()
        };
        let prefix = config.gateway.prefix.clone();
        for (index, restored) in restored.iter().enumerate() {
            for (topic, target) in topics::deployments(&config.gateway, &restored.model) {
                state.request(topic, Topic::Deployment(target), index);
            }
            let next = restored.next_keyset();
            state.request(topics::keyset(&prefix, next), Topic::Keyset, index);
        }
        let notify = restored.iter().map(|_| Arc::default()).collect();
        Arc::new(Self { prefix, streams, notify, state: Mutex::new(state) })
    }

    /// All subscriptions: of the streams and of the updates.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        let state = self.state();
        let pulled = state.requested.keys().map(Subscription::pulled);
        self.streams.iter().cloned().chain(pulled).collect()
    }

    /// Stores a message for the models that requested it. Returns false if the topic is not one of
    /// updates.
    pub(crate) fn receive(&self, topic: &str, payload: &[u8]) -> bool {
        if self.notify.is_empty() || !topic.starts_with(&self.prefix) {
            return false;
        }
        let mut state = self.state();
        let Some((kind, models)) = state.requested.get(topic).cloned() else {
            // A chunk that arrived twice, or for an update that has ended.
            let is_ours = topics::is_of_updates(&self.prefix, topic);
            state.dropped += u64::from(is_ours);
            return is_ours;
        };
        // One byte above the limit is enough to reject a message that is too long.
        let part = |max: usize| payload.get(..=max).unwrap_or(payload).to_vec();
        let message = match kind {
            Topic::Deployment(target) => {
                UpdateMessage::Deployment(target, part(MAX_DOCUMENT_BYTES))
            }
            Topic::Keyset => UpdateMessage::Keyset(part(MAX_DOCUMENT_BYTES)),
            Topic::Chunk { blob, index } => {
                let max = usize::try_from(MAX_CHUNK_SIZE).unwrap_or(usize::MAX);
                UpdateMessage::Chunk { blob, index, bytes: part(max) }
            }
        };
        for model in models {
            let replaced = state
                .received
                .get_mut(model)
                .and_then(|received| received.insert(topic.to_owned(), message.clone()));
            state.dropped += u64::from(replaced.is_some());
            self.notify.get(model).iter().for_each(|notify| notify.notify_one());
        }
        true
    }

    /// Ready once there may be messages to [`UpdateMailbox::drain`].
    pub(super) async fn notified(&self, model: usize) {
        match self.notify.get(model) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Removes and returns all messages of a model. Keysets come first: the others are verified
    /// with them.
    pub(super) fn drain(&self, model: usize) -> Vec<UpdateMessage> {
        let mut state = self.state();
        let received = state.received.get_mut(model).map(std::mem::take).unwrap_or_default();
        let mut messages: Vec<UpdateMessage> = received.into_values().collect();
        messages.sort_by_key(|message| !matches!(message, UpdateMessage::Keyset(_)));
        messages
    }

    /// Subscribes to what a model's update waits for, and to nothing else.
    pub(super) fn request(
        &self,
        model: usize,
        chunks: &BTreeSet<(Digest, u32)>,
        keyset: u64,
        link: &LinkHandle,
    ) {
        let mut state = self.state();
        let before: Vec<String> = state.requested.keys().cloned().collect();
        for (topic, (kind, models)) in &mut state.requested {
            let still = match kind {
                Topic::Deployment(_) => true,
                Topic::Keyset => *topic == topics::keyset(&self.prefix, keyset),
                Topic::Chunk { blob, index } => chunks.contains(&(*blob, *index)),
            };
            if !still {
                models.remove(&model);
            }
        }
        state.requested.retain(|_, (_, models)| !models.is_empty());
        state.request(topics::keyset(&self.prefix, keyset), Topic::Keyset, model);
        for (blob, index) in chunks {
            let topic = topics::chunk(&self.prefix, blob, *index);
            state.request(topic, Topic::Chunk { blob: *blob, index: *index }, model);
        }
        let changed = !state.requested.keys().eq(before.iter());
        drop(state);
        if changed {
            link.set_subscriptions(self.subscriptions());
        }
    }

    /// The number of dropped messages.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    /// A thread that panicked while it held this left no change half done.
    fn state(&self) -> MutexGuard<'_, MailboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailboxState {
    fn request(&mut self, topic: String, kind: Topic, model: usize) {
        self.requested.entry(topic).or_insert((kind, BTreeSet::new())).1.insert(model);
    }
}

/// Topics of every kind that updates subscribe to: the deployments of each model, the keyset after
/// the provisioned one, and a chunk of an empty blob, which does not exist. Empty if updates are
/// off.
pub(crate) fn all_topics(config: &Config) -> Vec<String> {
    let trust = config.updates.keyset.as_ref().and_then(|file| provisioned(file).ok());
    let Some(trust) = trust else { return Vec::new() };
    let prefix = &config.gateway.prefix;
    let models: BTreeSet<&ModelName> = config.streams.iter().map(|it| &it.model).collect();
    let of_model =
        |model| topics::deployments(&config.gateway, model).into_iter().map(|(topic, _)| topic);
    let next = trust.keyset().version.saturating_add(1);
    let shared = [topics::keyset(prefix, next), topics::chunk(prefix, &Digest::of(b""), 0)];
    models.into_iter().flat_map(of_model).chain(shared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: usize = 1;

    fn mailbox() -> UpdateMailbox {
        let mut state =
            MailboxState { received: vec![BTreeMap::new(); MODELS], ..MailboxState::default() };
        let group = Target::Group("line-a".into());
        state.request("p/deploy/group/line-a/motion".into(), Topic::Deployment(group), 0);
        state.request("p/keys/2".into(), Topic::Keyset, 0);
        let notify = vec![Arc::default(); MODELS];
        UpdateMailbox { prefix: "p".into(), streams: Vec::new(), notify, state: Mutex::new(state) }
    }

    #[test]
    fn the_latest_document_of_a_topic_wins_and_keysets_are_read_first() {
        let mailbox = mailbox();
        for bytes in [&b"first"[..], b"second"] {
            assert!(mailbox.receive("p/deploy/group/line-a/motion", bytes));
        }
        assert!(mailbox.receive("p/keys/2", b"keys"));
        let target = Target::Group("line-a".into());
        let messages = [
            UpdateMessage::Keyset(b"keys".to_vec()),
            UpdateMessage::Deployment(target, b"second".to_vec()),
        ];
        assert_eq!(mailbox.drain(0), messages);
        assert_eq!((mailbox.drain(0), mailbox.dropped()), (Vec::new(), 1));
    }

    #[test]
    fn unrequested_messages_are_dropped_and_long_ones_are_cut() {
        let mailbox = mailbox();
        assert!(mailbox.receive("p/blob/00/1", b"late"), "ours, and of no use");
        assert!(!mailbox.receive("p/gw-1/status", b"online"));
        assert!(!mailbox.receive("sensors/1", b"1,2,3"));
        assert_eq!((mailbox.drain(0), mailbox.dropped()), (Vec::new(), 1));
        assert!(mailbox.receive("p/keys/2", &vec![b'['; 1 << 20]));
        let Some(UpdateMessage::Keyset(bytes)) = mailbox.drain(0).pop() else {
            panic!("no keyset")
        };
        assert_eq!(bytes.len(), MAX_DOCUMENT_BYTES + 1);
    }
}
