//! Inputs captured by the real daemon: read by numpy, packed as golden vectors, and whole whenever
//! the daemon is killed. `INFERD_KILLS=100 cargo test --test tests capture::` kills it more often.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use inferd::npz;
use serde_json::Value;

use crate::common::broker::{Broker, Mosquitto};
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

/// Every input: no margin is larger.
const CAPTURE: &str = "[stream.capture]\nmargin = 2.0\nper_day = 1000000\nhash_device = true\n\
                       [capture]\nwrite_interval = \"1s\"\n";
const KILLS: u32 = 5;

/// Files with this extension in the folder of the stream, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("motion")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    found.sort();
    found
}

/// Reads every segment, and returns how many inputs are in them.
fn check_segments(folder: &Path) -> usize {
    let mut inputs = 0;
    for path in files(folder, "npz") {
        let arrays = npz::read(&fs::read(&path).unwrap(), 64 << 20).unwrap();
        let shape = &arrays["window"].shape;
        let meta = fs::read_to_string(path.with_extension("jsonl")).unwrap();
        assert_eq!(shape[0], meta.lines().count(), "{}", path.display());
        for line in meta.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&line["trigger"], &line["version"]), (&"margin".into(), &"1.0.0".into()));
            assert_eq!(line["device"].as_str().unwrap().len(), 16, "a digest, not watch-7");
        }
        inputs += shape[0];
    }
    inputs
}

const NUMPY: &str = r#"
import sys
import numpy as np
print(sum(len(np.load(path)["window"]) for path in sys.argv[1:]))
"#;

fn numpy(paths: &[PathBuf]) -> Option<usize> {
    let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into());
    let output = Command::new(python).args(["-c", NUMPY]).args(paths).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[tokio::test]
async fn captured_inputs_are_listed_exported_packed_and_purged() {
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), &format!("{MOTION}{CAPTURE}"));
    gateway.start();
    gateway.await_notice("subscribed");
    peer.publish_all("sensors/watch-7/imu", samples(0, 200)).await;
    let mut ids = Vec::new();
    for _ in 0..17 {
        let prediction = peer.await_json("predictions/motion/watch-7", |_| true).await;
        ids.push(prediction["id"].as_str().unwrap().to_owned());
    }
    let health = gateway.await_health("the inputs", |it| it["capture"]["captured"]["margin"] == 17);
    assert_eq!(health["capture"]["dropped"], serde_json::json!({}));
    let now = gateway.command(&["capture", "now", "--stream", "motion", "--count", "2"]);
    assert!(now.status.success(), "{now:?}");
    peer.publish_all("sensors/watch-7/imu", samples(200, 30)).await;
    gateway.await_health("two more", |it| it["capture"]["captured"]["command"] == 2);
    let list = gateway.ask(&["capture", "list", "--trigger", "margin"]);
    let inputs = list["segments"].as_array().unwrap().iter().map(|it| it["inputs"].as_u64());
    assert_eq!(inputs.flatten().sum::<u64>(), 18, "{list}");

    let out = gateway.dir().join("out");
    let to = out.to_str().unwrap();
    let exported = gateway.ask(&["capture", "export", "--out", to, "--trigger", "margin"]);
    assert_eq!(exported["inputs"], 18, "{exported}");
    assert_eq!(check_segments(&out), 18);
    let metas = files(&out, "jsonl").into_iter().map(|path| fs::read_to_string(path).unwrap());
    let text = metas.collect::<String>();
    assert!(ids.iter().all(|id| text.contains(&format!("\"{id}\""))), "{text}");
    let segment = files(&out, "npz").remove(0);
    pack(&gateway, &segment);

    let purged = gateway.ask(&["capture", "purge", "--yes"]);
    assert_eq!(purged["purged"], 20, "{purged}");
    assert_eq!(gateway.ask(&["capture", "list"])["segments"], serde_json::json!([]));
    gateway.stop();
    match numpy(&files(&out, "npz")) {
        Some(count) => assert_eq!(count, 18),
        None => skipped("captured inputs in numpy", "INFERD_TEST_PYTHON has no numpy"),
    }
}

/// A segment is what `inferctl pack --golden-inputs` and `inferd infer` take.
fn pack(gateway: &Gateway, segment: &Path) {
    gateway.ship("fresh", |card| card.split("[golden]").next().unwrap().to_owned());
    let model = gateway.dir().join("models/fresh");
    fs::remove_file(model.join("golden.npz")).unwrap();
    let out = gateway.dir().join("fresh.bundle");
    let packed = Command::new(env!("CARGO_BIN_EXE_inferctl"))
        .arg("pack")
        .arg(&model)
        .args(["--counter", "1", "--golden-inputs"])
        .arg(segment)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap();
    assert!(packed.status.success(), "{packed:?}");
}

#[tokio::test]
async fn no_kill_leaves_a_segment_that_cannot_be_read() {
    let Some(mosquitto) = Mosquitto::start("") else {
        return skipped("kills while inputs are captured", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(mosquitto.port(), "peer").await;
    let mut gateway = Gateway::new(mosquitto.port(), &format!("{MOTION}{CAPTURE}"));
    gateway.start();
    gateway.await_notice("subscribed");
    let kills = std::env::var("INFERD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let mut random = fastrand::Rng::with_seed(5);
    let captures = gateway.dir().join("state/captures");
    let mut least = 0;
    for kill in 0..kills {
        let start = usize::try_from(kill).unwrap() * 400 % 3200;
        peer.publish_all("sensors/watch-7/imu", samples(start, 400)).await;
        // Files are written every second: what is random is the moment within that.
        tokio::time::sleep(Duration::from_millis(random.u64(900..1900))).await;
        gateway.kill();
        gateway.skip_notices();
        gateway.start();
        let inputs = check_segments(&captures);
        assert!(inputs >= least, "inputs that were on disk are gone");
        least = inputs;
        let listed = gateway.ask(&["capture", "list"]);
        let of_files = files(&captures, "npz").len();
        assert_eq!(listed["segments"].as_array().unwrap().len(), of_files);
        assert_eq!(files(&captures, "jsonl").len(), of_files);
        assert_eq!(files(&captures, "part"), Vec::<PathBuf>::new());
    }
    assert!(least > 0, "nothing was captured; the log:\n{}", gateway.log_end());
    gateway.stop();
}

/// A web server that takes PUTs. It closes the first connection after half of the body, and answers
/// the second with 503.
const SERVER: &str = r#"
import http.server, os, sys
root, tries = sys.argv[1], []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_PUT(self):
        length = int(self.headers["Content-Length"])
        tries.append(self.path)
        if len(tries) == 1:
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        body = self.rfile.read(length)
        if len(tries) > 2:
            path = os.path.join(root, self.path.split("?")[0].lstrip("/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(body)
        self.send_response(201 if len(tries) > 2 else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;

struct Server(std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

fn server(root: &Path) -> Option<(Server, u16)> {
    use std::io::BufRead as _;
    let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into());
    let mut child = Command::new(python)
        .args(["-c", SERVER])
        .arg(root)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .ok()?;
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    Some((Server(child), line.trim().parse().ok()?))
}

#[tokio::test]
async fn captured_inputs_are_uploaded_whole_and_deleted_when_the_server_has_them() {
    let root = tempfile::tempdir().unwrap();
    let Some((_server, port)) = server(root.path()) else {
        return skipped("uploads of captured inputs", "there is no python3");
    };
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    let url = format!("http://127.0.0.1:{port}/{{gateway}}/{{stream}}/{{file}}?sig=secret");
    let config = format!("{MOTION}{CAPTURE}upload_url = \"{url}\"\n");
    let mut gateway = Gateway::new(broker.port(), &config);
    gateway.start();
    gateway.await_notice("subscribed");
    peer.publish_all("sensors/watch-7/imu", samples(0, 200)).await;
    let failed = gateway.await_health("a failure", |it| it["capture"]["upload_error"].is_string());
    assert!(!failed.to_string().contains("secret"), "{failed}");
    let done = gateway.await_health("the upload", |it| it["capture"]["uploaded"] == 17);
    assert_eq!(done["capture"]["segments"], 0, "{done}");
    assert_eq!(done["capture"]["upload_error"], Value::Null);
    assert_eq!(check_segments(&root.path().join("gw-1")), 17);
    assert_eq!(files(&gateway.dir().join("state/captures"), "npz"), Vec::<PathBuf>::new());
    assert!(!gateway.log().contains("secret"));
    gateway.stop();
}
