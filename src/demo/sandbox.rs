//! A sandbox for one run: a broker, a temporary folder and the daemon's configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::broker::EmbeddedBroker;
use super::replay::Watch;
use crate::bundle::{Bundle, VerifiedModel};
use crate::config::Config;
use crate::pipeline;

/// The recordings that are replayed.
pub(crate) const RECORDINGS: &str = include_str!("../../models/recordings/basic-motions-test.csv");

/// The files of the built-in model.
const BUNDLE: [(&str, &[u8]); 4] = [
    ("card.toml", include_bytes!("../../models/motion/card.toml")),
    ("model.onnx", include_bytes!("../../models/motion/model.onnx")),
    ("golden.npz", include_bytes!("../../models/motion/golden.npz")),
    ("golden_samples.json", include_bytes!("../../models/motion/golden_samples.json")),
];

/// The resources of a demo run; dropping it removes them.
pub(crate) struct Sandbox {
    _folder: Folder,
    url: String,
    config: Config,
    bundle: VerifiedModel,
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
    pub(crate) fn prepare(url: Option<&str>) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("inferd-demo-{}", std::process::id()));
        let models = folder.join("models/motion");
        std::fs::create_dir_all(&models).with_context(|| format!("{}", models.display()))?;
        let folder = Folder(folder);
        for (name, bytes) in BUNDLE {
            std::fs::write(models.join(name), bytes)?;
        }
        let broker = match url {
            Some(_) => None,
            None => Some(EmbeddedBroker::start().context("cannot start the embedded broker")?),
        };
        let own = broker.as_ref().map(|broker| format!("mqtt://127.0.0.1:{}", broker.port()));
        let url = url.map(str::to_owned).or(own).unwrap_or_default();
        let config = Config::parse(&toml(&url, &folder.0))?;
        let bundle = pipeline::load(&Bundle::open(&models)?)?;
        Ok(Self { _folder: folder, url, config, bundle, broker })
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

    /// The number of windows of a watch's recordings; no window spans two of them.
    pub(crate) fn windows(&self, watch: &Watch) -> u64 {
        let window = self.bundle.card.window.as_ref();
        let (length, hop) = window.map_or((1, 1), |window| (window.length, window.hop));
        let of = |samples: usize| samples.checked_sub(length).map_or(0, |over| over / hop + 1);
        let windows: usize = watch.recordings().iter().map(|r| of(r.samples.len())).sum();
        u64::try_from(windows).unwrap_or(u64::MAX)
    }
}

/// The configuration of the daemon, as a user would write it.
fn toml(url: &str, folder: &Path) -> String {
    let folder = folder.display();
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
name = "motion"
model = "motion"
topic = "sensors/{{device}}/imu"
qos = 1
payload = {{ format = "json", fields = ["ax", "ay", "az", "gx", "gy", "gz"], time = "ts" }}

[stream.publish]
topic = "predictions/{{stream}}/{{device}}"
"#
    )
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broker = if self.broker.is_some() { "embedded broker" } else { "broker" };
        write!(
            f,
            "inferd demo: 40 recordings of smart watches -> {broker} {} -> int8 model -> \
             predictions",
            self.url
        )
    }
}
