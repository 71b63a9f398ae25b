//! A fleet of one gateway: a broker, the keys, releases, and the operator who deploys them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inferd::bundle::Bundle;
use inferd::clock::Timestamp;
use inferd::ids::{Digest, GatewayId, ModelName};
use inferd::update::machine::State;
use inferd::update::manifest::{Blob, Requires};
use inferd::update::{
    Deployment, Document, Envelope, Keyset, ModelReport, ModelState, PackedRelease, ReleaseInfo,
    Role, SecretKey, Source, Target, Trial, chunking, delta,
};

use crate::common::broker::Mosquitto;
use crate::common::gateway::{Gateway, MOTION, without_samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

pub(crate) const PREFIX: &str = "inferd/v1";

/// One release key, one deploy key.
pub(crate) struct Keys {
    pub(crate) release: SecretKey,
    pub(crate) deploy: SecretKey,
}

impl Keys {
    pub(crate) fn of(seed: u8) -> Self {
        let key = |seed| SecretKey::from_seed(&[seed; 32]);
        Self { release: key(seed), deploy: key(seed + 100) }
    }

    pub(crate) fn keyset(&self, version: u64) -> Keyset {
        let role = |key: &SecretKey| Role { keys: vec![key.public()], threshold: 1 };
        Keyset { version, release: role(&self.release), deploy: role(&self.deploy) }
    }
}

pub(crate) fn signed<D: Document>(document: &D, keys: &[&SecretKey]) -> Vec<u8> {
    let mut envelope = Envelope::of(document).unwrap();
    keys.iter().for_each(|key| envelope.sign(key));
    envelope.bytes()
}

/// A signed release: its packed file and its blobs.
pub(crate) struct Made {
    pub(crate) version: String,
    pub(crate) envelope: Vec<u8>,
    pub(crate) packed: Vec<u8>,
    pub(crate) blobs: Vec<(Blob, Vec<u8>)>,
    bundle: Bundle,
}

impl Made {
    pub(crate) fn manifest(&self) -> Digest {
        Digest::of(&self.envelope)
    }

    pub(crate) fn size(&self) -> u64 {
        self.blobs.iter().map(|(blob, _)| blob.len).sum()
    }
}

/// How a release differs from the shipped model.
#[derive(Default)]
pub(crate) struct Change {
    /// Bytes of text in the model that nothing reads.
    pub(crate) padding: usize,
    /// Makes them differ from those of other releases.
    pub(crate) seed: u64,
    /// Some of those bytes differ from the release with the same seed, everywhere.
    pub(crate) nudged: bool,
    /// Its golden vectors ask for what it does not give.
    pub(crate) fails_golden: bool,
    /// What it answers is no finite number; it has no golden vectors.
    pub(crate) not_numbers: bool,
    /// Its labels are in another order.
    pub(crate) mislabelled: bool,
    /// It has no `normalize`, which golden samples find and golden vectors do not.
    pub(crate) not_normalized: bool,
    /// It has the baseline of the shipped model.
    pub(crate) has_baseline: bool,
    /// The processors it was made for.
    pub(crate) arch: Vec<String>,
}

/// A release of the demonstration model under another version.
pub(crate) fn release(keys: &Keys, version: &str, counter: u64, change: &Change) -> Made {
    release_after(keys, version, counter, change, None)
}

/// With deltas from the release before.
pub(crate) fn release_after(
    keys: &Keys,
    version: &str,
    counter: u64,
    change: &Change,
    before: Option<&Made>,
) -> Made {
    let dir = tempfile::tempdir().unwrap();
    let files = folder(dir.path(), version, change);
    let bundle = Bundle::open(dir.path()).unwrap();
    let created = Timestamp::parse("2026-11-22T10:00:00Z").unwrap();
    let requires = Requires { arch: change.arch.clone(), ..Requires::default() };
    let release = ReleaseInfo { counter, created, requires };
    let bases: Vec<&Bundle> = before.iter().map(|made| &made.bundle).collect();
    let mut packed = PackedRelease::new(&bundle, release, &bases).unwrap();
    packed.envelope_mut().sign(&keys.release);
    let envelope = packed.envelope().bytes();
    let mut blobs: Vec<(Blob, Vec<u8>)> = files
        .iter()
        .map(|path| fs::read(path).unwrap())
        .map(|bytes| (chunking::blob(&bytes), bytes))
        .collect();
    let old = before.iter().flat_map(|made| &made.blobs).map(|(_, bytes)| bytes);
    let pairs = old.zip(&blobs).filter(|(old, (_, new))| *old != new);
    let deltas = pairs.filter_map(|(old, (_, new))| delta::between(old, new));
    let deltas: Vec<_> = deltas.map(|delta| (chunking::blob(&delta), delta)).collect();
    blobs.extend(deltas);
    blobs.push((chunking::blob(&envelope), envelope.clone()));
    let packed = packed.write().unwrap();
    Made { version: version.into(), packed, envelope, blobs, bundle }
}

fn folder(dir: &Path, version: &str, change: &Change) -> Vec<PathBuf> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    let mut model = fs::read(from.join("model.onnx")).unwrap();
    let golden = fs::read(from.join("golden.npz")).unwrap();
    let card = fs::read_to_string(from.join("card.toml")).unwrap();
    let mut card = card.replace("version = \"1.0.0\"", &format!("version = \"{version}\""));
    if change.padding > 0 {
        let mut text = doc_string(change.padding, change.seed);
        let nudged = text.iter_mut().skip(10).step_by(50).filter(|_| change.nudged);
        nudged.for_each(|byte| *byte = b'!');
        model.extend(text);
    }
    if change.mislabelled {
        card = mislabelled(&card);
    }
    if change.not_normalized {
        let at = card.find("normalize = ").unwrap();
        let end = at + card[at..].find('\n').unwrap();
        card.replace_range(at..end, "");
    } else {
        card = without_samples(&card);
    }
    if change.fails_golden {
        model[7400..8400].iter_mut().for_each(|weight| *weight ^= 0x55);
    }
    if change.not_numbers {
        let output = card.find("[output]").unwrap();
        card.truncate(output);
        card.push_str(
            "[output]\nname = \"logits\"\nkind = \"regression\"\n\
             names = [\"a\", \"b\", \"c\", \"d\"]\nscale = 3e38\n",
        );
    }
    let samples = fs::read(from.join("golden_samples.json")).unwrap();
    let baseline = fs::read(from.join("baseline.npz")).unwrap();
    let files = [
        ("card.toml", card.into_bytes(), true),
        ("model.onnx", model, true),
        ("golden.npz", golden, !change.not_numbers),
        ("golden_samples.json", samples, change.not_normalized),
        ("baseline.npz", baseline, change.has_baseline),
    ];
    let files = files.into_iter().filter(|(.., there)| *there);
    files
        .map(|(name, bytes, _)| {
            let path = dir.join(name);
            fs::write(&path, bytes).unwrap();
            path
        })
        .collect()
}

/// The first label of a card behind the others.
fn mislabelled(card: &str) -> String {
    let (before, rest) = card.split_once("labels = [").unwrap();
    let (labels, after) = rest.split_once(']').unwrap();
    let (first, others) = labels.split_once(',').unwrap();
    format!("{before}labels = [{others}, {first}]{after}")
}

/// Field 6 of an ONNX model, its documentation: text that differs everywhere.
fn doc_string(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut field = vec![6 << 3 | 2];
    let mut rest = len;
    while rest >= 0x80 {
        field.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    field.push(u8::try_from(rest).unwrap());
    field.extend((0..len).map(|_| random.alphanumeric() as u8));
    field
}

/// A broker with a gateway that trusts `keys`, and an operator who publishes.
pub(crate) struct Fleet {
    pub(crate) broker: Mosquitto,
    pub(crate) gateway: Gateway,
    pub(crate) keys: Keys,
    pub(crate) operator: MqttClient,
    /// Hears what the gateway says of its model.
    pub(crate) watcher: MqttClient,
}

impl Fleet {
    /// `None`, said aloud, where mosquitto is not installed.
    pub(crate) async fn start(test: &str) -> Option<Self> {
        let Some(broker) = Mosquitto::start("") else {
            skipped(test, "mosquitto is not installed");
            return None;
        };
        let port = broker.port();
        Some(Self::on(broker, port).await)
    }

    /// With the gateway's way to the broker by another port.
    pub(crate) async fn on(broker: Mosquitto, port: u16) -> Self {
        let keys = Keys::of(1);
        let gateway = Gateway::new(port, MOTION);
        let updates = "[updates]\nkeyset = \"keyset-1.json\"\n";
        gateway.configure(port, &format!("{updates}{MOTION}"));
        let drop_in = gateway.dir().join("conf.d");
        fs::create_dir(&drop_in).unwrap();
        let group = "[gateway]\ngroups = [\"line-a\"]\n";
        fs::write(drop_in.join("groups.toml"), group).unwrap();
        let keyset = signed(&keys.keyset(1), &[&keys.release]);
        fs::write(gateway.dir().join("keyset-1.json"), keyset).unwrap();
        let operator = MqttClient::connect(broker.port(), "operator").await;
        let mut watcher = MqttClient::connect(broker.port(), "watcher").await;
        watcher.subscribe(&format!("{PREFIX}/+/model/motion")).await;
        Self { broker, gateway, keys, operator, watcher }
    }

    /// Puts the release's chunks where gateways can pull them.
    pub(crate) async fn publish(&mut self, made: &Made) {
        for (blob, bytes) in &made.blobs {
            let mut at = 0;
            for (index, chunk) in blob.chunks.iter().enumerate() {
                let end = at + usize::try_from(chunk.len).unwrap();
                let topic = format!("{PREFIX}/blob/{}/{index}", blob.sha256);
                self.operator.publish_retained(&topic, &bytes[at..end]).await;
                at = end;
            }
        }
    }

    /// Says that the gateway should run it.
    pub(crate) async fn deploy(&mut self, deployment: &Deployment) {
        let bytes = signed(deployment, &[&self.keys.deploy]);
        self.operator.publish_retained(&topic(deployment), bytes).await;
    }

    /// Reports until one is as wanted; gives all of them.
    pub(crate) async fn reports(
        &mut self,
        wanted: impl Fn(&ModelReport) -> bool,
    ) -> Vec<ModelReport> {
        let mut reports = Vec::new();
        loop {
            let message = self.watcher.next().await;
            let report: ModelReport = serde_json::from_slice(&message.payload).unwrap();
            let found = wanted(&report);
            reports.push(report);
            if found {
                return reports;
            }
        }
    }

    /// Waits for the end of an update.
    pub(crate) async fn ends(&mut self, deployment: &str) -> ModelReport {
        let over = |report: &ModelReport| {
            let is_final = matches!(report.state, ModelState::Update(state) if state.is_final());
            is_final && report.deployment.as_deref() == Some(deployment)
        };
        self.reports(over).await.pop().unwrap()
    }

    /// The version that serves, as the daemon itself says.
    pub(crate) fn serving(&self) -> String {
        let models = self.gateway.ask(&["models"]);
        let rows = models["models"].as_array().unwrap();
        let row = rows.iter().find(|row| row["state"] == "serving").unwrap();
        row["version"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn topic(deployment: &Deployment) -> String {
    match &deployment.target {
        Target::Group(group) => format!("{PREFIX}/deploy/group/{group}/{}", deployment.model),
        Target::Gateway(id) => format!("{PREFIX}/deploy/gateway/{id}/{}", deployment.model),
    }
}

/// A deployment of the release to the one gateway, with a short trial.
pub(crate) fn deployment(made: &Made, seq: u64) -> Deployment {
    let now = Timestamp::from(std::time::SystemTime::now());
    Deployment {
        deployment: format!("motion-{}", made.version),
        seq,
        model: ModelName::parse("motion").unwrap(),
        target: Target::Gateway(GatewayId::parse("gw-1").unwrap()),
        manifest: chunking::blob(&made.envelope),
        sources: vec![Source::Mqtt],
        percent: 100.0,
        seed: "s".into(),
        hold: false,
        created: now,
        not_before: now,
        expires: now.plus(Duration::from_secs(3600)),
        windows: Vec::new(),
        spread_s: 0,
        max_bytes_per_s: 0,
        shadow_runs: 0,
        trial: Trial { min_runs: 3, max_slowdown: 1000.0, ..Trial::default() },
    }
}

pub(crate) fn state(report: &ModelReport) -> Option<State> {
    match report.state {
        ModelState::Update(state) => Some(state),
        ModelState::Idle => None,
    }
}
