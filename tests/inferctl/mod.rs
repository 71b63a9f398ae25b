//! `inferctl` as its users meet it: against a real broker, with real or simulated gateways.

mod access;
mod colleagues;
mod commands;
mod defaults;
mod docs_commands;
mod dry_run;
mod fake_gateways;
mod fleet_views;
mod lost_record;
pub(crate) mod mosquitto_sub;
mod profile;
mod publish;
mod releases;
mod rollback;
mod rollouts;
mod terminal;
pub(crate) mod workspace;

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::broker::Mosquitto;
use crate::common::{self, skipped};
use workspace::{Ended, Workspace};

/// A workspace with signed releases, and a broker.
pub(crate) struct Setup {
    pub(crate) workspace: Workspace,
    pub(crate) broker: Mosquitto,
}

impl Setup {
    /// `None` without mosquitto, which is reported as skipped.
    pub(crate) fn open(test: &str) -> Option<Self> {
        Self::open_with(test, "")
    }

    /// With more in the broker's configuration.
    pub(crate) fn open_with(test: &str, configuration: &str) -> Option<Self> {
        let Some(broker) = Mosquitto::start(configuration) else {
            skipped(test, "mosquitto is not installed");
            return None;
        };
        Some(Self { workspace: Workspace::new(), broker })
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.broker.port())
    }

    /// Packs and signs the demonstration model.
    pub(crate) fn release(&self, counter: u64) -> String {
        let name = format!("motion-{counter}.bundle");
        self.workspace.pack(&["--counter", &counter.to_string(), "--out", &name]);
        self.sign(&name);
        name
    }

    pub(crate) fn sign(&self, bundle: &str) {
        let password = ["--password-file", "password"];
        self.workspace.run_ok(&[&["sign", bundle, "--key", "release.key"], &password[..]].concat());
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.workspace.run(&[args, &["--broker", &self.url()]].concat())
    }

    pub(crate) fn run_ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}: {}{}", ended.out, ended.err);
        ended.out
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run_ok(&[args, &["--json"]].concat())).unwrap()
    }

    /// Starts `inferctl` and does not wait; what it says goes to a file of this name.
    pub(crate) fn spawn(&self, args: &[&str], out: &str) -> Running {
        let out = std::fs::File::create(self.workspace.folder.path().join(out)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_inferctl"))
            .args(args)
            .args(["--broker", &self.url()])
            .env_clear()
            .current_dir(self.workspace.folder.path())
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Running(Some(child))
    }
}

/// A program under way; killed when dropped.
pub(crate) struct Running(pub(crate) Option<Child>);

impl Running {
    pub(crate) fn kill(mut self) {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Its exit code once it has ended by itself.
    pub(crate) fn ended(mut self) -> i32 {
        let status = common::ended(&mut self.0.take().unwrap());
        status.and_then(|status| status.code()).expect("it ended by itself")
    }

    /// Whether it has ended meanwhile.
    pub(crate) fn is_over(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}
