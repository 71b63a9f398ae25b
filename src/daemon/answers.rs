//! What the desk answers to local commands.

use std::collections::BTreeMap;

use serde::Serialize;

use super::control::{Asked, Asker};
use super::desk::{Desk, FromStore};
use super::report::HealthSnapshot;
use super::serving::Serving;
use super::switch::{Choice, SwitchError};
use super::updates::{self, Order};
use crate::control::{Ask, Code, PEEK_MAX};
use crate::ids::{Digest, ModelName, StreamName};
use crate::monitor::health::{HealthState, Verdict};
use crate::outbox::{Event, Record, Seq};
use crate::pipeline::Swapped;
use crate::store::models::{ModelStore, StoredVersion, VersionSlot, VersionSlots};
use crate::store::{Store, StoreError, Usage};

/// Bytes of payload that one look at the queue shows at most.
const PEEK_BYTES: usize = 1 << 20;
/// Results removed at a time.
const PURGE_AT_ONCE: usize = 1024;
const CLOSED: &str = "the store is closed, results are kept in memory only; the daemon's log says \
                      why, and it tries again every few seconds";

/// The answer to `status`.
#[derive(Serialize)]
struct Status<'a> {
    /// The state is not `failed`: what `inferd status` exits by without options.
    healthy: bool,
    /// The messages of the reasons that make it `failed`.
    problems: Vec<&'a str>,
    #[serde(flatten)]
    verdict: &'a Verdict,
    health: &'a HealthSnapshot,
    models: &'a [ModelRow],
}

impl<'a> Status<'a> {
    fn new(health: &'a HealthSnapshot, models: &'a [ModelRow]) -> Self {
        let verdict = &health.verdict;
        let failed = verdict.reasons.iter().filter(|reason| reason.state == HealthState::Failed);
        Self {
            healthy: verdict.state != HealthState::Failed,
            problems: failed.map(|reason| reason.message.as_str()).collect(),
            verdict,
            health,
            models,
        }
    }
}

/// A version of a model, or the shipped one.
#[derive(Debug, Serialize)]
pub(super) struct ModelRow {
    name: String,
    version: Option<String>,
    digest: Digest,
    slot: &'static str,
    size: Option<u64>,
    disk_bytes: Option<u64>,
    state: &'static str,
}

/// A result that waits.
#[derive(Debug, Serialize)]
struct Waiting {
    seq: u64,
    stream: StreamName,
    priority: u8,
    topic: String,
    bytes: usize,
    /// The payload where it is JSON, else `null`.
    prediction: Option<serde_json::Value>,
}

impl From<Record> for Waiting {
    fn from(record: Record) -> Self {
        Self {
            seq: record.seq.0,
            priority: record.priority,
            topic: record.message.topic.clone(),
            bytes: record.message.payload.len(),
            prediction: serde_json::from_slice(&record.message.payload).ok(),
            stream: record.stream,
        }
    }
}

impl Desk {
    pub(super) fn asked(&mut self, asked: Asked) {
        let Asked { ask, body, answer } = asked;
        match ask {
            Ask::Status => self.tell_status(answer),
            Ask::Models => {
                let rows = self.model_rows();
                self.look(answer, rows, |_, rows, answer| {
                    answer.ok(&serde_json::json!({ "models": rows }));
                });
            }
            Ask::Use { model, digest } => self.use_version(&model, digest, answer),
            Ask::Install { .. } => updates::install(self.orders.clone(), body, answer),
            Ask::Rollback { model } => updates::roll_back(&self.orders, &model, answer),
            Ask::QueueStat => self.tell_queue(answer),
            Ask::QueuePeek { limit } => self.look(
                answer,
                move |store| store.map(|store| peek(store, limit.min(PEEK_MAX))),
                |_, found, answer| answer_store(answer, found),
            ),
            Ask::QueueDrain if !self.is_connected() => answer.refuse(
                Code::NoBroker,
                "the broker is away: what waits is sent when it is back (`inferd status` says why)",
            ),
            Ask::QueueDrain => {
                self.feed(Event::Hurry);
                self.tell_queue(answer);
            }
            Ask::QueuePurge => {
                self.look(
                    answer,
                    |store| store.map(purge),
                    |desk, purged, answer| {
                        for (stream, count) in purged.iter().flat_map(|(purged, _)| purged) {
                            log::warn!("stream {stream}: {count} waiting results removed by order");
                            desk.lost(stream, "purged", *count);
                        }
                        let outcome = purged.map(|(purged, failed)| {
                            failed.map_or_else(|| Ok(serde_json::json!({ "purged": purged })), Err)
                        });
                        answer_store(answer, outcome);
                    },
                );
            }
        }
    }

    /// By the word of whoever is here: no trial, and what served before is what one can go back to.
    fn use_version(&self, model: &str, digest: Option<Digest>, answer: Asker) {
        let Ok(model) = ModelName::parse(model) else {
            return answer.refuse(Code::Model, format!("{model:?} is no name of a model"));
        };
        if let Some(orders) = self.orders.get(&model) {
            return updates::order(orders, Order::Use(digest, answer));
        }
        let choice = digest.map_or(Choice::Shipped, Choice::Stored);
        let switch = self.switch.clone();
        tokio::spawn(async move {
            let edit = |slots: &mut VersionSlots, slot: Option<VersionSlot>| {
                if slots.active != slot {
                    slots.previous = std::mem::replace(&mut slots.active, slot);
                }
                slots.trial = None;
            };
            match switch.to(model, choice, edit).await {
                Ok(swapped) => {
                    let kept = swapped.iter().filter(|kept| **kept == Swapped::WindowsKept).count();
                    let streams = swapped.len();
                    answer.ok(&serde_json::json!({ "streams": streams, "windows_kept": kept }));
                }
                Err(error) => answer.refuse(code_of(&error), error.to_string()),
            }
        });
    }

    fn tell_queue(&mut self, answer: Asker) {
        self.look(
            answer,
            |store| store.map(|store| store.usage()),
            |desk, usage, answer| {
                desk.note_syncs(usage.as_ref());
                answer.ok(&desk.queue(usage));
            },
        );
    }

    fn tell_status(&mut self, answer: Asker) {
        let rows = self.model_rows();
        let look = move |mut store: Option<&mut Store>| {
            let usage: Option<Usage> = store.as_deref().map(Store::usage);
            (usage, rows(store.take()))
        };
        self.look(answer, look, |desk, (usage, rows), answer| {
            answer.ok(&Status::new(&desk.health(usage), &rows));
        });
    }

    /// Looks at the store on its thread, then goes on with what was found at the desk. Where the
    /// store does not keep up the asker is dropped, and told so.
    fn look<T: Send + 'static>(
        &self,
        answer: Asker,
        look: impl FnOnce(Option<&mut Store>) -> T + Send + 'static,
        then: impl FnOnce(&mut Self, T, Asker) + Send + 'static,
    ) {
        let to_self = self.to_self.clone();
        let question = move |store: Option<&mut Store>| {
            let found = look(store);
            let then = Box::new(move |desk: &mut Self| then(desk, found, answer));
            if to_self.send(FromStore::Then(then)).is_err() {
                log::debug!("the desk is closing");
            }
        };
        if self.store.run(question).is_err() {
            log::debug!("the store does not keep up: a local command is not answered");
        }
    }

    /// How to list the versions, on the store's thread.
    fn model_rows(&self) -> impl FnOnce(Option<&mut Store>) -> Vec<ModelRow> + Send + 'static {
        let (serving, versions) = (self.serving.clone(), self.switch.versions.clone());
        move |mut store| {
            let held = versions.as_ref().and_then(|versions: &ModelStore| versions.held().ok());
            let held = held.unwrap_or_default();
            let rows = serving.iter().flat_map(|serving| {
                let slots = store.as_mut().and_then(|store| store.slots(serving.name()).ok());
                rows_of(serving, &slots.unwrap_or_default(), &held)
            });
            rows.collect()
        }
    }
}

fn code_of(error: &SwitchError) -> Code {
    match error {
        SwitchError::NoSuchModel(_) | SwitchError::Unusable { .. } => Code::Model,
        SwitchError::Busy => Code::Busy,
        SwitchError::Store(_) | SwitchError::NoStore => Code::Store,
        SwitchError::Stopping => Code::Stopping,
    }
}

/// The versions of one model, what serves first.
fn rows_of(serving: &Serving, slots: &VersionSlots, held: &[StoredVersion]) -> Vec<ModelRow> {
    let row = |slot, digest: Digest, version: Option<&String>| {
        let held = held.iter().find(|held| held.digest == digest);
        let state = match held {
            _ if serving.stored == Some(digest) => "serving",
            Some(StoredVersion { size: Some(_), .. }) => "kept",
            Some(StoredVersion { size: None, .. }) => "incomplete",
            None => "missing",
        };
        ModelRow {
            name: serving.name().to_string(),
            version: version.cloned(),
            digest,
            slot,
            size: held.and_then(|held| held.size),
            disk_bytes: held.map(|held| held.disk_bytes),
            state,
        }
    };
    let active = if slots.trial.is_some() { "trial" } else { "active" };
    let named = [(active, &slots.active), ("previous", &slots.previous)];
    let named = named.into_iter().filter_map(|(name, slot)| {
        slot.as_ref().map(|slot| row(name, slot.digest, Some(&slot.version)))
    });
    let mut rows: Vec<ModelRow> = named.collect();
    rows.extend(slots.staged.map(|digest| row("staged", digest, None)));
    rows.push(ModelRow {
        name: serving.name().to_string(),
        version: Some(serving.shipped.version.clone()),
        digest: serving.shipped.digest,
        slot: "shipped",
        size: None,
        disk_bytes: None,
        state: if serving.stored.is_none() { "serving" } else { "kept" },
    });
    rows
}

fn answer_store<T: Serialize>(answer: Asker, found: Option<Result<T, StoreError>>) {
    match found {
        Some(Ok(found)) => answer.ok(&found),
        Some(Err(error)) => answer.refuse(Code::Store, error.to_string()),
        None => answer.refuse(Code::Store, CLOSED),
    }
}

#[derive(Serialize)]
struct Peeked {
    records: Vec<Waiting>,
    /// Nothing more waits on disk.
    end: bool,
}

fn peek(store: &mut Store, limit: u32) -> Result<Peeked, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut peeked = Peeked { records: Vec::new(), end: false };
    let mut after: Option<Seq> = None;
    let mut bytes = 0;
    while peeked.records.len() < limit && bytes < PEEK_BYTES {
        let loaded = store.load(after, limit - peeked.records.len())?;
        peeked.end = loaded.end;
        for record in loaded.records {
            bytes += record.message.payload.len();
            if peeked.records.len() == limit || bytes > PEEK_BYTES {
                peeked.end = false;
                break;
            }
            peeked.records.push(record.into());
        }
        if loaded.end || loaded.through.is_none() {
            break;
        }
        after = loaded.through;
    }
    Ok(peeked)
}

/// Removes all that waits, and counts it by stream; what stopped it half way comes with the counts.
fn purge(store: &mut Store) -> (BTreeMap<StreamName, u64>, Option<StoreError>) {
    let mut purged = BTreeMap::new();
    let mut after = None;
    loop {
        let loaded = match store.load(after, PURGE_AT_ONCE) {
            Ok(loaded) => loaded,
            Err(error) => return (purged, Some(error)),
        };
        let seqs: Vec<Seq> = loaded.records.iter().map(|record| record.seq).collect();
        if let Err(error) = store.remove(&seqs) {
            return (purged, Some(error));
        }
        for record in loaded.records {
            *purged.entry(record.stream).or_default() += 1;
        }
        if loaded.end || loaded.through.is_none() {
            return (purged, None);
        }
        after = loaded.through;
    }
}
