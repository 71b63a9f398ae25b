//! The real binary as a service would run it: a folder of its own, a notify socket, signals.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::{PATIENCE, binary};

/// One sample a message, for the demo model.
pub(crate) const MOTION: &str = r#"
[[stream]]
name = "motion"
model = "motion"
topic = "sensors/{device}/imu"
payload = { format = "json", fields = ["ax", "ay", "az", "gx", "gy", "gz"], time = "ts" }
[stream.publish]
topic = "predictions/{stream}/{device}"
"#;

/// Messages that are whole inputs, for the model `whole` with the card of [`without_window`].
pub(crate) const WHOLE: &str = r#"
[[stream]]
name = "whole"
model = "whole"
topic = "inputs/{device}"
guarantee = "at-least-once"
payload = { format = "f32le" }
[stream.publish]
topic = "predictions/{device}"
"#;

/// A gateway's folder, and the daemon while it runs.
pub(crate) struct Gateway {
    dir: TempDir,
    socket: UnixDatagram,
    child: Option<Child>,
    environment: Vec<(String, String)>,
    under: Vec<String>,
}

impl Gateway {
    /// A gateway whose configuration is `streams` under the usual head, for a broker at `port`.
    pub(crate) fn new(port: u16, streams: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let gateway = Self { dir, socket, child: None, environment: Vec::new(), under: Vec::new() };
        gateway.configure(port, streams);
        gateway.ship("motion", |card| card);
        gateway
    }

    /// Writes the configuration again, as a change of it would.
    pub(crate) fn configure(&self, port: u16, streams: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "[broker]\nurl = \"mqtt://127.0.0.1:{port}\"\nclient_id = \"gw-1\"\n\
             backoff_min = \"100ms\"\nbackoff_max = \"1s\"\n\
             [gateway]\nid = \"gw-1\"\n[models]\ndir = \"{dir}/models\"\n\
             [store]\ndir = \"{dir}/state\"\ngroup_delay = \"50ms\"\n\
             [control]\ndir = \"{dir}/run\"\n[report]\nhealth_interval = \"1s\"\n{streams}"
        );
        std::fs::write(self.config(), text).unwrap();
    }

    /// Runs a command of the same program with the same configuration.
    pub(crate) fn command(&self, args: &[&str]) -> Output {
        let mut command = binary::inferd(&[]);
        let command = command.args(args).arg("--config").arg(self.config());
        command.env_remove("INFERD_CONFIG").stdin(Stdio::null()).output().unwrap()
    }

    /// The folder of everything that is this gateway's.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("inferd.toml")
    }

    /// Adds the demonstration model under another name, its card changed and without golden samples,
    /// which would refuse the change.
    pub(crate) fn ship(&self, name: &str, change: impl FnOnce(String) -> String) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
        let to = self.dir.path().join("models").join(name);
        std::fs::create_dir_all(&to).unwrap();
        for file in ["model.onnx", "golden.npz"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
        let card = std::fs::read_to_string(from.join("card.toml")).unwrap();
        let card = card.replace("name = \"motion\"", &format!("name = \"{name}\""));
        let card = without_samples(&card);
        std::fs::write(to.join("card.toml"), change(card)).unwrap();
    }

    /// Adds a model of this test's own.
    pub(crate) fn ship_model(&self, name: &str, onnx: &[u8], card: &str) {
        let to = self.dir.path().join("models").join(name);
        std::fs::create_dir_all(&to).unwrap();
        std::fs::write(to.join("model.onnx"), onnx).unwrap();
        std::fs::write(to.join("card.toml"), card).unwrap();
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// Another command that starts the daemon.
    pub(crate) fn start_under(&mut self, command: &[&str]) {
        self.under = command.iter().map(|&word| word.to_owned()).collect();
    }

    /// Starts the daemon and waits until it says READY.
    pub(crate) fn start(&mut self) {
        self.spawn();
        self.await_notice("READY=1");
    }

    pub(crate) fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        // A caller of the tests may ignore SIGHUP (`nohup`, a CI's runner), which children inherit.
        let default_signals = ["env", "--default-signal=HUP"].map(str::to_owned);
        let under = if self.under.is_empty() { &default_signals[..] } else { &self.under };
        let child = binary::inferd(under)
            .arg("run")
            .arg("--config")
            .arg(self.config())
            .env_remove("INFERD_CONFIG")
            .env("NOTIFY_SOCKET", self.dir.path().join("notify"))
            .env("RUST_LOG", "debug")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Waits for a message to the service manager that holds this text.
    pub(crate) fn await_notice(&self, wanted: &str) -> String {
        let mut buffer = [0; 4096];
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let Ok(n) = self.socket.recv(&mut buffer) else { break };
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if text.contains(wanted) {
                return text;
            }
        }
        panic!("waited in vain for {wanted:?}; the log:\n{}", self.log());
    }

    /// Whether it says nothing to the service manager for this long.
    pub(crate) fn is_silent_for(&self, span: Duration) -> bool {
        self.skip_notices();
        self.socket.set_read_timeout(Some(span)).unwrap();
        let heard = self.socket.recv(&mut [0; 4096]);
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        heard.is_err()
    }

    /// Reads what nobody waited for: few messages fit into the socket, and the daemon waits to say
    /// the next.
    pub(crate) fn skip_notices(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it does not run").id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let told = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(told.success());
    }

    /// Whether the daemon has ended by itself; it may be spawned again then.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("it does not run");
        let ended = child.try_wait().unwrap().is_some();
        if ended {
            self.child = None;
        }
        ended
    }

    /// What the running daemon answers to a command, as JSON; `Null` while it does not.
    pub(crate) fn ask(&self, args: &[&str]) -> serde_json::Value {
        let output = self.command(&[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Asks for the health until it is as wanted.
    pub(crate) fn await_health(
        &self,
        what: &str,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let health = self.ask(&["status"])["health"].take();
            if wanted(&health) {
                return health;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}: {health}");
        }
    }

    /// Waits until the daemon has ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it does not run");
        super::ended(&mut child).unwrap_or_else(|| {
            panic!("it did not end within {PATIENCE:?}; the log:\n{}", self.log_end())
        })
    }

    /// SIGTERM, and a clean end.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let status = self.ended();
        assert!(status.success(), "{status}; the log:\n{}", self.log());
    }

    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.ended();
    }

    /// The last of the log.
    pub(crate) fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).ok();
        }
    }
}

/// A card without its lines on golden samples.
pub(crate) fn without_samples(card: &str) -> String {
    card.lines()
        .filter(|line| !line.starts_with("samples"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Samples of the first test recording, ten a second from `start` on.
pub(crate) fn samples(start: usize, count: usize) -> Vec<Vec<u8>> {
    let recordings = include_str!("../../models/recordings/basic-motions-test.csv");
    let now = jiff::Timestamp::now().as_millisecond() - 10_000;
    let rows = recordings.lines().skip(1 + start).take(count).enumerate();
    rows.map(|(at, row)| {
        let cells: Vec<f64> = row.split(',').skip(3).map(|cell| cell.parse().unwrap()).collect();
        let ms = now + 100 * i64::try_from(start + at).unwrap();
        let [ax, ay, az, gx, gy, gz] = cells[..] else { panic!("{row}") };
        let sample = json!({"ts": ms, "ax": ax, "ay": ay, "az": az, "gx": gx, "gy": gy, "gz": gz});
        sample.to_string().into_bytes()
    })
    .collect()
}

/// The card of the same model for messages that are whole inputs, already normalised.
pub(crate) fn without_window(card: String) -> String {
    let section = |line: &str| line.starts_with('[').then(|| line.to_owned());
    let mut current = String::new();
    let mut kept = String::new();
    for line in card.lines() {
        current = section(line).unwrap_or(current);
        let per_sample = line.starts_with("channels") || line.starts_with("normalize");
        if current != "[window]" && !per_sample {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
