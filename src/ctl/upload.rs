//! Uploads a packed bundle as retained chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::broker::{BrokerArgs, Session};
use crate::ctl::dry_run::{PlannedMessages, Preview};
use crate::ctl::keyset_chain::{KeysetChain, SignedRelease};
use crate::ids::Digest;
use crate::link::ClientMessage;
use crate::terminal::{Exit, Failure, progress};
use crate::update::manifest::{Blob, Manifest};
use crate::update::{PackedRelease, Verified};

/// Unacknowledged publishes at most: a megabyte of chunks.
const MAX_IN_FLIGHT: u64 = 16;
/// Blobs with fewer chunks are sent again as a whole instead of searching the first missing chunk.
const MIN_SEARCHED_CHUNKS: usize = 32;
/// Reconnects without an acknowledged chunk in between at most.
const MAX_RECONNECTS: u32 = 5;

/// A release whose signatures and bytes have been verified.
#[derive(Debug)]
pub(super) struct CheckedRelease {
    pub(super) manifest: Verified<Manifest>,
    /// The blobs that gateways fetch, the manifest last.
    pub(super) blobs: Vec<(Blob, Vec<u8>)>,
}

/// How much was published.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct Published {
    /// All that gateways may fetch.
    pub(super) chunks: u64,
    pub(super) bytes: u64,
    /// Chunks that the broker did not have yet.
    pub(super) sent_chunks: u64,
    pub(super) sent_bytes: u64,
}

/// Reads a bundle and checks it as a gateway would.
pub(super) fn read_release(path: &Path, chain: &KeysetChain) -> Result<CheckedRelease, Failure> {
    let release = chain.release(path)?;
    if release.keyset != chain.number() {
        return Err(outdated(path, &release, chain.number()));
    }
    Ok(CheckedRelease { blobs: release.packed.blobs()?, manifest: release.manifest })
}

/// The release is signed by keys that have been replaced.
fn outdated(path: &Path, release: &SignedRelease, current: u64) -> Failure {
    let (path, former) = (path.display(), release.keyset);
    let manifest = &release.manifest;
    let counter = manifest.counter.saturating_add(1);
    let out = format!("{}-{}-counter-{counter}.bundle", manifest.name, manifest.version);
    let message = format!(
        "{path} is signed for keyset {former}, and keyset {current} has replaced its release keys: \
         gateways would refuse it. Release the same files with the new key and a counter above \
         that of every release:\n  inferctl pack {path} --counter {counter} --out {out}\n  \
         inferctl sign {out} --key release.key"
    );
    Failure::new(Exit::Failed, message)
}

impl CheckedRelease {
    /// Whether the release has golden samples.
    pub(super) fn has_golden_samples(&self) -> bool {
        self.manifest.files.iter().any(|file| file.path.starts_with("golden_samples."))
    }

    /// Verifies a release with the current keyset.
    pub(super) fn of(packed: PackedRelease, chain: &KeysetChain) -> Result<Self, Failure> {
        let blobs = packed.blobs()?;
        Ok(Self { manifest: packed.verify(chain.current())?.manifest().clone(), blobs })
    }

    /// The manifest's envelope as gateways fetch it.
    pub(super) fn manifest_blob(&self) -> Option<&Blob> {
        self.blobs.last().map(|(blob, _)| blob)
    }

    /// The name of a blob: a file, a delta, or the manifest.
    pub(super) fn name(&self, blob: &Digest) -> String {
        let file = self.manifest.files.iter().find(|file| file.blob.sha256 == *blob);
        let delta = self.manifest.deltas.iter().find(|delta| delta.blob.sha256 == *blob);
        match (file, delta) {
            (Some(file), _) => file.path.clone(),
            (None, Some(delta)) => format!("delta of {}", delta.path),
            (None, None) => "manifest".to_owned(),
        }
    }

    /// Adds what of the pieces would be published, blob by blob.
    pub(super) fn preview(&self, broker: &BrokerArgs, pieces: &[Piece], preview: &mut Preview) {
        for pieces in pieces.chunk_by(|one, other| one.blob == other.blob) {
            let [first, .., last] = pieces else {
                for piece in pieces {
                    let topic = broker.topic(&format!("blob/{}/{}", piece.blob, piece.index));
                    preview.add(PlannedMessages::one(
                        &topic,
                        piece.bytes.len(),
                        self.name(&piece.blob),
                    ));
                }
                continue;
            };
            preview.add(PlannedMessages {
                topic: broker
                    .topic(&format!("blob/{}/{}..{}", first.blob, first.index, last.index)),
                messages: pieces.len(),
                bytes: pieces.iter().map(|piece| piece.bytes.len()).sum(),
                what: self.name(&first.blob),
            });
        }
    }
}

/// One retained message.
#[derive(Debug)]
pub(super) struct Piece {
    blob: Digest,
    index: usize,
    bytes: Vec<u8>,
}

/// Publishes the chunks that the broker does not have yet, or all of them.
pub(super) async fn upload(
    broker: &BrokerArgs,
    checked: &CheckedRelease,
    all: bool,
) -> Result<Published, Failure> {
    let mut session = Session::open(broker).await?;
    let (published, pieces) = missing(&mut session, broker, checked, all).await?;
    send_all(session, broker, &pieces).await?;
    Ok(published)
}

/// The chunks that the broker does not have yet, with their number and size.
pub(super) async fn missing(
    session: &mut Session,
    broker: &BrokerArgs,
    checked: &CheckedRelease,
    all: bool,
) -> Result<(Published, Vec<Piece>), Failure> {
    let mut published = Published::default();
    let mut pieces = Vec::new();
    let complete =
        if all { BTreeSet::new() } else { complete_blobs(session, broker, checked).await? };
    for (blob, bytes) in &checked.blobs {
        published.chunks += u64::try_from(blob.chunks.len()).unwrap_or(u64::MAX);
        published.bytes += blob.len;
        let held = match (all, complete.contains(&blob.sha256)) {
            (true, _) => 0,
            (false, true) => blob.chunks.len(),
            (false, false) => count_present(session, broker, blob).await?,
        };
        let missing = blob.pieces(bytes).enumerate().skip(held);
        pieces.extend(missing.map(|(index, piece)| Piece {
            blob: blob.sha256,
            index,
            bytes: piece.to_vec(),
        }));
    }
    published.sent_chunks = u64::try_from(pieces.len()).unwrap_or(u64::MAX);
    published.sent_bytes =
        pieces.iter().map(|piece| u64::try_from(piece.bytes.len()).unwrap_or(u64::MAX)).sum();
    Ok((published, pieces))
}

/// The blobs that the broker holds completely: those whose last chunk is there, since they are published in
/// order.
async fn complete_blobs(
    session: &mut Session,
    broker: &BrokerArgs,
    checked: &CheckedRelease,
) -> Result<BTreeSet<Digest>, Failure> {
    let last = |blob: &Blob| {
        let chunk = blob.chunks.last()?;
        let topic = broker.topic(&format!("blob/{}/{}", blob.sha256, blob.chunks.len() - 1));
        Some((topic, (blob.sha256, chunk.sha256)))
    };
    let wanted: BTreeMap<_, _> = checked.blobs.iter().filter_map(|(blob, _)| last(blob)).collect();
    let found = session.read_retained(&wanted.keys().cloned().collect::<Vec<_>>()).await?;
    let good = |message: &ClientMessage| {
        let (blob, chunk) = wanted.get(&message.topic)?;
        (Digest::of(&message.payload) == *chunk).then_some(*blob)
    };
    Ok(found.iter().filter_map(good).collect())
}

/// The number of chunks that the broker has of an interrupted upload, by a binary search.
async fn count_present(
    session: &mut Session,
    broker: &BrokerArgs,
    blob: &Blob,
) -> Result<usize, Failure> {
    if blob.chunks.len() < MIN_SEARCHED_CHUNKS {
        return Ok(0);
    }
    let (mut held, mut missing) = (0, blob.chunks.len() - 1);
    while held < missing {
        let middle = held + (missing - held) / 2;
        let topic = broker.topic(&format!("blob/{}/{middle}", blob.sha256));
        let found = session.read_retained(&[topic]).await?;
        let wanted = blob.chunks.get(middle).map(|chunk| chunk.sha256);
        if found.iter().any(|message| Some(Digest::of(&message.payload)) == wanted) {
            held = middle + 1;
        } else {
            missing = middle;
        }
    }
    Ok(held)
}

/// Sends the pieces in order, some of them at once, over a new connection where one is lost.
async fn send_all(
    mut session: Session,
    broker: &BrokerArgs,
    pieces: &[Piece],
) -> Result<(), Failure> {
    let bar = progress(u64::try_from(pieces.len()).unwrap_or(u64::MAX), "publishing");
    let (mut safe, mut tries) = (0, 0);
    while safe < pieces.len() {
        let before = safe;
        let rest = pieces.get(safe..).unwrap_or_default();
        let result = send(&mut session, broker, rest, &mut safe, &bar).await;
        let Err(failure) = result else { break };
        tries = if safe > before { 0 } else { tries + 1 };
        if failure.exit != Exit::Unavailable || tries >= MAX_RECONNECTS {
            bar.finish_and_clear();
            return Err(failure);
        }
        session = Session::open(broker).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

async fn send(
    session: &mut Session,
    broker: &BrokerArgs,
    pieces: &[Piece],
    safe: &mut usize,
    bar: &indicatif::ProgressBar,
) -> Result<(), Failure> {
    let (first, first_safe) = (session.acknowledgements(), *safe);
    for (number, piece) in (1_u64..).zip(pieces) {
        let topic = broker.topic(&format!("blob/{}/{}", piece.blob, piece.index));
        session.send(&topic, piece.bytes.clone()).await?;
        session.acknowledged(first + number.saturating_sub(MAX_IN_FLIGHT)).await?;
        let answered = session.acknowledgements() - first;
        *safe = first_safe + usize::try_from(answered).unwrap_or(usize::MAX);
        bar.set_position(u64::try_from(*safe).unwrap_or(u64::MAX));
    }
    let count = u64::try_from(pieces.len()).unwrap_or(u64::MAX);
    session.acknowledged(first + count).await?;
    *safe = first_safe + pieces.len();
    Ok(())
}

/// Publishes keysets under their numbers where others are retained, or none.
pub(super) async fn upload_keysets(
    broker: &BrokerArgs,
    keysets: &[(u64, Vec<u8>)],
) -> Result<u64, Failure> {
    let mut session = Session::open(broker).await?;
    let missing = keysets_missing(&mut session, broker, keysets).await?;
    for (topic, bytes) in &missing {
        session.publish(topic, bytes.clone()).await?;
    }
    Ok(u64::try_from(missing.len()).unwrap_or(u64::MAX))
}

/// The keysets that the broker does not hold, with their topics.
pub(super) async fn keysets_missing(
    session: &mut Session,
    broker: &BrokerArgs,
    keysets: &[(u64, Vec<u8>)],
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let topic =
        |(number, bytes): &(u64, Vec<u8>)| (broker.topic(&format!("keys/{number}")), bytes.clone());
    let mut all: Vec<_> = keysets.iter().map(topic).collect();
    let topics: Vec<_> = all.iter().map(|(topic, _)| topic.clone()).collect();
    let held = session.read_retained(&topics).await?;
    all.retain(|(topic, bytes)| {
        !held.iter().any(|message| message.topic == *topic && message.payload == bytes[..])
    });
    Ok(all)
}
