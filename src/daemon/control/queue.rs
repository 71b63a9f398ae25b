//! The queue on disk, as local commands look at it and purge it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ids::StreamName;
use crate::outbox::{Record, Seq};
use crate::store::{Store, StoreError};

/// Bytes of payload that one look at the queue shows at most.
const MAX_PEEK_BYTES: usize = 1 << 20;
/// Results removed at a time.
const PURGE_BATCH: usize = 1024;

/// A queued result.
#[derive(Debug, Serialize)]
struct QueuedResult {
    seq: u64,
    stream: StreamName,
    priority: u8,
    topic: String,
    bytes: usize,
    /// The payload if it is JSON, else `null`.
    prediction: Option<serde_json::Value>,
}

impl From<Record> for QueuedResult {
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

/// The oldest queued results.
#[derive(Debug, Serialize)]
pub(super) struct Peeked {
    records: Vec<QueuedResult>,
    /// No more results are on disk.
    end: bool,
}

/// Reads the oldest `limit` results, and no more than a megabyte of them.
pub(super) fn peek(store: &mut Store, limit: u32) -> Result<Peeked, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut peeked = Peeked { records: Vec::new(), end: false };
    let mut after: Option<Seq> = None;
    let mut bytes = 0;
    while peeked.records.len() < limit && bytes < MAX_PEEK_BYTES {
        let loaded = store.load(after, limit - peeked.records.len())?;
        peeked.end = loaded.end;
        for record in loaded.records {
            bytes += record.message.payload.len();
            if peeked.records.len() == limit || bytes > MAX_PEEK_BYTES {
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

/// What a purge removed, by stream, and the error that ended it early.
pub(super) type Purged = (BTreeMap<StreamName, u64>, Option<StoreError>);

/// Removes all queued results.
pub(super) fn purge(store: &mut Store) -> Purged {
    let mut purged = BTreeMap::new();
    let mut after = None;
    loop {
        let loaded = match store.load(after, PURGE_BATCH) {
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
