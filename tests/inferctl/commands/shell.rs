//! Lines of shell, run as an operator would type them.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::common::{self, PATIENCE};

/// A folder with the models of this repository, and what each line finds in its environment.
pub(super) struct Shell {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
    prelude: String,
}

impl Shell {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        symlink(models, folder.path().join("models")).unwrap();
        Self { folder, variables: Vec::new(), prelude: String::new() }
    }

    /// `inferctl` and mosquitto's clients reach this broker where a line names none.
    pub(super) fn with_broker(mut self, port: u16) -> Self {
        self.set("INFERCTL_BROKER", format!("mqtt://127.0.0.1:{port}"));
        for client in ["mosquitto_pub", "mosquitto_sub"] {
            self.prelude += &format!("{client}() {{ command {client} -p {port} \"$@\"; }}\n");
        }
        self
    }

    pub(super) fn set(&mut self, name: &'static str, value: String) {
        self.variables.push((name, value));
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, line: &str) -> Command {
        let built = Path::new(env!("CARGO_BIN_EXE_inferctl")).parent().unwrap();
        let path = format!("{}:/usr/sbin:{}", built.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command
            .args(["-euc", &format!("{}{line}", self.prelude)])
            .env("PATH", path)
            .envs(self.variables.iter().cloned())
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs lines to their end: whether they succeeded, and what they printed.
    pub(super) fn run(&self, line: &str) -> (bool, String) {
        let output = self.command(line).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs lines that must succeed; what they printed.
    pub(super) fn run_ok(&self, line: &str) -> String {
        let (is_well, text) = self.run(line);
        assert!(is_well, "{line}\n{text}");
        text
    }

    /// Starts a line that runs until it is stopped.
    pub(super) fn spawn(&self, line: &str) -> Staying {
        let name = format!("out-{}", fastrand::u64(..));
        let out = self.path().join(name);
        let file = File::create(&out).unwrap();
        let child = self
            .command(line)
            .process_group(0)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Staying { line: line.to_owned(), out, child: Some(child) }
    }
}

/// A line that is running; killed when dropped.
pub(super) struct Staying {
    line: String,
    out: PathBuf,
    child: Option<Child>,
}

impl Staying {
    /// Waits until it has printed this text.
    pub(super) fn await_text(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&self.out).unwrap();
            if text.contains(wanted) {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{} ended: {ended:?}\n{text}", self.line);
            assert!(Instant::now() < deadline, "{}: no {wanted:?} in:\n{text}", self.line);
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    }

    /// Whether it has printed this text.
    pub(super) fn has_text(&self, wanted: &str) -> bool {
        std::fs::read_to_string(&self.out).unwrap().contains(wanted)
    }

    /// Its exit code, once it has ended by itself.
    pub(super) fn ended(mut self) -> Option<i32> {
        common::ended(&mut self.child.take().unwrap())?.code()
    }

    /// Stops it by a signal to all its processes; its exit code.
    pub(super) fn stop(mut self) -> Option<i32> {
        self.signal("-TERM");
        common::ended(&mut self.child.take().unwrap())?.code()
    }

    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.child.as_ref().unwrap().id());
        Command::new("kill").args([signal, "--", &group]).status().unwrap();
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.signal("-KILL");
            self.child.take().unwrap().wait().unwrap();
        }
    }
}
