//! A queue that says what it is about to do and what it has done, for power-cut tests.
//!
//! `queue_crash write --dir D --seed S --rounds N` appends and removes groups at random and dies
//! by abort, `queue_crash long …` lets the queue grow and empty until its database is replaced by a
//! fresh one, several times; both print `TRY a b` before it stores a..=b, `ACK n` once all up to n is durable,
//! `DEL n` before it removes what is up to n, `DELD n` after. `queue_crash check --dir D` opens the
//! store and prints `STATE count first last corrupt=N holes=[(a, b), …]`: what is there, and the
//! numbers on either side of each hole. The numbers begin at 0. Small state is kept beside them: it
//! says `POST state BAD` where that is older than a result which was stored after it, and
//! `POST order BAD` where a daemon that starts there would send the results of a stream and key in
//! another order than they were acknowledged in. `models` and `check-models` do the same with
//! versions of a model, `windows` and `check-windows` with saved windows.

mod models;
mod order;
mod replay;
mod windows;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use inferd::ids::StreamName;
use inferd::message::{Outgoing, Qos};
use inferd::outbox::{Opened, Record, Seq};
use inferd::store::{Settings, Store, StoreError};

/// A result of every so many is written only after a state that tells of it.
const TOLD: u64 = 64;
/// From this number on results are long.
const LONG: u64 = 100_000;
/// Above this an empty database is replaced.
const LARGE_BYTES: u64 = 9 << 20;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let given = arguments.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('='));
        let at = arguments.iter().position(|argument| argument == name);
        given.or_else(|| arguments.get(at? + 1).map(String::as_str))
    };
    let number = |name: &str, default| option(name).and_then(|n| n.parse().ok()).unwrap_or(default);
    let Some(dir) = option("--dir").map(PathBuf::from) else {
        eprintln!(
            "usage: queue_crash write|long|models|windows|check|check-models|check-windows --dir D \
             [--seed S] [--rounds N]"
        );
        return ExitCode::from(2);
    };
    let result = match arguments.first().map(String::as_str) {
        Some("write") => write(&dir, number("--seed", 1), number("--rounds", 100)),
        Some("long") => long(&dir, number("--seed", 1), number("--rounds", 3)),
        Some("models") => models::write(&dir, number("--rounds", 6)),
        Some("windows") => windows::write(&dir, number("--seed", 1), number("--rounds", 100)),
        Some("check-windows") => windows::check(&dir),
        Some("check-models") => models::check(&dir),
        _ => check(&dir),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn settings(dir: &Path) -> Settings {
    let dir = dir.to_owned();
    Settings { dir, max_bytes: 1 << 28, max_records: 1 << 20, reserve_bytes: 0 }
}

fn write(dir: &Path, seed: u64, rounds: u64) -> Result<(), Failure> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut store, found) = Store::open(&settings(dir))?;
    let mut next = found.opened.next.0;
    let mut waiting: BTreeSet<u64> = stored(&mut store)?.0.into_iter().collect();
    for _ in 0..rounds {
        let most = if random.u8(..) < 200 { 16 } else { 200 };
        let last = next + random.u64(0..most);
        append(&mut store, next, last)?;
        waiting.extend(next..=last);
        next = last + 1;
        if random.u8(..) < 100 {
            let count = random.usize(0..=waiting.len());
            remove(&mut store, &mut waiting, count)?;
        }
    }
    std::process::abort()
}

/// Every round ends with an empty queue and a fresh database.
fn long(dir: &Path, seed: u64, rounds: u64) -> Result<(), Failure> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut store, found) = Store::open(&settings(dir))?;
    let mut next = found.opened.next.0.max(LONG);
    let mut waiting: BTreeSet<u64> = stored(&mut store)?.0.into_iter().collect();
    if waiting.is_empty() {
        store.put("windows", &state(next - 1))?;
        say(&format!("DEL {}", next - 2));
        say(&format!("DELD {}", next - 2));
    }
    for _ in 0..rounds {
        while store.usage().disk_bytes <= LARGE_BYTES {
            let last = next + random.u64(5..40);
            append(&mut store, next, last)?;
            waiting.extend(next..=last);
            next = last + 1;
        }
        let part = random.usize(0..waiting.len());
        remove(&mut store, &mut waiting, part)?;
        let rest = waiting.len();
        remove(&mut store, &mut waiting, rest)?;
        append(&mut store, next, next + 9)?;
        waiting.extend(next..next + 10);
        next += 10;
    }
    std::process::abort()
}

fn append(store: &mut Store, first: u64, last: u64) -> Result<(), StoreError> {
    if last / TOLD > (first - 1) / TOLD {
        store.put("windows", &state(last))?;
    }
    let group: Vec<Record> = (first..=last).map(record).collect();
    say(&format!("TRY {} {}", first - 1, last - 1));
    store.append(&group)?;
    say(&format!("ACK {}", last - 1));
    Ok(())
}

/// Removes the oldest.
fn remove(store: &mut Store, waiting: &mut BTreeSet<u64>, count: usize) -> Result<(), StoreError> {
    let removed: Vec<u64> = waiting.iter().copied().take(count).collect();
    let Some(upto) = removed.last() else { return Ok(()) };
    say(&format!("DEL {}", upto - 1));
    let seqs: Vec<Seq> = removed.iter().copied().map(Seq).collect();
    store.load(None, count)?;
    store.remove(&seqs)?;
    say(&format!("DELD {}", upto - 1));
    waiting.retain(|seq| seq > upto);
    Ok(())
}

fn check(dir: &Path) -> Result<(), Failure> {
    let (mut store, found) = Store::open(&settings(dir))?;
    let (seqs, corrupt) = stored(&mut store)?;
    let last = seqs.last().copied().unwrap_or(0);
    say_state(&seqs.iter().map(|seq| seq - 1).collect::<Vec<_>>(), corrupt);
    check_order(&mut store, found.opened, &seqs)?;
    if !tells_of(store.get("windows")?.as_deref(), last / TOLD * TOLD) {
        say("POST state BAD");
    }
    // The store must also go on working.
    let next = record(last + 1);
    store.append(std::slice::from_ref(&next))?;
    Ok(store.remove(&[next.seq])?)
}

/// What is there: its numbers, rising.
fn say_state(numbers: &[u64], corrupt: usize) {
    let pairs = numbers.iter().zip(numbers.iter().skip(1));
    let holes: Vec<(u64, u64)> =
        pairs.filter(|(a, b)| *a + 1 < **b).map(|(a, b)| (*a, *b)).collect();
    let (count, first) = (numbers.len(), numbers.first().unwrap_or(&0));
    let last = numbers.last().unwrap_or(&0);
    say(&format!("STATE {count} {first} {last} corrupt={corrupt} holes={holes:?}"));
}

/// Has a daemon's outbox send everything, once.
fn check_order(store: &mut Store, opened: Opened, stored: &[u64]) -> Result<(), StoreError> {
    let mut sent = replay::sent(store, opened)?;
    let key = |seq: &u64| {
        let record = record(*seq);
        ((record.stream, record.message.topic.clone()), *seq)
    };
    if let Some((seq, later)) = order::first_out_of_order(sent.iter().map(key)) {
        say(&format!("POST order BAD: {seq} behind {later}"));
    }
    sent.sort_unstable();
    if sent != stored {
        say(&format!("POST sent BAD: {} of {}", sent.len(), stored.len()));
    }
    Ok(())
}

/// What is kept before results up to `last` are written.
fn state(last: u64) -> Vec<u8> {
    let mut state = last.to_le_bytes().to_vec();
    state.extend(payload(last));
    state
}

/// Whether the state is whole and was kept before result `told` was.
fn tells_of(kept: Option<&[u8]>, told: u64) -> bool {
    let Some((number, _)) = kept.and_then(|kept| kept.split_first_chunk()) else {
        return told == 0;
    };
    let last = u64::from_le_bytes(*number);
    last >= told && kept == Some(&state(last))
}

/// The numbers of all that is there, rising, and how many were not as they were written.
fn stored(store: &mut Store) -> Result<(Vec<u64>, usize), StoreError> {
    let (mut seqs, mut corrupt) = (Vec::new(), 0);
    let mut after = None;
    loop {
        let loaded = store.load(after, 1000)?;
        corrupt += loaded.records.iter().filter(|r| **r != record(r.seq.0)).count();
        seqs.extend(loaded.records.iter().map(|record| record.seq.0));
        after = loaded.through;
        if loaded.end {
            seqs.sort_unstable();
            return Ok((seqs, corrupt));
        }
    }
}

fn record(seq: u64) -> Record {
    let message = Outgoing {
        topic: format!("predictions/motion/watch-{}", seq % 7),
        payload: payload(seq).into(),
        content_type: "application/octet-stream".into(),
        properties: Vec::new(),
        correlation: None,
        retain: false,
        qos: Qos::AtLeastOnce,
    };
    let urgent = seq.is_multiple_of(11);
    let stream = stream(if urgent { "alarm" } else { "motion" });
    Record { seq: Seq(seq), stream, priority: u8::from(urgent), message: Arc::new(message) }
}

#[expect(clippy::unwrap_used, reason = "all of them are names")]
fn stream(name: &str) -> StreamName {
    StreamName::parse(name).unwrap()
}

/// Noise of a length of its own for each number, now and then longer than a page.
fn payload(seq: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq);
    let long = seq >= LONG || random.u8(..) < 8;
    let mut payload = vec![0; if long { random.usize(..20_000) } else { random.usize(..400) }];
    random.fill(&mut payload);
    payload
}

/// One line with one write, so that a trace shows it whole and in its place.
#[expect(clippy::expect_used, reason = "nothing is left to say it to")]
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).expect("stdout");
}
