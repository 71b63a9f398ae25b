use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::super::manifest::{Algo, Blob, Chunk, DeltaEntry, FileEntry, Requires};
use super::*;

const SIZE: usize = 60_000;

/// What survives a power cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub record: Record,
    pub chunks: BTreeMap<Digest, Vec<u8>>,
    /// Installed files by digest, whatever their version.
    pub files: BTreeMap<Digest, Vec<u8>>,
    pub on_installed: Vec<Digest>,
}

/// How the candidate does here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Model {
    Good,
    FailsProbe(Reason),
    Disagrees,
    FailsTrial(TrialStats),
    /// Takes the gateway down whenever it runs.
    Crashes,
}

pub(super) struct World {
    pub keys: Keys,
    pub disk: Disk,
    pub device: UpdateMachine,
    pub now: Now,
    /// What the sources hold.
    pub network: BTreeMap<(Digest, u32), Vec<u8>>,
    pub fetched: u64,
    pub asked: Vec<Source>,
    pub model: Model,
    pub room: u64,
    /// Nothing is waited for that takes longer.
    pub patience: Duration,
    /// Effects until the plug is pulled.
    pub fuse: Option<usize>,
    pub reports: Vec<Report>,
    pub refused: Vec<Reason>,
    pub serving: Option<VersionSlot>,
}

/// Pulled out of the wall.
#[derive(Debug)]
pub(super) struct PowerCut;

/// A release with one file of [`SIZE`] bytes in chunks of 1 KiB.
pub(super) struct Release {
    pub manifest: Manifest,
    pub envelope: Vec<u8>,
    pub blobs: Vec<(Blob, Vec<u8>)>,
}

pub(super) fn small_chunks(bytes: &[u8]) -> Blob {
    let chunk =
        |piece: &[u8]| Chunk { len: piece.len().try_into().unwrap(), sha256: Digest::of(piece) };
    Blob {
        len: bytes.len() as u64,
        sha256: Digest::of(bytes),
        chunks: bytes.chunks(1024).map(chunk).collect(),
    }
}

pub(super) fn model_bytes(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..SIZE).map(|_| random.u8(..)).collect()
}

pub(super) fn release(
    keys: &Keys,
    counter: u64,
    model: &[u8],
    delta: Option<(&[u8], &[u8])>,
) -> Release {
    let card = format!("card of {counter}").into_bytes();
    let mut blobs: Vec<_> =
        [model, &card].map(|bytes| (small_chunks(bytes), bytes.to_vec())).into_iter().collect();
    let file = |path: &str, blob: &Blob| FileEntry { path: path.into(), blob: blob.clone() };
    let files = vec![file("model.onnx", &blobs[0].0), file("card.toml", &blobs[1].0)];
    let deltas = delta.map(|(base, delta)| {
        blobs.push((small_chunks(delta), delta.to_vec()));
        DeltaEntry {
            path: "model.onnx".into(),
            base_sha256: Digest::of(base),
            algo: Algo::SubtractDeflate,
            blob: small_chunks(delta),
        }
    });
    let manifest = Manifest {
        name: ModelName::parse("motion").unwrap(),
        version: format!("1.{counter}"),
        counter,
        files,
        deltas: deltas.into_iter().collect(),
        requires: Requires::default(),
        created: time("2026-11-22T10:00:00Z"),
    };
    let envelope = signed(&manifest, &[&keys.release[0], &keys.release[1]]);
    blobs.push((small_chunks(&envelope), envelope.clone()));
    Release { manifest, envelope, blobs }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(keys(1), Disk::default())
    }

    pub(super) fn with(keys: Keys, disk: Disk) -> Self {
        let device = UpdateMachine::new(settings(), keys.trust(), disk.record.clone()).unwrap();
        let now = Now { wall: time("2026-11-22T12:00:00Z"), mono: Mono(0) };
        let (network, reports, refused, asked) = Default::default();
        let (fuse, serving, model, room) = (None, None, Model::Good, 1 << 30);
        Self {
            keys,
            disk,
            device,
            now,
            network,
            fetched: 0,
            asked,
            model,
            room,
            patience: Duration::MAX,
            fuse,
            reports,
            refused,
            serving,
        }
    }

    /// Puts a release's bytes where they can be fetched, and says how it is deployed.
    pub(super) fn publish(&mut self, seq: u64, release: &Release) -> Deployment {
        for (blob, bytes) in &release.blobs {
            let mut at = 0;
            for (index, chunk) in (0..).zip(&blob.chunks) {
                let end = at + chunk.len as usize;
                self.network.insert((blob.sha256, index), bytes[at..end].to_vec());
                at = end;
            }
        }
        Deployment { seq, manifest: small_chunks(&release.envelope), ..deployment() }
    }

    pub(super) fn sign(&self, deployment: &Deployment) -> Vec<u8> {
        signed(deployment, &[&self.keys.deploy[0]])
    }

    pub(super) fn deploy(&mut self, deployment: &Deployment) -> Result<(), PowerCut> {
        let bytes = self.sign(deployment);
        self.tell(Event::Deployment(bytes))
    }

    /// Feeds an event and whatever follows from it, up to the end of the update.
    pub(super) fn tell(&mut self, event: Event) -> Result<(), PowerCut> {
        let mut effects = Vec::new();
        self.device.on(self.now, event, &mut effects);
        self.follow(effects)?;
        self.pass()
    }

    /// After a power cut: what is on the disk, and nothing else.
    pub(super) fn boot(&mut self) -> Result<(), PowerCut> {
        let record = self.disk.record.clone();
        self.device = UpdateMachine::new(settings(), self.keys.trust(), record).unwrap();
        self.serving = self.disk.record.slots.active.clone();
        let held = |slot: &VersionSlot| self.disk.on_installed.contains(&slot.manifest);
        assert!(self.serving.as_ref().is_none_or(held), "what is active is on the disk");
        let mut effects = Vec::new();
        self.device.start(self.now, &mut effects);
        self.follow(effects)?;
        self.pass()
    }

    /// Lets time go by until nothing more is due.
    fn pass(&mut self) -> Result<(), PowerCut> {
        while let Some(due) = self.device.deadline() {
            let wait = due.since(self.now.mono).max(Duration::from_millis(1));
            if wait > self.patience {
                break;
            }
            self.now = Now { wall: self.now.wall.plus(wait), mono: self.now.mono.plus(wait) };
            let mut effects = Vec::new();
            self.device.on(self.now, Event::Tick, &mut effects);
            self.follow(effects)?;
        }
        Ok(())
    }

    fn follow(&mut self, effects: Vec<Effect>) -> Result<(), PowerCut> {
        let mut due = VecDeque::from(effects);
        while let Some(effect) = due.pop_front() {
            if let Some(left) = &mut self.fuse {
                *left = left.checked_sub(1).ok_or(PowerCut)?;
            }
            let Some(event) = self.carry_out(effect)? else { continue };
            let mut more = Vec::new();
            self.device.on(self.now, event, &mut more);
            // What an answer leads to is done before the next answer comes.
            more.into_iter().rev().for_each(|effect| due.push_front(effect));
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<Option<Event>, PowerCut> {
        Ok(Some(match effect {
            Effect::Save(record) => {
                self.disk.record = record;
                return Ok(None);
            }
            Effect::QueryHeld { chunks, files } => {
                let held = |digest: &Digest| self.disk.chunks.contains_key(digest);
                Event::Held {
                    chunks: chunks.into_iter().filter(held).collect(),
                    files: files.into_iter().filter(|f| self.disk.files.contains_key(f)).collect(),
                    room: self.room,
                }
            }
            Effect::Fetch { source, blob, index, .. } => {
                self.asked.push(source);
                self.fetch(blob, index)
            }
            Effect::StoreChunk { chunk, bytes } => {
                assert_eq!(Digest::of(&bytes), chunk, "only verified bytes are kept");
                self.disk.chunks.insert(chunk, bytes);
                return Ok(None);
            }
            Effect::ReadManifest { chunks } => Event::Opened(self.joined(&chunks)),
            Effect::Assemble { recipes, .. } => Event::Assembled(self.assemble(&recipes)),
            Effect::Discard { .. } => {
                // Each chunk was right: the manifest or a delta is not, so all go.
                self.disk.chunks.clear();
                return Ok(None);
            }
            Effect::Probe { .. } => match self.model {
                Model::FailsProbe(reason) => Event::Probed(Err(reason)),
                Model::Crashes => return Err(PowerCut),
                _ => Event::Probed(Ok(())),
            },
            Effect::Shadow { .. } => {
                let bad = self.model == Model::Disagrees;
                Event::Shadowed(if bad { Err(Reason::Disagrees) } else { Ok(()) })
            }
            Effect::Activate(slot) => {
                let stored = &self.disk.record.slots.active;
                assert_eq!(*stored, slot, "what serves is what is on the disk");
                self.serving = slot;
                let good = TrialStats { runs: 100, slowdown: 1.0, ..TrialStats::default() };
                let fails =
                    if let Model::FailsTrial(runs) = self.model { Some(runs) } else { None };
                Event::TrialProgress(fails.unwrap_or(good))
            }
            Effect::Report(report) => {
                self.reports.push(report);
                return Ok(None);
            }
            Effect::Reject(reason) => {
                self.refused.push(reason);
                return Ok(None);
            }
            Effect::Sweep => return Ok(None),
        }))
    }

    fn fetch(&mut self, blob: Digest, index: u32) -> Event {
        let Some(bytes) = self.network.get(&(blob, index)).cloned() else {
            return Event::Lost { blob, index, wait: Duration::ZERO };
        };
        self.fetched += bytes.len() as u64;
        Event::Chunk { blob, index, bytes }
    }

    fn joined(&self, chunks: &[Digest]) -> Vec<u8> {
        chunks.iter().filter_map(|digest| self.disk.chunks.get(digest)).flatten().copied().collect()
    }

    fn assemble(&mut self, recipes: &[crate::update::Recipe]) -> Result<(), Reason> {
        let manifest = self.device.update.as_ref().unwrap().manifest.clone().unwrap();
        let digest = manifest.digest();
        let held = |digest| {
            self.disk.files.get(&digest).or_else(|| self.disk.chunks.get(&digest)).cloned()
        };
        let made = assemble(manifest, recipes, held).map_err(|_| Reason::Bytes)?;
        for bytes in made.files().values() {
            self.disk.files.insert(Digest::of(bytes), bytes.clone());
        }
        self.disk.on_installed.push(digest);
        self.device.stage(Some(StagedVersion { manifest: digest, digest }));
        Ok(())
    }

    pub(super) fn states(&self) -> Vec<State> {
        self.reports.iter().map(|report| report.state).collect()
    }

    pub(super) fn last(&self) -> (State, Option<Reason>) {
        self.reports.last().map(|report| (report.state, report.reason)).unwrap()
    }

    pub(super) fn active(&self) -> Option<u64> {
        assert_eq!(self.serving, self.disk.record.slots.active);
        self.serving.as_ref().map(|slot| slot.counter)
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        gateway: GatewayId::parse("gw-1").unwrap(),
        groups: vec!["line-a".into()],
        model: ModelName::parse("motion").unwrap(),
        version: "0.1.0".into(),
        arch: "aarch64",
        ram_mb: 512,
        max_bytes_per_s: 0,
        seed: 7,
    }
}
