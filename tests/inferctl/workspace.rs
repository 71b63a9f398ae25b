//! A folder with an operator's keys, in which `inferctl` runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Workspace {
    pub(crate) folder: TempDir,
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Workspace {
    /// A folder with the keys and the keyset of a fleet.
    pub(crate) fn new() -> Self {
        let workspace = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(workspace.folder.path().join("password"), "correct horse\n").unwrap();
        workspace.run_ok(&["keygen", "--out", "release.key", "--password-file", "password"]);
        workspace.run_ok(&["keygen", "--out", "deploy.key", "--unencrypted"]);
        workspace.run_ok(&[
            "keys",
            "--release",
            "release.key",
            "--deploy",
            "deploy.key",
            "--password-file",
            "password",
            "--out",
            "keyset-1.json",
        ]);
        workspace
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inferctl"));
        let output = command.args(args).env_clear().current_dir(self.folder.path()).output();
        let output = output.unwrap();
        Ended {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn run_ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended.out
    }

    pub(crate) fn run_refused(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 1, "{args:?}: {}{}", ended.out, ended.err);
        ended.err
    }

    pub(crate) fn pack(&self, more: &[&str]) -> Value {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
        let args = ["pack", model.to_str().unwrap(), "--json"];
        serde_json::from_str(&self.run_ok(&[&args[..], more].concat())).unwrap()
    }
}
