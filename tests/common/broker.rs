//! A real broker of the test's own: mosquitto where it is installed, else the embedded one, which
//! `INFERD_TEST_BROKER=embedded` asks for in any case.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use inferd::demo::EmbeddedBroker;
use tempfile::TempDir;

use super::skipped;

/// Any broker on loopback without a password.
pub(crate) enum Broker {
    Mosquitto(Mosquitto),
    Embedded(EmbeddedBroker),
    Aedes(Aedes),
}

impl Broker {
    pub(crate) fn start() -> Self {
        if let Some(broker) = Mosquitto::start("") {
            return Self::Mosquitto(broker);
        }
        super::skipped("with mosquitto", "it is not installed; the embedded broker stands in");
        Self::embedded()
    }

    pub(crate) fn embedded() -> Self {
        Self::Embedded(EmbeddedBroker::start().unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Mosquitto(broker) => broker.port(),
            Self::Embedded(broker) => broker.port(),
            Self::Aedes(broker) => broker.port,
        }
    }
}

/// An aedes, the broker of Node.js; killed when dropped.
pub(crate) struct Aedes {
    port: u16,
    child: Child,
}

impl Aedes {
    /// # Errors
    /// Why there is none. `INFERD_TEST_AEDES` names the folder whose `node_modules` has it.
    pub(crate) fn start() -> Result<Self, String> {
        let folder = std::env::var_os("INFERD_TEST_AEDES").ok_or(
            "INFERD_TEST_AEDES is not set; after `npm install --prefix DIR aedes@2.0.0-beta.1` \
             set it to DIR",
        )?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/aedes.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("node: {error}"))?;
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("aedes said {line:?}"));
        Ok(Self { port, child })
    }
}

impl Drop for Aedes {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A mosquitto with a folder and a port of its own; killed when dropped.
pub(crate) struct Mosquitto {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
    program: PathBuf,
}

impl Mosquitto {
    /// A broker for a test; without mosquitto the test is reported as skipped.
    pub(crate) fn for_test(test: &str) -> Option<Self> {
        let broker = Self::start("");
        if broker.is_none() {
            skipped(test, "mosquitto is not installed");
        }
        broker
    }

    /// `extra` is added to the configuration; `{dir}` in it is the broker's folder. `None` where
    /// mosquitto is not installed.
    pub(crate) fn start(extra: &str) -> Option<Self> {
        Self::start_with(extra, |_| ())
    }

    /// `prepare` may put files into the folder first.
    pub(crate) fn start_with(extra: &str, prepare: impl FnOnce(&Path)) -> Option<Self> {
        if std::env::var("INFERD_TEST_BROKER").is_ok_and(|wanted| wanted == "embedded") {
            return None;
        }
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"]
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())?;
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let mut broker = Self { dir, port: free_port(), child: None, program };
        broker.configure(extra);
        broker.run();
        Some(broker)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the broker logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn configure(&self, extra: &str) {
        let dir = self.dir.path().to_str().unwrap();
        // Started as root it would become another user, who may not look into the folder.
        let user = std::env::var("USER").unwrap_or("root".into());
        let port = self.port;
        let mut text = format!(
            "listener {port} 127.0.0.1\nuser {user}\nset_tcp_nodelay true\n\
             log_dest file {dir}/log\nlog_type all\n\
             max_queued_messages 100000\npersistence_location {dir}/\n"
        );
        if !extra.contains("allow_anonymous") {
            text.push_str("allow_anonymous true\n");
        }
        text.push_str(&extra.replace("{dir}", dir));
        std::fs::write(self.dir.path().join("conf"), text).unwrap();
    }

    /// Starts it, again after [`Self::stop`] or [`Self::kill`], on the same port and folder.
    pub(crate) fn run(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut child = Command::new(&self.program)
            .arg("-c")
            .arg(self.dir.path().join("conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("mosquitto ended with {status}: {}", self.log());
            }
            assert!(Instant::now() < deadline, "mosquitto does not listen: {}", self.log());
            std::thread::yield_now();
        }
        self.child = Some(child);
    }

    /// Ends it in order; it saves its sessions where `persistence true` is set.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().expect("it does not run");
        let told = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(told.success());
        assert!(super::ended(&mut child).is_some(), "mosquitto does not end: {}", self.log());
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it does not run");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
