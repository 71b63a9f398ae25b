//! A fleet of three real daemons on a real broker, and its operator: a good release and a bad one,
//! the way back, new keys, and a controller that is killed half way.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::common::broker::free_port;
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::{PATIENCE, skipped};
use crate::inferctl::mosquitto_sub::{Subscriber, retained};
use crate::inferctl::{Running, Setup};

const IDS: [&str; 3] = ["gw-1", "gw-2", "gw-3"];

/// Gateways of group `a` that came with keyset 1.
fn gateways(setup: &Setup, ids: &[&str]) -> Vec<Gateway> {
    let gateway = |id: &&str| {
        let mut gateway = Gateway::new(setup.broker.port(), MOTION);
        let updates = "[updates]\nkeyset = \"keyset-1.json\"\n";
        gateway.configure(setup.broker.port(), &format!("{updates}{MOTION}"));
        let keyset = setup.workspace.folder.path().join("keyset-1.json");
        std::fs::copy(keyset, gateway.dir().join("keyset-1.json")).unwrap();
        gateway.set("INFERD__GATEWAY__ID", id);
        gateway.set("INFERD__BROKER__CLIENT_ID", id);
        gateway.set("INFERD__GATEWAY__GROUPS", "[\"a\"]");
        gateway.start();
        gateway
    };
    ids.iter().map(gateway).collect()
}

/// A sensor after the other sends a window to every gateway, until it is dropped. Not as fast as
/// the broker takes it: deployments would wait behind samples.
struct Sensors {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sensors {
    fn start(port: u16) -> Self {
        let (stop, mut stopped) = oneshot::channel::<()>();
        let feed = async move {
            let mut sensor = MqttClient::connect(port, "sensor").await;
            let mut pace = tokio::time::interval(Duration::from_millis(200));
            for device in 0_u32.. {
                tokio::select! {
                    _ = &mut stopped => return,
                    _ = pace.tick() => {}
                }
                let topic = format!("sensors/w{device}/imu");
                sensor.publish_all(&topic, samples(0, 40)).await;
            }
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(feed);
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Sensors {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Packs the demonstration model under another version; one that answers no numbers where it is
/// `bad`, which nobody finds out before it is asked.
fn release(setup: &Setup, version: &str, counter: u64, bad: bool) -> String {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    let to = setup.workspace.folder.path().join(version);
    std::fs::create_dir(&to).unwrap();
    let card = std::fs::read_to_string(from.join("card.toml")).unwrap();
    let mut card = card.replace("version = \"1.0.0\"", &format!("version = \"{version}\""));
    std::fs::copy(from.join("model.onnx"), to.join("model.onnx")).unwrap();
    if bad {
        card.truncate(card.find("[output]").unwrap());
        card.push_str(
            "[output]\nname = \"logits\"\nkind = \"regression\"\n\
             names = [\"a\", \"b\", \"c\", \"d\"]\nscale = 3e38\n",
        );
    } else {
        std::fs::copy(from.join("golden.npz"), to.join("golden.npz")).unwrap();
    }
    let card = crate::common::gateway::without_samples(&card);
    std::fs::write(to.join("card.toml"), card).unwrap();
    let bundle = format!("motion-{version}.bundle");
    let counter = counter.to_string();
    setup.workspace.run_ok(&["pack", version, "--counter", &counter, "--out", &bundle]);
    bundle
}

const TERMS: [&str; 4] = ["--trial-min-runs", "5", "--trial-max-slowdown", "1000"];

fn start<'a>(bundle: &'a str, record: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["rollout", "start", "--model", "motion", "--group", "a", "--bundle", bundle];
    [&args[..], &["--record", record, "--soak", "500ms"], &TERMS, more].concat()
}

const KEYS: [&str; 4] = ["--keyset", "keyset-1.json", "--key", "deploy.key"];

/// What each gateway says of the model.
fn reports(setup: &Setup) -> Vec<Value> {
    let fleet = setup.json(&["fleet"]);
    let of = |id: &&str| {
        let found = fleet.as_array().unwrap().iter().find(|gateway| gateway["gateway"] == **id);
        found.unwrap()["models"]["motion"].clone()
    };
    IDS.iter().map(of).collect()
}

fn versions(setup: &Setup) -> Vec<String> {
    let active = |report: &Value| report["active"]["version"].as_str().unwrap().to_owned();
    reports(setup).iter().map(active).collect()
}

#[test]
fn a_fleet_goes_forward_stops_goes_back_and_gets_new_keys() {
    let Some(setup) = Setup::open("a fleet of three daemons") else { return };
    let subscriber = Subscriber::of_deployments(&setup);
    let mut gateways = gateways(&setup, &IDS);
    let _sensors = Sensors::start(setup.broker.port());
    assert_eq!(versions(&setup), ["1.0.0"; 3]);

    // A good release, wave by wave; its controller is killed in the first.
    let good = release(&setup, "1.1.0", 2, false);
    setup.sign(&good);
    let waves = ["--waves", "1,2,100%"];
    let killed = setup.spawn(&start(&good, "good.rollout", &[&KEYS[..], &waves].concat()), "out");
    let deadline = Instant::now() + PATIENCE;
    while subscriber.count() == 0 {
        assert!(Instant::now() < deadline, "no wave is published");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    killed.kill();
    assert!(subscriber.count() < 3, "it was killed half way");
    setup.run_ok(&["rollout", "watch", "good.rollout"]);
    assert_eq!(versions(&setup), ["1.1.0"; 3]);
    assert_eq!(subscriber.count(), 3, "one message a wave");

    // A bad one is found out on one gateway, which goes back by itself; the rest never has it.
    let bad = release(&setup, "1.2.0", 3, true);
    setup.sign(&bad);
    let more = ["--waves", "1,100%", "--name", "bad"];
    let ended = setup.run(&start(&bad, "bad.rollout", &[&KEYS[..], &more].concat()));
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("rolled-back (not-a-number)"), "{}", ended.out);
    assert_eq!(versions(&setup), ["1.1.0"; 3]);
    let tried = reports(&setup).iter().filter(|report| report["deployment"] == "bad").count();
    assert_eq!((tried, subscriber.count()), (1, 5));

    // Back to the version that was shipped, on purpose.
    let shipped = setup.release(1);
    let back = ["rollback", "--model", "motion", "--group", "a", "--to", &shipped];
    let keys = ["--release-key", "release.key", "--key-password-file", "password"];
    let back = [&back[..], &keys, &KEYS, &TERMS, &["--record", "back.rollout"]].concat();
    setup.run_ok(&back);
    assert_eq!(versions(&setup), ["1.0.0"; 3]);
    assert_eq!(subscriber.count(), 6);

    // New keys; the old ones are worth nothing from then on.
    for key in ["new-release.key", "new-deploy.key"] {
        setup.workspace.run_ok(&["keygen", "--out", key, "--unencrypted"]);
    }
    let next = ["keys", "--after", "keyset-1.json", "--sign-with", "release.key"];
    let new = ["--release", "new-release.key", "--deploy", "new-deploy.key"];
    let out = ["--password-file", "password", "--out", "keyset-2.json"];
    setup.workspace.run_ok(&[&next[..], &new, &out].concat());
    let newest = release(&setup, "1.3.0", 5, false);
    setup.workspace.run_ok(&["sign", &newest, "--key", "new-release.key"]);
    let both = ["--keyset", "keyset-1.json", "--keyset", "keyset-2.json", "--waves", "100%"];
    let old = [&both[..], &["--key", "deploy.key"]].concat();
    let refused = setup.run(&start(&newest, "old-key.rollout", &old));
    assert!(refused.err.contains("0 of the 1 deploy signatures"), "{}", refused.err);
    let new = [&both[..], &["--key", "new-deploy.key"]].concat();
    setup.run_ok(&start(&newest, "new.rollout", &new));
    assert_eq!(versions(&setup), ["1.3.0"; 3]);
    gateways.iter_mut().for_each(Gateway::stop);
}

/// A static file server by somebody else.
fn web_server(folder: &Path) -> Option<(u16, Running)> {
    let port = free_port();
    let child = Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let server = Running(Some(child));
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < deadline, "the web server does not listen");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Some((port, server))
}

#[test]
fn from_a_web_server_a_fleet_is_updated_with_nothing_but_documents_on_the_broker() {
    let test = "a rollout from a web server";
    let Some(setup) = Setup::open(test) else { return };
    let mut gateways = gateways(&setup, &IDS[..1]);
    let good = release(&setup, "1.1.0", 1, false);
    setup.sign(&good);
    let www = setup.workspace.folder.path().join("www");
    setup.workspace.run_ok(&["publish", &good, "--keyset", "keyset-1.json", "--web", "www"]);
    let Some((port, _server)) = web_server(&www) else {
        return skipped(test, "python3 is not installed");
    };
    let source = format!("http://127.0.0.1:{port}/{{sha256}}");
    let more = ["--waves", "1", "--trial-max", "1s", "--source", &source];
    setup.run_ok(&start(&good, "web.rollout", &[&KEYS[..], &more].concat()));
    let fleet = setup.json(&["fleet"]);
    assert_eq!(fleet[0]["models"]["motion"]["active"]["version"], "1.1.0");
    assert_eq!(fleet[0]["models"]["motion"]["state"], "committed");
    assert_eq!(retained(setup.broker.port(), "inferd/v1/blob/#"), None, "no chunk was sent");
    gateways.iter_mut().for_each(Gateway::stop);
}
