//! What the machine is told and what it asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::assemble::Recipe;
use super::super::deployment::Source;
use super::super::manifest::Chunk;
use super::record::{Record, Slot};
use crate::ids::Digest;

/// What the machine is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// A deployment's envelope, from whatever topic.
    Deployment(Vec<u8>),
    /// The deployment's topic was emptied.
    Withdrawn,
    Keyset(Vec<u8>),
    /// The answer to [`Effect::Survey`].
    Held {
        chunks: BTreeSet<Digest>,
        files: BTreeSet<Digest>,
        /// Bytes that may still be written, the reserve left out.
        room: u64,
    },
    /// The answer to [`Effect::Open`]: the bytes of the kept chunks, one after the other.
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
        /// How long the source wants to be left alone; zero where it did not say.
        wait: Duration,
    },
    /// The answer to [`Effect::Assemble`].
    Assembled(Result<(), Reason>),
    /// The answer to [`Effect::Probe`].
    Probed(Result<(), Reason>),
    /// The answer to [`Effect::Shadow`].
    Shadowed(Result<(), Reason>),
    /// How the active model has done since it was activated.
    Ran(Runs),
    /// The gateway stops in order: that it did says nothing against the candidate.
    Stopping,
    /// The active version cannot be loaded.
    Unusable,
    /// What was to be kept could not be written: no room, or a disk that fails.
    Unkept,
    /// The manifest's envelope of a release that somebody brought to the gateway; its files are in
    /// the store already.
    Installed(Vec<u8>),
    /// Whoever is at the gateway wants the version before the active one back.
    Back,
    /// Whoever is at the gateway chose another of the versions that are there.
    Chosen(Option<Slot>),
    Tick,
}

/// What the active model has done since it was activated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Runs {
    pub runs: u32,
    pub errors: u32,
    /// Outputs that were not numbers.
    pub nans: u32,
    /// Its latency over that of the model before; 1 where that is not known.
    pub slowdown: f64,
}

/// What the shell must do, in this order: nothing that follows a [`Effect::Save`] or
/// [`Effect::Keep`] may begin before that is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write the record. One write: it holds the slots and the job.
    Save(Record),
    /// Say which of these chunks and files are held, in any version.
    Survey { chunks: Vec<Digest>, files: Vec<Digest> },
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
    Keep { chunk: Digest, bytes: Vec<u8> },
    /// Read these kept chunks, which are the manifest.
    Open { chunks: Vec<Digest> },
    /// Make the files of the version and verify them whole.
    Assemble { manifest: Digest, recipes: Vec<Recipe> },
    /// Throw the kept chunks of these blobs away: together they were not what they should be.
    Discard { blobs: Vec<Digest> },
    /// Load the candidate in a process of its own and run its golden vectors and golden samples.
    Probe { manifest: Digest },
    /// Run the candidate beside the active model.
    Shadow { manifest: Digest, runs: u32 },
    /// Switch between two steps; `None` is the shipped model.
    Activate(Option<Slot>),
    /// Drop what neither the record's slots nor its job need.
    Sweep,
    /// Publish, retained.
    Report(Report),
    /// Log and count what was refused.
    Refuse(Reason),
}

/// What a gateway says of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub state: State,
    pub active: Option<Slot>,
    pub previous: Option<Slot>,
    pub candidate: Option<Digest>,
    /// Of the bytes to fetch, 0 to 1.
    pub progress: f32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
    /// The rollout it is about.
    pub deployment: String,
}

/// Where a gateway is with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Waiting,
    Fetching,
    Verifying,
    Probing,
    Shadow,
    Trial,
    Committed,
    RolledBack,
    Failed,
    Rejected,
    Cancelled,
}

impl State {
    /// Whether the update is over, one way or the other.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Committed
            | Self::RolledBack
            | Self::Failed
            | Self::Rejected
            | Self::Cancelled => true,
            Self::Waiting
            | Self::Fetching
            | Self::Verifying
            | Self::Probing
            | Self::Shadow
            | Self::Trial => false,
        }
    }
}

/// Why an update did not happen; stable on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Not a document of ours.
    Malformed,
    /// Too few signatures that count.
    Signatures,
    /// A keyset that does not follow the trusted one.
    Keyset,
    /// A deployment of an earlier number than one already seen.
    Replayed,
    /// For another gateway, group or model.
    Target,
    /// A release older than the one committed.
    Counter,
    Expired,
    /// This version failed here before.
    Refused,
    /// It needs a newer inferd or more memory.
    Requires,
    /// Not enough room on the disk.
    Disk,
    /// No source had the right bytes.
    Bytes,
    /// The model cannot be loaded.
    Load,
    /// It does not give what its golden vectors or golden samples ask for.
    Golden,
    /// The probe used too much memory.
    Memory,
    /// The probe crashed or took too long, or the gateway went down with it several times.
    Crash,
    /// It does not agree with the active model.
    Disagrees,
    /// Too many failed runs in the trial.
    ErrorRate,
    /// Its outputs are not numbers.
    NotANumber,
    Slow,
    /// Withdrawn or held before it was switched to.
    Cancelled,
    /// Taken back by whoever is at the gateway.
    Operator,
    /// Another version is on trial.
    Busy,
}

impl Reason {
    /// Whether the version itself is to blame: then it is not tried again.
    pub(super) fn blames_version(self) -> bool {
        matches!(
            self,
            Self::Load
                | Self::Golden
                | Self::Memory
                | Self::Crash
                | Self::Disagrees
                | Self::ErrorRate
                | Self::NotANumber
                | Self::Slow
                | Self::Operator
        )
    }
}
