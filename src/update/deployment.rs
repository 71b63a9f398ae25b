//! Deployments: which version of a model a part of the fleet should run.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::envelope::Document;
use super::maintenance_window::MaintenanceWindow;
use super::manifest::{Blob, Manifest};
use crate::clock::Timestamp;
use crate::ids::{GatewayId, ModelName};

/// Which version of a model a part of the fleet should run. Signed by the deploy role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The rollout's name, the same for all its waves.
    pub deployment: String,
    /// Rises with every deployment of a fleet: the highest that reaches a gateway wins.
    pub seq: u64,
    pub model: ModelName,
    /// Signed, because topics are not.
    pub target: Target,
    /// The manifest's envelope, to the byte.
    pub manifest: Blob,
    /// Where the bytes are; tried in this order.
    pub sources: Vec<Source>,
    /// How much of the target is reached, 0 to 100 in steps of 0.01; raised wave by wave.
    pub percent: f64,
    /// Seed of the selection of gateways, different for every rollout.
    pub seed: String,
    /// Gateways that have not switched yet wait.
    #[serde(default)]
    pub hold: bool,
    /// When it was signed: a gateway without a clock battery learns from it how late it is at least.
    pub created: Timestamp,
    pub not_before: Timestamp,
    pub expires: Timestamp,
    /// When fetching may begin, UTC; always where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<MaintenanceWindow>,
    /// Gateways start at a random time within this many seconds.
    #[serde(default)]
    pub spread_s: u32,
    /// Of each gateway; 0 for no limit.
    #[serde(default)]
    pub max_bytes_per_s: u64,
    /// Runs of the candidate beside the active model before it is switched to; 0 for none.
    #[serde(default)]
    pub shadow_runs: u32,
    #[serde(default)]
    pub trial: Trial,
}

/// The target of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    Group(String),
    Gateway(GatewayId),
}

/// A source of the bytes of a release.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// Retained chunks of the broker.
    Mqtt,
    /// `https://…` with `{sha256}` in it.
    Http(String),
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let web = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
        match text.as_str() {
            "mqtt" => Ok(Self::Mqtt),
            _ if web && text.contains("{sha256}") => Ok(Self::Http(text)),
            _ => Err(format!("{text:?} is neither \"mqtt\" nor a URL with {{sha256}} in it")),
        }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        match source {
            Source::Mqtt => "mqtt".into(),
            Source::Http(url) => url,
        }
    }
}

/// Conditions for committing a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trial {
    pub min_runs: u32,
    /// A model with fewer runs is committed after this many seconds.
    pub max_s: u32,
    pub max_error_rate: f64,
    /// Times the old model's latency.
    pub max_slowdown: f64,
    /// The least share of shadow runs in which candidate and active model agree; not in documents
    /// that do not ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_agreement: Option<f64>,
    /// The least share of labels that predictions agree with; not in documents that do not ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_accuracy: Option<f64>,
    /// Labels from which the accuracy is judged, and without which a trial goes on until `max_s`.
    #[serde(skip_serializing_if = "is_default_labels")]
    pub min_labels: u32,
}

/// Labels from which an accuracy says anything.
const MIN_LABELS: u32 = 30;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_default_labels(labels: &u32) -> bool {
    *labels == MIN_LABELS
}

impl Default for Trial {
    fn default() -> Self {
        Self {
            min_runs: 100,
            max_s: 600,
            max_error_rate: 0.02,
            max_slowdown: 3.0,
            min_agreement: None,
            min_accuracy: None,
            min_labels: MIN_LABELS,
        }
    }
}

impl Deployment {
    /// Whether a gateway in these groups is targeted and selected.
    #[must_use]
    pub fn reaches(&self, gateway: &GatewayId, groups: &[String]) -> bool {
        let meant = match &self.target {
            Target::Group(group) => groups.contains(group),
            Target::Gateway(id) => id == gateway,
        };
        meant && is_selected(&self.seed, gateway, self.percent)
    }
}

/// Whether a gateway is among the first `percent` of a rollout. Raising the percentage only adds
/// gateways.
#[must_use]
pub fn is_selected(seed: &str, gateway: &GatewayId, percent: f64) -> bool {
    f64::from(rollout_bucket(seed, gateway)) < percent * 100.0
}

/// A gateway's place in a rollout, below 10,000: it is reached when that many hundredths of a
/// percent and one more are.
#[must_use]
pub fn rollout_bucket(seed: &str, gateway: &GatewayId) -> u32 {
    let mut hash = Sha256::new();
    hash.update(seed);
    hash.update(gateway.as_str());
    let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
    u32::from_be_bytes([a, b, c, d]) % 10_000
}

impl Document for Deployment {
    const TYPE: &'static str = "application/vnd.inferd.deployment.v1+json";
    const NAME: &'static str = "deployment";
    const MAX_SIZE: usize = 16 << 10;

    fn check(&self) -> Result<(), String> {
        if !(0.0..=100.0).contains(&self.percent) {
            return Err(format!("percent is {}; 0 to 100 is allowed", self.percent));
        }
        if self.sources.is_empty() || self.sources.len() > 8 || self.windows.len() > 16 {
            return Err("a deployment has 1 to 8 sources and at most 16 windows".into());
        }
        if self.expires <= self.created || self.expires <= self.not_before {
            return Err("it expires before it starts".into());
        }
        self.manifest.check("the manifest")?;
        if usize::try_from(self.manifest.len).is_ok_and(|len| len > Manifest::MAX_SIZE) {
            return Err(format!("the manifest has more than {} bytes", Manifest::MAX_SIZE));
        }
        let trial = &self.trial;
        if !(0.0..=1.0).contains(&trial.max_error_rate)
            || !(1.0..=f64::MAX).contains(&trial.max_slowdown)
        {
            return Err("max_error_rate must be 0 to 1, max_slowdown at least 1".into());
        }
        for (name, least) in
            [("min_accuracy", trial.min_accuracy), ("min_agreement", trial.min_agreement)]
        {
            if least.is_some_and(|least| !(0.0..=1.0).contains(&least)) {
                return Err(format!("{name} must be 0 to 1"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_reaches_its_share_and_keeps_those_it_has() {
        let gateways: Vec<_> =
            (0..10_000).map(|i| GatewayId::parse(&format!("gw-{i}")).unwrap()).collect();
        let reached = |seed: &str, percent: f64| {
            gateways.iter().filter(|g| is_selected(seed, g, percent)).count()
        };
        assert_eq!(reached("a", 0.0), 0);
        assert_eq!(reached("a", 100.0), 10_000);
        let one = reached("a", 1.0);
        assert!((70..130).contains(&one), "1 % of 10,000 were {one}");
        assert!(gateways.iter().all(|g| !is_selected("a", g, 1.0) || is_selected("a", g, 10.0)));
        let both = gateways
            .iter()
            .filter(|g| is_selected("a", g, 10.0) && is_selected("b", g, 10.0))
            .count();
        assert!(both < 200, "two rollouts begin with other gateways");
    }

    #[test]
    fn a_source_is_the_broker_or_an_address() {
        let source = |text: &str| Source::try_from(text.to_owned());
        assert_eq!(source("mqtt"), Ok(Source::Mqtt));
        assert!(source("https://cdn.example/{sha256}").is_ok());
        for bad in ["", "ftp://x/{sha256}", "https://cdn.example/model", "MQTT"] {
            assert!(source(bad).is_err(), "{bad:?}");
        }
    }
}
