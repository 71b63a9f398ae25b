//! Events and effects of the update machine.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::assemble::Recipe;
use super::super::deployment::Source;
use super::super::manifest::Chunk;
use super::super::slots::VersionSlot;
use super::record::Record;
use super::types::{Reason, State, TrialStats};
use crate::ids::Digest;

/// An event.
#[derive(Clone, Debug)]
pub enum Event {
    /// A deployment's envelope, from whatever topic.
    Deployment(Vec<u8>),
    /// The deployment's topic was emptied.
    Withdrawn,
    Keyset(Vec<u8>),
    /// The answer to [`Effect::QueryHeld`].
    Held {
        chunks: BTreeSet<Digest>,
        files: BTreeSet<Digest>,
        /// Bytes that may still be written, the reserve left out.
        room: u64,
    },
    /// The answer to [`Effect::ReadManifest`]: the bytes of the kept chunks, one after the other.
    Opened(Vec<u8>),
    /// Bytes that are said to be this chunk.
    Chunk {
        blob: Digest,
        index: u32,
        bytes: Vec<u8>,
    },
    /// A chunk did not come: no answer, a refusal, no connection.
    Lost {
        blob: Digest,
        index: u32,
        /// Delay requested by the source; zero if none.
        wait: Duration,
    },
    /// The answer to [`Effect::Assemble`].
    Assembled(Result<(), Reason>),
    /// The answer to [`Effect::Probe`].
    Probed(Result<(), Reason>),
    /// The answer to [`Effect::Shadow`].
    Shadowed(Result<(), Reason>),
    /// Statistics of the active model since its activation.
    TrialProgress(TrialStats),
    /// The daemon shuts down cleanly. This does not count against the candidate.
    Stopping,
    /// The active version cannot be loaded.
    LoadFailed,
    /// A write failed: the disk is full, or an I/O error.
    StoreFailed,
    /// The manifest's envelope of a release that somebody brought to the gateway; its files are in
    /// the store already.
    Installed(Vec<u8>),
    /// A local command: roll back to the previous version.
    Rollback,
    /// The active version is in drift and is to be rolled back, see
    /// [`super::UpdateMachine::may_roll_back`].
    Drifted,
    /// A local command: activate another installed version.
    VersionSelected(Option<VersionSlot>),
    Tick,
}

/// An effect, to be executed in order: nothing that follows a [`Effect::Save`] or
/// [`Effect::StoreChunk`] may begin before that is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write the record. One write: it holds the slots and the job.
    Save(Record),
    /// Say which of these chunks and files are held, in any version.
    QueryHeld { chunks: Vec<Digest>, files: Vec<Digest> },
    /// Get a chunk; the answer is [`Event::Chunk`] or [`Event::Lost`].
    Fetch {
        source: Source,
        blob: Digest,
        index: u32,
        /// Where the chunk begins in its blob.
        offset: u64,
        chunk: Chunk,
    },
    /// Keep the verified bytes of a chunk.
    StoreChunk { chunk: Digest, bytes: Vec<u8> },
    /// Read these kept chunks, which are the manifest.
    ReadManifest { chunks: Vec<Digest> },
    /// Make the files of the version and verify them whole.
    Assemble { manifest: Digest, recipes: Vec<Recipe> },
    /// Delete the stored chunks of these blobs: the result had the wrong digest.
    Discard { blobs: Vec<Digest> },
    /// Load the candidate in a process of its own and run its golden vectors and golden samples.
    Probe { manifest: Digest },
    /// Run the candidate beside the active model.
    Shadow { manifest: Digest, runs: u32 },
    /// Switch between two steps; `None` is the built-in model.
    Activate(Option<VersionSlot>),
    /// Drop what neither the record's slots nor its job need.
    Sweep,
    /// Publish, retained.
    Report(Report),
    /// Log and count a rejected message.
    Reject(Reason),
}

/// Report of a gateway on a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub state: State,
    pub active: Option<VersionSlot>,
    pub previous: Option<VersionSlot>,
    pub candidate: Option<Digest>,
    /// Of the bytes to fetch, 0 to 1.
    pub progress: f32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
    /// The rollout it is about.
    pub deployment: String,
}
