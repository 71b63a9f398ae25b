//! Mutants in a process of their own, with limits of memory and time: no crash, no mutant that takes
//! more than [`PATIENCE`], none that needs more than [`MEMORY`].
//!
//! `INFERD_MUTANTS=100000 cargo test --release --lib mutants::` tries so many. A finding is written
//! to `inferd-mutants` in the temporary directory.

use super::hostile::{corpus, mutant, try_it};
use super::wild::wild;
use fastrand::Rng;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Mutants tried where no number is given.
const MUTANTS: u64 = 2000;
/// Bytes that a child may allocate.
const MEMORY: u64 = 512 << 20;
/// A mutant that takes longer hangs. Code without optimisation is slower.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 10 });
/// The variable that makes the test a child: the first mutant and the one after the last.
const RANGE: &str = "INFERD_MUTANTS_RANGE";
const WORD: &str = "mutant ";

/// The mutant of a number: a random graph, a changed model, or changed bytes.
fn bytes(number: u64, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut rng = Rng::with_seed(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 11);
    if number.is_multiple_of(2) { wild(&mut rng).bytes() } else { mutant(corpus, &mut rng) }
}

#[test]
fn mutants_stay_within_their_limits() {
    if let Ok(range) = std::env::var(RANGE) {
        return try_range(&range);
    }
    let count = std::env::var("INFERD_MUTANTS").ok().and_then(|n| n.parse().ok());
    let (count, mut next, mut findings) = (count.unwrap_or(MUTANTS), 0, Vec::new());
    while next < count {
        let Some((number, what)) = first_finding(next, count) else { break };
        let folder = std::env::temp_dir().join("inferd-mutants");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{number}.onnx")), bytes(number, &corpus())).unwrap();
        findings.push(format!("{number}: {what}"));
        next = number + 1;
    }
    assert!(findings.is_empty(), "{} of {count} mutants: {findings:#?}", findings.len());
}

/// Tries mutants one after the other. Each is named before it is tried.
fn try_range(range: &str) {
    let (from, to) = range.split_once("..").unwrap();
    let corpus = corpus();
    for number in from.parse().unwrap()..to.parse().unwrap() {
        eprintln!("{WORD}{number}");
        let refusal = try_it(&bytes(number, &corpus)).unwrap_or_default();
        assert!(!refusal.contains("memory allocation failed"), "{refusal}");
    }
}

/// Runs a child until a mutant ends it or hangs. None if it tried all.
fn first_finding(from: u64, to: u64) -> Option<(u64, String)> {
    let mut child = start(from, to);
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (send, lines) = channel();
    let reader = std::thread::spawn(move || {
        stderr
            .lines()
            .map_while(Result::ok)
            .take_while(|line| send.send(line.clone()).is_ok())
            .last()
    });
    let (number, hangs) = watch(&lines, from);
    if hangs {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    drop(lines);
    let last = reader.join().unwrap().unwrap_or_default();
    match (hangs, status.success()) {
        (true, _) => Some((number, format!("takes more than {PATIENCE:?}"))),
        (false, true) => None,
        (false, false) => Some((number, format!("{status}: {last}"))),
    }
}

/// The last mutant that was tried, and whether it hangs.
fn watch(lines: &Receiver<String>, from: u64) -> (u64, bool) {
    let mut number = from;
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                number = line.strip_prefix(WORD).and_then(|n| n.parse().ok()).unwrap_or(number);
            }
            Err(RecvTimeoutError::Timeout) => return (number, true),
            Err(RecvTimeoutError::Disconnected) => return (number, false),
        }
    }
}

/// Starts this test as a child, through a shell that sets its limits.
fn start(from: u64, to: u64) -> Child {
    let limits = format!("ulimit -d {}; ulimit -c 0; exec \"$0\" \"$@\"", MEMORY / 1024);
    let name = "engine::tests::mutants::mutants_stay_within_their_limits";
    Command::new("sh")
        .args(["-c", &limits])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(RANGE, format!("{from}..{to}"))
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}
