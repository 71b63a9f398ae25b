//! From the link's poll loop to the updates: takes, never waits.
//!
//! Every box has a bound: one message for each topic that was asked for, and the latest wins. All
//! of them are retained messages, which come again when they are asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::boot::{Draft, provisioned};
use crate::config::Config;
use crate::ids::{Digest, GatewayId, ModelName};
use crate::link::{LinkHandle, Subscription};
use crate::update::Target;
use crate::update::manifest::CHUNK_MAX;

/// A longer deployment or keyset is refused whatever it says.
const DOCUMENT_MAX: usize = 17 << 10;

/// A message for one model's updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Letter {
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
pub(crate) struct Post {
    prefix: String,
    streams: Vec<Subscription>,
    boxes: Vec<Arc<Notify>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By topic: what it stands for and the models that want it.
    wanted: BTreeMap<String, (Topic, BTreeSet<usize>)>,
    /// By model: what came and was not taken yet.
    came: Vec<BTreeMap<String, Letter>>,
    /// Messages that nobody waited for any more, or that a later one replaced.
    dropped: u64,
}

impl Post {
    pub(crate) fn new(config: &Config, streams: Vec<Subscription>, drafts: &[Draft]) -> Arc<Self> {
        let mut state = State { came: vec![BTreeMap::new(); drafts.len()], ..State::default() };
        let prefix = config.gateway.prefix.clone();
        for (index, draft) in drafts.iter().enumerate() {
            for (topic, target) in deployments(config, &draft.model) {
                state.want(topic, Topic::Deployment(target), index);
            }
            let next = draft.next_keyset();
            state.want(keyset_topic(&prefix, next), Topic::Keyset, index);
        }
        let boxes = drafts.iter().map(|_| Arc::default()).collect();
        Arc::new(Self { prefix, streams, boxes, state: Mutex::new(state) })
    }

    /// Everything that is to be subscribed to: for the streams and for the updates.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        let state = self.state();
        let pulled = state.wanted.keys().map(Subscription::pulled);
        self.streams.iter().cloned().chain(pulled).collect()
    }

    /// Puts a message in the boxes of those who want it; false where it is none of ours.
    pub(crate) fn take(&self, topic: &str, payload: &[u8]) -> bool {
        if self.boxes.is_empty() || !topic.starts_with(&self.prefix) {
            return false;
        }
        let mut state = self.state();
        let Some((stands_for, models)) = state.wanted.get(topic).cloned() else {
            // A chunk that came twice, or for an update that has ended.
            let is_ours = topic.strip_prefix(&self.prefix).is_some_and(|rest| {
                ["/blob/", "/keys/", "/deploy/"].iter().any(|ours| rest.starts_with(ours))
            });
            state.dropped += u64::from(is_ours);
            return is_ours;
        };
        // One byte more than is allowed is as wrong as all of an endless one.
        let part = |max: usize| payload.get(..=max).unwrap_or(payload).to_vec();
        let letter = match stands_for {
            Topic::Deployment(target) => Letter::Deployment(target, part(DOCUMENT_MAX)),
            Topic::Keyset => Letter::Keyset(part(DOCUMENT_MAX)),
            Topic::Chunk { blob, index } => {
                let max = usize::try_from(CHUNK_MAX).unwrap_or(usize::MAX);
                Letter::Chunk { blob, index, bytes: part(max) }
            }
        };
        for model in models {
            let replaced = state
                .came
                .get_mut(model)
                .and_then(|came| came.insert(topic.to_owned(), letter.clone()));
            state.dropped += u64::from(replaced.is_some());
            self.boxes.get(model).iter().for_each(|notify| notify.notify_one());
        }
        true
    }

    /// Ready when there may be something to [`Post::collect`].
    pub(super) async fn comes(&self, model: usize) {
        match self.boxes.get(model) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }

    /// All that came for a model: keysets first, they say who may speak.
    pub(super) fn collect(&self, model: usize) -> Vec<Letter> {
        let mut state = self.state();
        let came = state.came.get_mut(model).map(std::mem::take).unwrap_or_default();
        let mut letters: Vec<Letter> = came.into_values().collect();
        letters.sort_by_key(|letter| !matches!(letter, Letter::Keyset(_)));
        letters
    }

    /// Asks the broker for what a model's update waits for now, and for nothing else.
    pub(super) fn want(
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
                Topic::Keyset => *topic == keyset_topic(&self.prefix, keyset),
                Topic::Chunk { blob, index } => chunks.contains(&(*blob, *index)),
            };
            if !still {
                models.remove(&model);
            }
        }
        state.wanted.retain(|_, (_, models)| !models.is_empty());
        state.want(keyset_topic(&self.prefix, keyset), Topic::Keyset, model);
        for (blob, index) in chunks {
            let topic = chunk_topic(&self.prefix, blob, *index);
            state.want(topic, Topic::Chunk { blob: *blob, index: *index }, model);
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
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn want(&mut self, topic: String, stands_for: Topic, model: usize) {
        self.wanted.entry(topic).or_insert((stands_for, BTreeSet::new())).1.insert(model);
    }
}

fn keyset_topic(prefix: &str, version: u64) -> String {
    format!("{prefix}/keys/{version}")
}

fn chunk_topic(prefix: &str, blob: &Digest, index: u32) -> String {
    format!("{prefix}/blob/{blob}/{index}")
}

/// Topics of every kind that updates subscribe to: the deployments of each model, the keyset after
/// the provisioned one, and a chunk of a blob that nobody publishes, an empty one. None where there
/// are no updates.
pub(crate) fn topics(config: &Config) -> Vec<String> {
    let trust = config.updates.keyset.as_ref().and_then(|file| provisioned(file).ok());
    let Some(trust) = trust else { return Vec::new() };
    let prefix = &config.gateway.prefix;
    let models: BTreeSet<&ModelName> = config.streams.iter().map(|it| &it.model).collect();
    let of_model = |model| deployments(config, model).into_iter().map(|(topic, _)| topic);
    let next = trust.keyset().version.saturating_add(1);
    let shared = [keyset_topic(prefix, next), chunk_topic(prefix, &Digest::of(b""), 0)];
    models.into_iter().flat_map(of_model).chain(shared).collect()
}

/// The topics on which this gateway's deployments of a model come.
fn deployments(config: &Config, model: &ModelName) -> Vec<(String, Target)> {
    let gateway = &config.gateway;
    let id: &GatewayId = &gateway.id;
    let of_group = |group: &String| {
        let topic = format!("{}/deploy/group/{group}/{model}", gateway.prefix);
        (topic, Target::Group(group.clone()))
    };
    let own = format!("{}/deploy/gateway/{id}/{model}", gateway.prefix);
    let own = (own, Target::Gateway(id.clone()));
    gateway.groups.iter().map(of_group).chain([own]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: usize = 1;

    fn post() -> Post {
        let mut state = State { came: vec![BTreeMap::new(); MODELS], ..State::default() };
        let group = Target::Group("line-a".into());
        state.want("p/deploy/group/line-a/motion".into(), Topic::Deployment(group), 0);
        state.want("p/keys/2".into(), Topic::Keyset, 0);
        let boxes = vec![Arc::default(); MODELS];
        Post { prefix: "p".into(), streams: Vec::new(), boxes, state: Mutex::new(state) }
    }

    #[test]
    fn the_latest_document_of_a_topic_wins_and_keysets_are_read_first() {
        let post = post();
        for bytes in [&b"first"[..], b"second"] {
            assert!(post.take("p/deploy/group/line-a/motion", bytes));
        }
        assert!(post.take("p/keys/2", b"keys"));
        let target = Target::Group("line-a".into());
        let letters =
            [Letter::Keyset(b"keys".to_vec()), Letter::Deployment(target, b"second".to_vec())];
        assert_eq!(post.collect(0), letters);
        assert_eq!((post.collect(0), post.dropped()), (Vec::new(), 1));
    }

    #[test]
    fn what_nobody_asked_for_goes_nowhere_and_what_is_endless_is_cut() {
        let post = post();
        assert!(post.take("p/blob/00/1", b"late"), "ours, and of no use");
        assert!(!post.take("p/gw-1/status", b"online"));
        assert!(!post.take("sensors/1", b"1,2,3"));
        assert_eq!((post.collect(0), post.dropped()), (Vec::new(), 1));
        assert!(post.take("p/keys/2", &vec![b'['; 1 << 20]));
        let Some(Letter::Keyset(bytes)) = post.collect(0).pop() else { panic!("no keyset") };
        assert_eq!(bytes.len(), DOCUMENT_MAX + 1);
    }
}
