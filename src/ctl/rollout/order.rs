//! What a rollout is made of, checked before anything is published.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Plan;
use super::record::{Files, KeyPasswords};
use super::terms::Terms;
use super::waves::{Wave, percents};
use crate::clock::Timestamp;
use crate::ctl::broker::BrokerArgs;
use crate::ctl::chain::Chain;
use crate::ctl::unlock::load_keys;
use crate::ctl::upload::{Checked, checked};
use crate::ids::{GatewayId, ModelName};
use crate::terminal::{Exit, Failure};
use crate::update::{Deployment, Envelope, SecretKey, Target, Trust};

/// A rollout as it was ordered.
#[derive(Debug)]
pub(in crate::ctl) struct Order {
    pub broker: BrokerArgs,
    pub record: PathBuf,
    pub model: ModelName,
    pub target: Target,
    pub bundle: PathBuf,
    pub keysets: Vec<PathBuf>,
    pub keys: Vec<PathBuf>,
    pub key_passwords: Vec<PathBuf>,
    pub terms: Terms,
    /// Shadow runs where the terms name none.
    pub usual_shadow: u32,
    pub name: Option<String>,
    pub waves: Vec<Wave>,
    pub soak: Duration,
    /// 0 to 1.
    pub abort_above: f64,
    pub min_reports: usize,
    pub skip_offline: Option<Duration>,
    pub json: bool,
}

/// What the files of an order, or of a record, hold.
#[derive(Debug)]
pub(super) struct Loaded {
    pub trust: Trust,
    pub checked: Checked,
    pub keys: Vec<SecretKey>,
}

impl Files {
    /// Reads and checks all of them.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        let chain = Chain::load(&self.keysets)?;
        let checked = checked(&self.bundle, &chain)?;
        let trust = chain.into_current();
        Ok(Loaded { keys: load_keys(&self.keys, self.key_password.files())?, trust, checked })
    }
}

impl Order {
    /// Full paths: whoever goes on may do so from another folder.
    pub(super) fn files(&self) -> Result<Files, Failure> {
        let full = |path: &Path| {
            std::path::absolute(path).map_err(|error| Failure::io("find", path, &error))
        };
        let all = |paths: &[PathBuf]| -> Result<Vec<_>, Failure> {
            paths.iter().map(|path| full(path)).collect()
        };
        Ok(Files {
            bundle: full(&self.bundle)?,
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
        // Every rollout draws its gateways anew.
        let seed = format!("{name} {now}");
        let waves = percents(&self.waves, &seed, fleet).map_err(usage)?;
        let (soak, abort_above, min_reports) = (self.soak, self.abort_above, self.min_reports);
        let skip_offline = self.skip_offline;
        Ok(Plan { name, seed, waves, soak, abort_above, min_reports, skip_offline })
    }

    /// The deployment of which every wave is a variation.
    pub(super) fn deployment(
        &self,
        plan: &Plan,
        checked: &Checked,
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
            shadow_runs: self.terms.shadow(self.usual_shadow),
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

/// The moment, for documents and waves.
pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
