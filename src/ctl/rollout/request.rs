//! The parts of a rollout, checked before anything is published.

use std::path::{Path, PathBuf};

use super::machine::Plan;
use super::pace::Pace;
use super::record::{Files, KeyPasswords};
use super::terms::Terms;
use super::waves::percents;
use crate::clock::Timestamp;
use crate::ctl::broker::BrokerArgs;
use crate::ctl::keyset_chain::KeysetChain;
use crate::ctl::unlock::load_keys;
use crate::ctl::upload::{CheckedRelease, read_release};
use crate::ids::{GatewayId, ModelName};
use crate::terminal::{Exit, Failure};
use crate::update::{Deployment, Envelope, SecretKey, Target, Trust};

/// A rollout as it was ordered.
#[derive(Debug)]
pub(in crate::ctl) struct RolloutRequest {
    pub broker: BrokerArgs,
    pub record: PathBuf,
    pub model: ModelName,
    pub target: Target,
    pub bundle: PathBuf,
    pub keysets: Vec<PathBuf>,
    pub keys: Vec<PathBuf>,
    pub key_passwords: Vec<PathBuf>,
    pub terms: Terms,
    /// ShadowCounts runs where the terms name none.
    pub default_shadow: u32,
    pub name: Option<String>,
    pub pace: Pace,
    pub json: bool,
}

/// The contents of the files of a request or record.
#[derive(Debug)]
pub(super) struct Loaded {
    pub trust: Trust,
    pub checked: CheckedRelease,
    pub keys: Vec<SecretKey>,
}

impl Files {
    /// Reads and checks all of them.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        let chain = KeysetChain::load(&self.keysets)?;
        let checked = read_release(&self.bundle, &chain)?;
        let trust = chain.into_current();
        Ok(Loaded { keys: load_keys(&self.keys, self.key_password.files())?, trust, checked })
    }
}

impl RolloutRequest {
    /// The files by their full paths: the rollout may be continued from another folder.
    pub(super) fn files(&self) -> Result<Files, Failure> {
        let all = |paths: &[PathBuf]| -> Result<Vec<_>, Failure> {
            paths.iter().map(|path| full_path(path)).collect()
        };
        Ok(Files {
            bundle: full_path(&self.bundle)?,
            keysets: all(&self.keysets)?,
            keys: all(&self.keys)?,
            key_password: KeyPasswords::new(all(&self.key_passwords)?),
        })
    }

    /// The plan, for a fleet of these gateways.
    pub(super) fn plan(
        &self,
        version: &str,
        fleet: &[GatewayId],
        now: Timestamp,
    ) -> Result<Plan, Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let generated = || format!("{}-{version}-{:08x}", self.model, fastrand::u32(..));
        let name = self.name.clone().unwrap_or_else(generated);
        // Every rollout selects its gateways independently.
        let seed = format!("{name} {now}");
        let waves = percents(&self.pace.waves, &seed, fleet).map_err(usage)?;
        let Pace { soak, abort_above, min_reports, skip_offline, .. } = self.pace;
        Ok(Plan { name, seed, waves, soak, abort_above, min_reports, skip_offline })
    }

    /// The deployment of which every wave is a variation.
    pub(super) fn deployment(
        &self,
        plan: &Plan,
        checked: &CheckedRelease,
        now: Timestamp,
    ) -> Result<Deployment, Failure> {
        let internal = || Failure::new(Exit::Internal, "a release without a manifest");
        let (not_before, expires) = self.terms.times(now);
        Ok(Deployment {
            deployment: plan.name.clone(),
            seq: 0,
            model: self.model.clone(),
            target: self.target.clone(),
            manifest: checked.manifest_blob().ok_or_else(internal)?.clone(),
            sources: self.terms.sources(),
            percent: 0.0,
            seed: plan.seed.clone(),
            hold: false,
            created: now,
            not_before,
            expires,
            windows: self.terms.windows(),
            spread_s: self.terms.spread_s()?,
            max_bytes_per_s: self.terms.max_rate(),
            shadow_runs: self.terms.shadow(self.default_shadow),
            trial: self.terms.trial()?,
        })
    }
}

/// Signs a deployment, and judges it as a gateway will.
pub(super) fn sign(
    deployment: &Deployment,
    keys: &[SecretKey],
    trust: &Trust,
) -> Result<String, Failure> {
    let mut envelope = Envelope::of(deployment)?;
    keys.iter().for_each(|key| envelope.sign(key));
    let bytes = envelope.bytes();
    trust.deployment(&bytes)?;
    String::from_utf8(bytes).map_err(|error| Failure::new(Exit::Internal, error.to_string()))
}

/// The first number of a rollout's deployments: above all that are retained, and above those that were
/// withdrawn, which cannot be looked up.
pub(super) fn first_seq(highest: u64, now: Timestamp) -> u64 {
    let seconds = u64::try_from(now.0 / 1_000_000).unwrap_or(0);
    seconds.max(highest.saturating_add(1))
}

/// A path that is the same from every folder.
pub(super) fn full_path(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io("find", path, &error))
}
