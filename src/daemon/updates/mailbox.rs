//! From the link's poll loop to the updates: takes, never waits.
//!
//! Every box has a bound: one message for each topic that was asked for, and the latest wins. All
//! of them are retained messages, which come again when they are asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::restore::{RestoredMachine, provisioned};
use crate::config::Config;
use crate::daemon::telemetry::topics;
use crate::ids::{Digest, ModelName};
use crate::link::{LinkHandle, Subscription};
use crate::update::Target;
use crate::update::manifest::CHUNK_MAX;

/// A longer deployment or keyset is refused whatever it says.
const DOCUMENT_MAX: usize = 17 << 10;

/// A message for one model's updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UpdateMessage {
    /// The bytes of a deployment and whom its topic is for; empty where it was withdrawn.
    Deployment(Target, Vec<u8>),
    Keyset(Vec<u8>),
    Chunk {
        blob: Digest,
        index: u32,
        bytes: Vec<u8>,
    },
}

/// What a topic stands for, and whose it is.
#[derive(Clone, Debug)]
enum Topic {
    Deployment(Target),
    Keyset,
    Chunk { blob: Digest, index: u32 },
}

/// The boxes of all models.
#[derive(Debug)]
pub(crate) struct UpdateMailbox {
    prefix: String,
    streams: Vec<Subscription>,
    boxes: Vec<Arc<Notify>>,
    state: Mutex<MailboxState>,
}

#[derive(Debug, Default)]
struct MailboxState {
    /// By topic: what it stands for and the models that want it.
    wanted: BTreeMap<String, (Topic, BTreeSet<usize>)>,
    /// By model: what came and was not taken yet.
    received: Vec<BTreeMap<String, UpdateMessage>>,
    /// Messages that nobody waited for any more, or that a later one replaced.
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
        let boxes = restored.iter().map(|_| Arc::default()).collect();
        Arc::new(Self { prefix, streams, boxes, state: Mutex::new(state) })
    }

    /// Everything that is to be subscribed to: for the streams and for the updates.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        let state = self.state();
        let pulled = state.wanted.keys().map(Subscription::pulled);
        self.streams.iter().cloned().chain(pulled).collect()
    }

    /// Puts a message in the boxes of those who want it; false where it is none of ours.
    pub(crate) fn receive(&self, topic: &str, payload: &[u8]) -> bool {
        if self.boxes.is_empty() || !topic.starts_with(&self.prefix) {
            return false;
        }
        let mut state = self.state();
        let Some((stands_for, models)) = state.wanted.get(topic).cloned() else {
            // A chunk that came twice, or for an update that has ended.
            let is_ours = topics::is_of_updates(&self.prefix, topic);
            state.dropped += u64::from(is_ours);
            return is_ours;
        };
        // One byte more than is allowed is as wrong as all of an endless one.
        let part = |max: usize| payload.get(..=max).unwrap_or(payload).to_vec();
        let message = match stands_for {
            Topic::Deployment(target) => UpdateMessage::Deployment(target, part(DOCUMENT_MAX)),
            Topic::Keyset => UpdateMessage::Keyset(part(DOCUMENT_MAX)),
            Topic::Chunk { blob, index } => {
                let max = usize::try_from(CHUNK_MAX).unwrap_or(usize::MAX);
                UpdateMessage::Chunk { blob, index, bytes: part(max) }
            }
        };
        for model in models {
            let replaced = state
                .received
                .get_mut(model)
                .and_then(|received| received.insert(topic.to_owned(), message.clone()));
            state.dropped += u64::from(replaced.is_some());
            self.boxes.get(model).iter().for_each(|notify| notify.notify_one());
        }
        true
    }

    /// Ready when there may be something to [`UpdateMailbox::drain`].
    pub(super) async fn notified(&self, model: usize) {
        match self.boxes.get(model) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }

    /// All that came for a model: keysets first, they say who may speak.
    pub(super) fn drain(&self, model: usize) -> Vec<UpdateMessage> {
        let mut state = self.state();
        let received = state.received.get_mut(model).map(std::mem::take).unwrap_or_default();
        let mut messages: Vec<UpdateMessage> = received.into_values().collect();
        messages.sort_by_key(|message| !matches!(message, UpdateMessage::Keyset(_)));
        messages
    }

    /// Asks the broker for what a model's update waits for now, and for nothing else.
    pub(super) fn request(
        &self,
        model: usize,
        chunks: &BTreeSet<(Digest, u32)>,
        keyset: u64,
        link: &LinkHandle,
    ) {
        let mut state = self.state();
        let before: Vec<String> = state.wanted.keys().cloned().collect();
        for (topic, (stands_for, models)) in &mut state.wanted {
            let still = match stands_for {
                Topic::Deployment(_) => true,
                Topic::Keyset => *topic == topics::keyset(&self.prefix, keyset),
                Topic::Chunk { blob, index } => chunks.contains(&(*blob, *index)),
            };
            if !still {
                models.remove(&model);
            }
        }
        state.wanted.retain(|_, (_, models)| !models.is_empty());
        state.request(topics::keyset(&self.prefix, keyset), Topic::Keyset, model);
        for (blob, index) in chunks {
            let topic = topics::chunk(&self.prefix, blob, *index);
            state.request(topic, Topic::Chunk { blob: *blob, index: *index }, model);
        }
        let changed = !state.wanted.keys().eq(before.iter());
        drop(state);
        if changed {
            link.set_subscriptions(self.subscriptions());
        }
    }

    /// How many messages were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    /// A thread that panicked while it held this left nothing half done that matters here.
    fn state(&self) -> MutexGuard<'_, MailboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailboxState {
    fn request(&mut self, topic: String, stands_for: Topic, model: usize) {
        self.wanted.entry(topic).or_insert((stands_for, BTreeSet::new())).1.insert(model);
    }
}

/// Topics of every kind that updates subscribe to: the deployments of each model, the keyset after
/// the provisioned one, and a chunk of a blob that nobody publishes, an empty one. None where there
/// are no updates.
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
        let boxes = vec![Arc::default(); MODELS];
        UpdateMailbox { prefix: "p".into(), streams: Vec::new(), boxes, state: Mutex::new(state) }
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
    fn what_nobody_asked_for_goes_nowhere_and_what_is_endless_is_cut() {
        let mailbox = mailbox();
        assert!(mailbox.receive("p/blob/00/1", b"late"), "ours, and of no use");
        assert!(!mailbox.receive("p/gw-1/status", b"online"));
        assert!(!mailbox.receive("sensors/1", b"1,2,3"));
        assert_eq!((mailbox.drain(0), mailbox.dropped()), (Vec::new(), 1));
        assert!(mailbox.receive("p/keys/2", &vec![b'['; 1 << 20]));
        let Some(UpdateMessage::Keyset(bytes)) = mailbox.drain(0).pop() else {
            panic!("no keyset")
        };
        assert_eq!(bytes.len(), DOCUMENT_MAX + 1);
    }
}
