//! A sandbox for one run: a broker, a temporary folder and the daemon's configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::broker::EmbeddedBroker;
use super::replay::Watch;
use crate::bundle::{Bundle, VerifiedModel};
use crate::config::Config;
use crate::pipeline;

/// What a demonstration runs.
pub(crate) struct Scenario {
    /// The name of the model and of the stream.
    pub(crate) model: &'static str,
    /// The files of the bundle by name.
    pub(crate) files: &'static [(&'static str, &'static [u8])],
    pub(crate) topic: &'static str,
    /// `stream.payload` in TOML.
    pub(crate) payload: &'static str,
    /// What is replayed, and what runs on it.
    pub(crate) title: [&'static str; 2],
}

/// The resources of a demo run; dropping it removes them.
pub(crate) struct Sandbox {
    _folder: Folder,
    url: String,
    config: Config,
    bundle: VerifiedModel,
    title: [&'static str; 2],
    broker: Option<EmbeddedBroker>,
}

/// A folder that is removed with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            log::debug!("{} is left behind: {error}", self.0.display());
        }
    }
}

impl Sandbox {
    pub(crate) fn prepare(url: Option<&str>, scenario: &Scenario) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("inferd-demo-{}", std::process::id()));
        let models = folder.join("models").join(scenario.model);
        std::fs::create_dir_all(&models).with_context(|| format!("{}", models.display()))?;
        let folder = Folder(folder);
        for (name, bytes) in scenario.files {
            std::fs::write(models.join(name), bytes)?;
        }
        let broker = match url {
            Some(_) => None,
            None => Some(EmbeddedBroker::start().context("cannot start the embedded broker")?),
        };
        let own = broker.as_ref().map(|broker| format!("mqtt://127.0.0.1:{}", broker.port()));
        let url = url.map(str::to_owned).or(own).unwrap_or_default();
        let config = Config::parse(&toml(&url, &folder.0, scenario))?;
        let bundle = pipeline::load(&Bundle::open(&models)?)?;
        let title = scenario.title;
        Ok(Self { _folder: folder, url, config, bundle, title, broker })
    }

    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    /// The connection of the demo: to the daemon's broker, with another client id.
    pub(crate) fn client(&self) -> crate::config::Broker {
        let client_id = format!("inferd-demo-{}", std::process::id());
        crate::config::Broker { client_id, ..self.config.broker.clone() }
    }

    pub(crate) fn bundle(&self) -> VerifiedModel {
        self.bundle.clone()
    }

    pub(crate) fn status_topic(&self) -> String {
        format!("{}/{}/status", self.config.gateway.prefix, self.config.gateway.id)
    }

    /// Samples in a window, and from one window's start to the next one's.
    pub(crate) fn window(&self) -> (usize, usize) {
        let window = self.bundle.card.window.as_ref();
        window.map_or((1, 1), |window| (window.length, window.hop))
    }

    /// The number of windows of a watch's recordings; no window spans two of them.
    pub(crate) fn windows(&self, watch: &Watch) -> u64 {
        let (length, hop) = self.window();
        let of = |samples: usize| samples.checked_sub(length).map_or(0, |over| over / hop + 1);
        let windows: usize = watch.recordings().iter().map(|r| of(r.samples.len())).sum();
        u64::try_from(windows).unwrap_or(u64::MAX)
    }
}

/// The configuration of the daemon, as a user would write it.
fn toml(url: &str, folder: &Path, scenario: &Scenario) -> String {
    let folder = folder.display();
    let Scenario { model, topic, payload, .. } = scenario;
    format!(
        r#"
[broker]
url = "{url}"
client_id = "inferd-demo-gateway"

[gateway]
id = "demo"

[models]
dir = "{folder}/models"

[store]
dir = "{folder}/state"

[control]
dir = "{folder}"

[[stream]]
name = "{model}"
model = "{model}"
topic = "{topic}"
qos = 1
payload = {payload}

[stream.publish]
topic = "predictions/{{stream}}/{{device}}"
"#
    )
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [source, model] = self.title;
        let broker = if self.broker.is_some() { "embedded broker" } else { "broker" };
        write!(f, "inferd demo: {source} -> {broker} {} -> {model} -> predictions", self.url)
    }
}
