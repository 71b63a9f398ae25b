//! A simulated release and its deployments, signed with keys made for the simulation.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::ids::{Digest, ModelName};
use crate::update::manifest::{FileEntry, Requires};
use crate::update::{
    Deployment, Envelope, Keyset, Manifest, Role, SecretKey, Source, Target, Trial, Trust,
    VerifyError, chunking,
};

/// The group of all simulated gateways.
pub(super) const GROUP: &str = "fleet";
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// The contents of the simulated broker, and the key that signs waves.
pub(super) struct Published {
    pub trust: Trust,
    pub model: ModelName,
    pub manifest: Vec<u8>,
    pub chunks: BTreeMap<(Digest, u32), Vec<u8>>,
    deploy: SecretKey,
    first: Deployment,
}

impl Published {
    pub(super) fn new(
        model: ModelName,
        bytes: Vec<u8>,
        spread_s: u32,
        now: Timestamp,
    ) -> Result<Self, VerifyError> {
        let [release, deploy] = [1, 2].map(|seed| SecretKey::from_seed(&[seed; 32]));
        let role = |key: &SecretKey| Role { keys: vec![key.public()], threshold: 1 };
        let keyset = Keyset { version: 1, release: role(&release), deploy: role(&deploy) };
        let card = b"a card".to_vec();
        let files = [("model.onnx", bytes), ("card.toml", card)];
        let entry = |(path, bytes): &(&str, Vec<u8>)| FileEntry {
            path: (*path).to_owned(),
            blob: chunking::blob(bytes),
        };
        let manifest = signed(
            &Manifest {
                name: model.clone(),
                version: "2.0.0".into(),
                counter: 2,
                files: files.iter().map(entry).collect(),
                deltas: Vec::new(),
                requires: Requires::default(),
                created: now,
            },
            &release,
        )?;
        let mut chunks = BTreeMap::new();
        for bytes in files.iter().map(|(_, bytes)| bytes).chain([&manifest]) {
            let blob = chunking::blob(bytes);
            let mut rest = bytes.as_slice();
            for (index, chunk) in (0..).zip(&blob.chunks) {
                let len = usize::try_from(chunk.len).unwrap_or(usize::MAX).min(rest.len());
                let (piece, after) = rest.split_at(len);
                chunks.insert((blob.sha256, index), piece.to_vec());
                rest = after;
            }
        }
        let first = Deployment {
            deployment: "simulated".into(),
            seq: 0,
            model: model.clone(),
            target: Target::Group(GROUP.into()),
            manifest: chunking::blob(&manifest),
            sources: vec![Source::Mqtt],
            percent: 0.0,
            seed: "simulated".into(),
            hold: false,
            created: now,
            not_before: now,
            expires: now.plus(30 * DAY),
            windows: Vec::new(),
            spread_s,
            max_bytes_per_s: 0,
            shadow_runs: 0,
            trial: Trial::default(),
        };
        let trust = Trust::provisioned(&signed(&keyset, &release)?)?;
        Ok(Self { trust, model, manifest, chunks, deploy, first })
    }

    /// The deployment of a wave, as it is published.
    pub(super) fn wave(&self, seq: u64, percent: f64, hold: bool) -> Result<Vec<u8>, VerifyError> {
        signed(&Deployment { seq, percent, hold, ..self.first.clone() }, &self.deploy)
    }
}

fn signed<D: crate::update::Document>(
    document: &D,
    key: &SecretKey,
) -> Result<Vec<u8>, VerifyError> {
    let mut envelope = Envelope::of(document)?;
    envelope.sign(key);
    Ok(envelope.bytes())
}
