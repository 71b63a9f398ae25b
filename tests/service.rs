//! The daemon as the service of a board: confined as its unit says, watched, without a disk it may
//! write to, with a clock that begins in 1970.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::broker::{Broker, free_port};
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

/// Samples that carry no time of their own.
const TIMELESS: &str = r#"
[[stream]]
name = "motion"
model = "motion"
topic = "sensors/{device}/imu"
payload = { format = "json", fields = ["ax", "ay", "az", "gx", "gy", "gz"] }
[stream.publish]
topic = "predictions/{stream}/{device}"
"#;

/// What confines a program as systemd would; `None` where it cannot.
fn confinement() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/run-sandboxed");
    let works = Command::new(&program).arg("true").output();
    if works.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    skipped("the unit's confinement", "it takes root, systemd-analyze and python3-seccomp");
    None
}

macro_rules! libc {
    () => {
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
    };
}

/// What the unit denies, as programs for Python: each does by itself, and does not where it is confined.
const DENIED: &[(&str, &str)] = &[
    ("a netlink socket", "import socket; socket.socket(16, socket.SOCK_RAW)"),
    ("memory to write and run", "import mmap; mmap.mmap(-1, 4096, prot=7)"),
    ("a call that needs rights", "import os; os.chroot('/')"),
    ("another user", "import os; os.setuid(1)"),
    ("a processor of its choice", "import os; os.sched_setaffinity(0, os.sched_getaffinity(0))"),
    ("a namespace of its own", concat!(libc!(), "assert libc.unshare(0x10000000) == 0")),
    ("another personality", concat!(libc!(), "assert libc.personality(0x0040000) != -1")),
    (
        "a file that runs as its owner",
        "import os, tempfile; f = tempfile.NamedTemporaryFile(); os.chmod(f.name, 0o4755)",
    ),
    (
        "a new file that runs as its owner",
        "import os, tempfile; os.open(tempfile.mkdtemp() + '/x', os.O_CREAT, 0o4755)",
    ),
    (
        "shared memory to run",
        concat!(
            libc!(),
            "libc.shmat.restype = ctypes.c_long; id = libc.shmget(0, 4096, 0o1700)\n\
             at = libc.shmat(id, None, 0o100000); libc.shmctl(id, 0, None); assert at != -1"
        ),
    ),
    (
        "sled's own barrier, which does not exist",
        concat!(libc!(), "libc.sync_file_range(0, 0, 0, 0); assert ctypes.get_errno() != 38"),
    ),
];

#[test]
fn what_the_unit_denies_is_denied() {
    let Some(program) = confinement() else { return };
    let does = |mut command: Command, code: &str| {
        command.args(["-c", code]).output().unwrap().status.success()
    };
    let confined = || {
        let mut command = Command::new(&program);
        command.arg("python3");
        command
    };
    assert!(does(confined(), "print(open('/proc/self/status').read())"));
    for (what, code) in DENIED {
        if does(Command::new("python3"), code) {
            assert!(!does(confined(), code), "{what} is not denied");
        } else {
            skipped(what, "it is not to be had on this machine");
        }
    }
}

#[test]
fn the_file_system_is_read_only_but_for_the_state() {
    let Some(program) = confinement() else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("inferd.toml");
    let state = dir.path().join("state");
    std::fs::write(&config, format!("[store]\ndir = {state:?}\n")).unwrap();
    let writes = |folder: &Path| {
        let code = format!("import tempfile; tempfile.TemporaryFile(dir={folder:?})");
        let mut command = Command::new(&program);
        command.args(["python3", "-c", &code, "--config"]).arg(&config);
        command.output().unwrap().status.success()
    };
    assert!(writes(&state));
    for folder in [dir.path(), Path::new("/usr"), Path::new("/etc"), Path::new("/var/lib")] {
        assert!(!writes(folder), "{folder:?}");
    }
}

#[tokio::test]
async fn confined_as_its_unit_says_it_predicts_and_tells_systemd() {
    let Some(program) = confinement() else { return };
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.set("WATCHDOG_USEC", "300000");
    gateway.start_under(&[program.to_str().unwrap()]);
    gateway.spawn();
    let ready = gateway.await_notice("READY=1");
    assert!(ready.contains("STATUS="), "{ready}");
    gateway.await_notice("subscribed");
    gateway.await_notice("WATCHDOG=1");
    peer.publish_all("sensors/watch-7/imu", samples(0, 40)).await;
    assert_eq!(peer.next_json().await.1["label"], "resting");
    let health = gateway.await_health("a store", |health| !health["queue"]["disk"].is_null());
    assert_eq!(health["link"]["connected"], true, "{health}");
    gateway.signal("TERM");
    gateway.await_notice("STOPPING=1");
    assert!(gateway.ended().success(), "{}", gateway.log());
}

#[tokio::test]
async fn a_state_folder_that_is_read_only_costs_the_disk_and_is_said() {
    let Some(program) = confinement() else { return };
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.set("CONFINED_STATE", "read-only");
    gateway.start_under(&[program.to_str().unwrap()]);
    gateway.start();
    gateway.await_notice("subscribed");
    peer.publish_all("sensors/watch-7/imu", samples(0, 40)).await;
    assert_eq!(peer.next_json().await.1["label"], "resting");
    let status = gateway.command(&["status"]);
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert_eq!(status.status.code(), Some(1), "{text}");
    assert!(text.contains("the store is closed"), "{text}");
    assert!(gateway.log().contains("Read-only file system"), "{}", gateway.log());
    gateway.stop();
}

#[test]
fn a_stop_right_after_ready_is_a_stop_in_order() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    for _ in 0..5 {
        gateway.start();
        gateway.stop();
    }
}

/// What systemd sees of a daemon that hangs: no sign of life, so it kills and restarts it.
#[tokio::test]
async fn a_daemon_that_hangs_feeds_no_watchdog() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    gateway.set("WATCHDOG_USEC", "300000");
    gateway.start();
    gateway.await_notice("WATCHDOG=1");
    gateway.signal("STOP");
    assert!(gateway.is_silent_for(Duration::from_secs(1)), "a stopped daemon was heard");
    gateway.signal("CONT");
    gateway.await_notice("WATCHDOG=1");
    gateway.stop();
}

/// A board without a clock of its own starts in 1970 and jumps when it has the time.
#[tokio::test]
async fn a_clock_that_jumps_from_1970_breaks_no_window_and_no_order() {
    a_clock_jumps("1970-01-01 00:01:00", "2026-11-26 12:00:00").await;
}

/// The seconds since 1970 need a 32nd bit and a sign from 2038-01-19T03:14:08Z on.
#[tokio::test]
async fn a_clock_that_passes_2038_breaks_no_window_and_no_order() {
    a_clock_jumps("2038-01-19 03:10:00", "2040-02-29 12:00:00").await;
}

/// Windows go on and nothing gets an id twice while the wall clock of the daemon jumps.
async fn a_clock_jumps(from: &str, to: &str) {
    let Some(library) = faketime() else {
        return skipped("a clock that jumps", "faketime is not installed");
    };
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), TIMELESS);
    gateway.ship("motion", |card| card.replace("max_gap = \"1s\"", "max_gap = \"10m\""));
    let time = gateway.dir().join("time");
    std::fs::write(&time, format!("@{from}")).unwrap();
    gateway.set("LD_PRELOAD", library);
    gateway.set("TZ", "UTC");
    gateway.set("FAKETIME_TIMESTAMP_FILE", time.to_str().unwrap());
    gateway.set("FAKETIME_NO_CACHE", "1");
    gateway.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    gateway.set("DONT_FAKE_MONOTONIC", "1");
    gateway.start();
    gateway.await_notice("subscribed");
    let all = samples(0, 80);
    peer.publish_all("sensors/watch-7/imu", all[..40].to_vec()).await;
    let first = peer.next_json().await.1;
    assert!(first["time"].as_str().unwrap().starts_with(&from[..10]), "{first}");
    std::fs::write(&time, format!("@{to}")).unwrap();
    let mut jumped = Vec::new();
    // The window of the second prediction began before the jump.
    for part in [40..50, 50..60] {
        peer.publish_all("sensors/watch-7/imu", all[part].to_vec()).await;
        jumped.push(peer.next_json().await.1);
    }
    for said in &jumped {
        assert!(said["time"].as_str().unwrap().starts_with(&to[..10]), "{said}");
    }
    let ids = jumped.iter().chain([&first]).map(|said| said["id"].as_str().unwrap());
    assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), 3);
    let health = gateway.await_health("counters", |health| {
        health["streams"]["motion"]["predictions"].as_u64() >= Some(3)
    });
    assert_eq!(health["streams"]["motion"]["gaps"].as_u64().unwrap_or(0), 0, "{health}");
    gateway.stop();
}

fn faketime() -> Option<&'static str> {
    ["x86_64-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf"].iter().find_map(|triple| {
        let path = format!("/usr/lib/{triple}/faketime/libfaketime.so.1");
        Path::new(&path).exists().then(|| &*Box::leak(path.into_boxed_str()))
    })
}
