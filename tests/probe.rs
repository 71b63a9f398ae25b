//! A model measured in a child process, by the real program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use inferd::bundle::Bundle;
use inferd::daemon::probe::{Limits, Probe, ProbeResult};
use inferd::update::machine::Reason;
use tempfile::TempDir;

use crate::common::{PATIENCE, skipped, soon};

fn motion() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion")
}

fn packed(folder: &Path) -> Bytes {
    let mut bytes = Vec::new();
    Bundle::open(folder).unwrap().write(&mut bytes).unwrap();
    bytes.into()
}

/// The demonstration bundle with one file changed.
fn changed(name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Bytes {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(motion()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let path = dir.path().join(name);
    let bytes = change(fs::read(&path).unwrap());
    fs::write(path, bytes).unwrap();
    packed(dir.path())
}

fn limits() -> Limits {
    Limits { time: PATIENCE, runs: 20, ..Limits::default() }
}

fn probe(limits: Limits) -> Probe {
    Probe { program: env!("CARGO_BIN_EXE_inferd").into(), limits }
}

async fn measured(limits: Limits, bundle: Bytes) -> Result<ProbeResult, Reason> {
    soon("the probe", probe(limits).measure(bundle)).await
}

#[tokio::test]
async fn a_good_bundle_is_measured_and_compared() {
    let found = measured(limits(), packed(&motion())).await.unwrap();
    assert!(found.load_ms > 0.0 && found.median_us > 0.0, "{found:?}");
    assert!(found.peak_rss_bytes > 1 << 20 && found.peak_rss_bytes < 512 << 20, "{found:?}");
    assert!(found.nodes.integer > 0, "{found:?}");
    assert!(found.golden.is_some(), "{found:?}");
    let compare = async |active: ProbeResult| {
        let limits = Limits { slowdown: 1.5, growth: 1.5, ..limits() };
        let probe = probe(limits);
        soon("the probe", probe.compare(packed(&motion()), Some(&active))).await
    };
    // By a wide margin: the machine may be busy with other things.
    let lavish = ProbeResult { median_us: 1e6, ..found };
    compare(lavish).await.unwrap();
    let tiny = ProbeResult { peak_rss_bytes: 1, ..lavish };
    let lavishly = probe(Limits { growth: 1.0, ..limits() });
    let judged = soon("the probe", lavishly.compare(packed(&motion()), Some(&tiny))).await;
    let over = found.peak_rss_bytes > 17 << 20;
    assert_eq!(judged.err(), over.then_some(Reason::Memory), "{found:?}");
}

#[tokio::test]
async fn outputs_other_than_the_golden_ones_are_refused() {
    let other = changed("model.onnx", |mut model| {
        let middle = model.len() / 2;
        model[middle..middle + 64].iter_mut().for_each(|byte| *byte = byte.wrapping_add(77));
        model
    });
    assert_eq!(measured(limits(), other).await, Err(Reason::Golden));
}

#[tokio::test]
async fn what_is_no_bundle_or_no_model_does_not_load() {
    for bundle in [
        Bytes::new(),
        Bytes::from_static(b"garbage"),
        Bytes::from(vec![0; 3 << 20]),
        packed(&motion()).slice(..5000),
        changed("model.onnx", |model| model[..model.len() / 2].to_vec()),
    ] {
        assert_eq!(measured(limits(), bundle).await, Err(Reason::Load));
    }
}

/// Widens the limit step by step until the bundle can be measured; whatever fails before that,
/// reading, unpacking or an allocation somewhere in the model, it is the memory.
async fn memory_or_nothing(bundle: Bytes, step: u64) {
    for refused in 0..200 {
        let memory = (refused + 1) * step;
        match measured(Limits { memory, ..limits() }, bundle.clone()).await {
            Ok(_) => {
                println!("refused {refused} times, measured with {memory} bytes");
                assert!(refused > 0, "the limit was not one");
                return;
            }
            Err(reason) => assert_eq!(reason, Reason::Memory, "with {memory} bytes"),
        }
    }
    panic!("refused with all limits");
}

#[tokio::test]
async fn more_memory_than_allowed_ends_the_child_and_not_the_daemon() {
    memory_or_nothing(packed(&motion()), 64 << 10).await;
    let large = changed("model.onnx", |mut model| {
        model.resize(96 << 20, 0);
        model
    });
    let little = Limits { memory: 64 << 20, ..limits() };
    assert_eq!(measured(little, large).await, Err(Reason::Memory));
    let model = "../shared/models/mlperf-tiny/ad01_fp32.onnx";
    let Ok(model) = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(model)) else {
        return skipped("memory of a model in float", &format!("{model} is absent"));
    };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.onnx"), model).unwrap();
    let card = "format = 1\n[model]\nname = \"ad\"\nversion = \"1.0.0\"\nfile = \"model.onnx\"\n\
                description = \"d\"\nlicence = \"l\"\nsource = \"s\"\n\
                [[input]]\nname = \"input_1\"\n[output]\nkind = \"raw\"\n";
    fs::write(dir.path().join("card.toml"), card).unwrap();
    memory_or_nothing(packed(dir.path()), 512 << 10).await;
}

#[tokio::test]
async fn a_child_that_is_not_done_in_time_is_killed() {
    let no_time = Limits { time: Duration::from_millis(1), ..limits() };
    assert_eq!(measured(no_time, packed(&motion())).await, Err(Reason::Crash));
}

/// A program in the place of the child; it leaves its process id in `pid`.
fn script(dir: &TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("program");
    let pid = dir.path().join("pid");
    fs::write(&path, format!("#!/bin/sh\necho $$ > {}\n{text}\n", pid.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The script's process id, once it has left it.
async fn pid(dir: &TempDir) -> u32 {
    let path = dir.path().join("pid");
    loop {
        if let Some(pid) = fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok()) {
            return pid;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn gone(pid: u32) {
    let stat = PathBuf::from(format!("/proc/{pid}/stat"));
    // A zombie that waits for its parent does nothing any more.
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_child_that_hangs_is_killed_at_its_time_and_when_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let program = script(&dir, "exec sleep 1000");
    let probe = Probe { program, limits: Limits { time: Duration::from_secs(1), ..limits() } };
    assert_eq!(
        soon("the end", probe.measure(Bytes::from(vec![0; 1 << 20]))).await,
        Err(Reason::Crash)
    );
    soon("the child's end", gone(pid(&dir).await)).await;

    let dir = tempfile::tempdir().unwrap();
    let probe = Probe { program: script(&dir, "exec sleep 1000"), limits: limits() };
    let waiting = tokio::spawn(async move { probe.measure(Bytes::new()).await });
    let pid = soon("the child", pid(&dir)).await;
    waiting.abort();
    soon("the child's end", gone(pid)).await;
}

#[tokio::test]
async fn whatever_a_child_says_only_an_answer_counts() {
    for (text, reason) in [
        ("exit 0", Reason::Crash),
        ("echo garbage", Reason::Crash),
        ("echo '{\"measured\":{}}'", Reason::Crash),
        ("kill -SEGV $$", Reason::Crash),
        ("echo 'thread main panicked' >&2; exit 101", Reason::Crash),
        ("yes", Reason::Crash),
        ("yes >&2 | head -c 1000000; echo garbage", Reason::Crash),
        ("echo '{\"refused\":{\"reason\":\"golden\",\"why\":\"x\"}}'; exit 1", Reason::Golden),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { time: Duration::from_secs(20), ..limits() };
        let probe = Probe { program: script(&dir, text), limits };
        let started = Instant::now();
        let found = soon(text, probe.measure(Bytes::from(vec![0; 1 << 20]))).await;
        assert_eq!(found, Err(reason), "{text}");
        if text == "yes" {
            assert!(started.elapsed() < Duration::from_secs(15), "it was not left at once");
        }
    }
    let missing = Probe { program: "/nowhere/inferd".into(), limits: limits() };
    assert_eq!(missing.measure(Bytes::new()).await, Err(Reason::Requires));
}

#[tokio::test]
async fn the_child_gets_no_environment_and_no_path() {
    let dir = tempfile::tempdir().unwrap();
    let seen = dir.path().join("seen");
    let program = script(&dir, &format!("env > {0}; echo \"$@\" >> {0}", seen.display()));
    let probe = Probe { program, limits: limits() };
    assert_eq!(probe.measure(Bytes::new()).await, Err(Reason::Crash));
    let seen = fs::read_to_string(seen).unwrap();
    let arguments = "probe --memory=536870912 --seconds=61 --runs=20";
    // The shell sets the first ones by itself.
    let own = ["PWD=", "_=", "SHLVL=", "OLDPWD="];
    let foreign = |line: &&str| !own.iter().any(|own| line.starts_with(own));
    assert_eq!(seen.lines().filter(foreign).collect::<Vec<_>>(), [arguments]);
}

/// The real child, while it waits for its bundle.
#[tokio::test]
async fn the_child_limits_itself_before_it_reads() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_inferd"))
        .args(["probe", "--memory=536870912", "--seconds=7", "--runs=1"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let about = PathBuf::from(format!("/proc/{}", child.id()));
    let nice = || {
        let stat = fs::read_to_string(about.join("stat")).unwrap();
        // The 19th field; the second one is in parentheses and may have spaces.
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse::<i32>().unwrap()
    };
    soon("a low priority, which is the last thing it asks for", async {
        // The test itself may be of low priority already.
        while nice() < 15 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let limits = fs::read_to_string(about.join("limits")).unwrap();
    for (limit, most) in
        [("Max data size", "536870912"), ("Max cpu time", "7"), ("Max core file size", "0")]
    {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        let values: Vec<_> = line[limit.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, [most, most], "{line}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
