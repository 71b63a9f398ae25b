//! What an attacker may try with documents and files, each refused for its reason.

mod documents;
mod files;
mod keysets;

use super::*;
use crate::clock::Timestamp;
use crate::ids::{Digest, GatewayId, ModelName};

/// The keys of a fleet: two of three release keys, one of two deploy keys.
pub(super) struct Keys {
    pub release: Vec<SecretKey>,
    pub deploy: Vec<SecretKey>,
}

pub(super) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(super) fn keys(generation: u8) -> Keys {
    let all = |from: u8, count: u8| (from..from + count).map(key).collect();
    Keys { release: all(generation, 3), deploy: all(generation + 100, 2) }
}

impl Keys {
    pub(super) fn keyset(&self, version: u64) -> Keyset {
        let role = |keys: &[SecretKey], threshold| Role {
            keys: keys.iter().map(SecretKey::public).collect(),
            threshold,
        };
        Keyset { version, release: role(&self.release, 2), deploy: role(&self.deploy, 1) }
    }

    pub(super) fn trust(&self) -> Trust {
        let signers: Vec<_> = self.release.iter().take(2).collect();
        Trust::provisioned(&signed(&self.keyset(1), &signers)).unwrap()
    }
}

pub(super) fn signed<D: Document>(document: &D, keys: &[&SecretKey]) -> Vec<u8> {
    let mut envelope = Envelope::of(document).unwrap();
    keys.iter().for_each(|key| envelope.sign(key));
    envelope.bytes()
}

pub(super) fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub(super) fn deployment() -> Deployment {
    Deployment {
        deployment: "motion-2".into(),
        seq: 2,
        model: ModelName::parse("motion").unwrap(),
        target: Target::Gateway(GatewayId::parse("gw-1").unwrap()),
        manifest: chunking::blob(b"a manifest"),
        sources: vec![Source::Mqtt],
        percent: 100.0,
        seed: "s".into(),
        hold: false,
        created: time("2026-11-22T10:00:00Z"),
        not_before: time("2026-11-22T10:00:00Z"),
        expires: time("2026-11-29T10:00:00Z"),
        windows: Vec::new(),
        spread_s: 0,
        max_bytes_per_s: 0,
        shadow_runs: 0,
        trial: Trial::default(),
    }
}

/// `needle` in an envelope's bytes replaced, as by someone who holds no key.
pub(super) fn with(bytes: &[u8], change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let mut value = serde_json::from_slice(bytes).unwrap();
    change(&mut value);
    serde_json::to_vec(&value).unwrap()
}
