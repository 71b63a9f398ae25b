//! From a packed bundle to retained chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Failure;
use super::broker::{BrokerArgs, Session};
use super::chain::{Chain, Signed};
use crate::cli::{Exit, progress};
use crate::ids::Digest;
use crate::link::PlainMessage;
use crate::update::Verified;
use crate::update::manifest::{Blob, Manifest};

/// Publishes that may wait for their acknowledgement: a megabyte of chunks.
const IN_FLIGHT: u64 = 16;
/// Looking for the first missing chunk pays only beyond so many.
const SEARCH_FROM: usize = 32;
/// Connections that may be lost without a chunk in between.
const TRIES: u32 = 5;

/// A release whose signatures and bytes were found good.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) manifest: Verified<Manifest>,
    /// What gateways fetch, the manifest last.
    pub(super) blobs: Vec<(Blob, Vec<u8>)>,
}

/// What was published.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct Published {
    /// All that gateways may fetch.
    pub(super) chunks: u64,
    pub(super) bytes: u64,
    /// What the broker did not have yet.
    pub(super) sent_chunks: u64,
    pub(super) sent_bytes: u64,
}

/// Reads a bundle and checks it as a gateway would.
pub(super) fn checked(path: &Path, chain: &Chain) -> Result<Checked, Failure> {
    let release = chain.release(path)?;
    if release.keyset != chain.number() {
        return Err(outdated(path, &release, chain.number()));
    }
    Ok(Checked { blobs: release.packed.blobs()?, manifest: release.manifest })
}

/// The release is signed by keys that have been replaced.
fn outdated(path: &Path, release: &Signed, current: u64) -> Failure {
    let (path, former) = (path.display(), release.keyset);
    let manifest = &release.manifest;
    let counter = manifest.counter.saturating_add(1);
    let out = format!("{}-{}-counter-{counter}.bundle", manifest.name, manifest.version);
    let message = format!(
        "{path} is signed for keyset {former}, and keyset {current} has replaced its release keys: \
         gateways would refuse it. Release the same files with the new key, under a counter above \
         that of every release:\n  \
         inferctl pack {path} --counter {counter} --out {out}\n  \
         inferctl sign {out} --key release.key"
    );
    Failure::new(Exit::Failed, message)
}

impl Checked {
    /// Whether the release proves its predictions from raw samples on.
    pub(super) fn has_golden_samples(&self) -> bool {
        self.manifest.files.iter().any(|file| file.path.starts_with("golden_samples."))
    }

    /// The manifest's envelope as gateways fetch it.
    pub(super) fn manifest_blob(&self) -> Option<&Blob> {
        self.blobs.last().map(|(blob, _)| blob)
    }
}

/// One retained message.
struct Piece {
    blob: Digest,
    index: usize,
    bytes: Vec<u8>,
}

/// Publishes what the broker does not hold yet; `all` of it where it is not asked.
pub(super) async fn upload(
    broker: &BrokerArgs,
    checked: &Checked,
    all: bool,
) -> Result<Published, Failure> {
    let mut session = Session::open(broker).await?;
    let mut published = Published::default();
    let mut pieces = Vec::new();
    let whole = if all { BTreeSet::new() } else { whole(&mut session, broker, checked).await? };
    for (blob, bytes) in &checked.blobs {
        published.chunks += u64::try_from(blob.chunks.len()).unwrap_or(u64::MAX);
        published.bytes += blob.len;
        let held = match (all, whole.contains(&blob.sha256)) {
            (true, _) => 0,
            (false, true) => blob.chunks.len(),
            (false, false) => begun(&mut session, broker, blob).await?,
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
    send_all(session, broker, &pieces).await?;
    Ok(published)
}

/// Which blobs the broker holds whole: those whose last chunk is there, since they are published in
/// order.
async fn whole(
    session: &mut Session,
    broker: &BrokerArgs,
    checked: &Checked,
) -> Result<BTreeSet<Digest>, Failure> {
    let last = |blob: &Blob| {
        let chunk = blob.chunks.last()?;
        let topic = broker.topic(&format!("blob/{}/{}", blob.sha256, blob.chunks.len() - 1));
        Some((topic, (blob.sha256, chunk.sha256)))
    };
    let wanted: BTreeMap<_, _> = checked.blobs.iter().filter_map(|(blob, _)| last(blob)).collect();
    let found = session.look(&wanted.keys().cloned().collect::<Vec<_>>()).await?;
    let good = |message: &PlainMessage| {
        let (blob, chunk) = wanted.get(&message.topic)?;
        (Digest::of(&message.payload) == *chunk).then_some(*blob)
    };
    Ok(found.iter().filter_map(good).collect())
}

/// How many chunks of an interrupted blob the broker holds: the first that is missing is searched
/// for.
async fn begun(session: &mut Session, broker: &BrokerArgs, blob: &Blob) -> Result<usize, Failure> {
    if blob.chunks.len() < SEARCH_FROM {
        return Ok(0);
    }
    let (mut held, mut missing) = (0, blob.chunks.len() - 1);
    while held < missing {
        let middle = held + (missing - held) / 2;
        let topic = broker.topic(&format!("blob/{}/{middle}", blob.sha256));
        let found = session.look(&[topic]).await?;
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
        if failure.exit != Exit::Unavailable || tries >= TRIES {
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
    let (first, begun) = (session.acknowledgements(), *safe);
    for (number, piece) in (1_u64..).zip(pieces) {
        let topic = broker.topic(&format!("blob/{}/{}", piece.blob, piece.index));
        session.send(&topic, piece.bytes.clone()).await?;
        session.acknowledged(first + number.saturating_sub(IN_FLIGHT)).await?;
        let answered = session.acknowledgements() - first;
        *safe = begun + usize::try_from(answered).unwrap_or(usize::MAX);
        bar.set_position(u64::try_from(*safe).unwrap_or(u64::MAX));
    }
    let count = u64::try_from(pieces.len()).unwrap_or(u64::MAX);
    session.acknowledged(first + count).await?;
    *safe = begun + pieces.len();
    Ok(())
}

/// Publishes keysets under their numbers where others are retained, or none.
pub(super) async fn upload_keysets(
    broker: &BrokerArgs,
    keysets: &[(u64, Vec<u8>)],
) -> Result<u64, Failure> {
    let mut session = Session::open(broker).await?;
    let topics: Vec<_> =
        keysets.iter().map(|(number, _)| broker.topic(&format!("keys/{number}"))).collect();
    let held = session.look(&topics).await?;
    let mut sent = 0;
    for (topic, (_, bytes)) in topics.iter().zip(keysets) {
        if !held.iter().any(|message| message.topic == *topic && message.payload == bytes[..]) {
            session.publish(topic, bytes.clone()).await?;
            sent += 1;
        }
    }
    Ok(sent)
}
