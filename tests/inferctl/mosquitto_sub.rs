//! Another's client that sees what is published: mosquitto_sub.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::{Running, Setup};
use crate::common::PATIENCE;

/// Writes down every message below a filter that comes while it lives.
pub(crate) struct Subscriber {
    path: std::path::PathBuf,
    port: u16,
    _client: Running,
}

const MARK: &str = "inferd/v1/deploy/group/mark/mark";

impl Subscriber {
    pub(crate) fn of_deployments(setup: &Setup) -> Self {
        Self::of(setup, &["deploy/#"])
    }

    /// Of everything that gateways fetch or follow.
    pub(crate) fn of_releases(setup: &Setup) -> Self {
        Self::of(setup, &["deploy/#", "blob/#", "keys/#"])
    }

    fn of(setup: &Setup, filters: &[&str]) -> Self {
        let filters =
            filters.iter().flat_map(|rest| ["-t".to_owned(), format!("inferd/v1/{rest}")]);
        let (path, port) = (setup.workspace.folder.path().join("subscriber"), setup.broker.port());
        let client = Command::new("mosquitto_sub")
            .args(["-p", &port.to_string(), "-q", "1", "-R"])
            .args(filters)
            .args(["-F", "%t %l"])
            .stdout(std::fs::File::create(&path).unwrap())
            .spawn()
            .unwrap();
        let subscriber = Self { path, port, _client: Running(Some(client)) };
        subscriber.marks(1);
        subscriber
    }

    /// How many messages were published until now.
    pub(crate) fn count(&self) -> usize {
        let marks = self.lines().iter().filter(|line| line.starts_with(MARK)).count();
        self.marks(marks + 1);
        self.lines().iter().filter(|line| !line.starts_with(MARK)).count()
    }

    /// Publishes marks until so many have come: all before them has come, too.
    fn marks(&self, wanted: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.lines().iter().filter(|line| line.starts_with(MARK)).count() < wanted {
            assert!(Instant::now() < deadline, "mosquitto_sub hears nothing");
            let args = ["-p", &self.port.to_string(), "-q", "1", "-t", MARK, "-m", "mark"];
            assert!(Command::new("mosquitto_pub").args(args).status().unwrap().success());
        }
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.path).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// The retained message of a topic, to the byte.
pub(crate) fn retained(port: u16, topic: &str) -> Option<Vec<u8>> {
    let output = Command::new("mosquitto_sub")
        .args(["-p", &port.to_string(), "-t", topic, "-C", "1", "-N", "-W", "2"])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    output.status.success().then_some(output.stdout)
}

/// Another's SHA-256.
pub(crate) fn sha256sum(folder: &std::path::Path, bytes: &[u8]) -> String {
    std::fs::write(folder.join("summed"), bytes).unwrap();
    let output = Command::new("sha256sum").arg(folder.join("summed")).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

/// Empties a topic.
pub(crate) fn empty(port: u16, topic: &str) {
    let args = ["-p", &port.to_string(), "-q", "1", "-r", "-n", "-t", topic];
    assert!(Command::new("mosquitto_pub").args(args).status().unwrap().success());
}
