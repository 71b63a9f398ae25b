//! What a durable queue of results costs: `comparisons/store/run`, or `cargo bench --bench store`.
//!
//! Side by side, each in a process of its own: inferd's store, SQLite (WAL, synchronous=FULL,
//! through Python) and a plain append log, all with a real sync for each group of 64. Rates are
//! only good as ratios; bytes and syncs carry over to a board. Then a model of 4 MB, windows kept
//! as state and as a journal, and a waiting queue sent by the daemon beside a bare rumqttc publisher.
//!
//! "short" is a push and a pop at a depth of 1,000; "long" fills `--records N` (100,000), opens the
//! database again and drains it. "written" is what the process wrote for each byte of payload by
//! `/proc/self/io` (whole pages as the page cache has them, so a large page counts whole); "device"
//! what the block device took, the file system's journal included, right only where nobody else
//! writes to it: give a `--dir D` on a loop device of its own, as `comparisons/store/run` does.
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong"
)]

mod drain;
mod figures;
mod load;
mod queues;
mod records;
mod state;
mod windows;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GROUP: u64 = 64;
const DEPTH: u64 = 1_000;
const CYCLES: u64 = 20;

const CONTENDERS: [&str; 4] = ["inferd json", "inferd noise", "sqlite noise", "log noise"];
/// What is measured, by the name it has in a contender's output, and its digits.
const ROWS: [(&str, &str, usize); 15] = [
    ("append", "long: appended a second", 0),
    ("drain", "long: drained a second", 0),
    ("queue", "short: pushed and popped a second", 0),
    ("queue_device", "short: device bytes for a byte", 2),
    ("queue_amplification", "short: written bytes for a byte", 2),
    ("fill_device", "long: device bytes for a byte", 2),
    ("fill_amplification", "long: written bytes for a byte", 2),
    ("syncs", "short: syncs for a result", 4),
    ("disk_filled", "long: MB on disk", 1),
    ("disk_cycles", "MB on disk after 20 cycles", 1),
    ("idle_rss", "short: MB of memory added, all in all", 1),
    ("rss", "long: MB of memory added, all in all", 1),
    ("opened_rss", "long: MB of memory added by opening it, in a new process", 1),
    ("open_ms", "long: ms to open", 0),
    ("payload", "bytes of a payload", 0),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let dir =
        option("--dir").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let records = option("--records").map_or(100_000, |n| n.parse().unwrap());
    match option("--contender") {
        Some(name) => contend(&name, &dir, records),
        None => {
            compare(&dir, records);
            for part in ["model", "windows", "journal", "sending"] {
                print!("{}", said(&run(part, &fresh(&dir), records)));
            }
            remove(&place(&dir));
        }
    }
}

fn contend(name: &str, dir: &Path, records: u64) {
    let before = figures::rss();
    match name {
        "inferd json" => {
            load::measure(&mut queues::Inferd::open(dir), dir, records, records::json, before);
        }
        "inferd noise" => {
            load::measure(&mut queues::Inferd::open(dir), dir, records, records::noise, before);
        }
        "open" => {
            let queue = queues::Inferd::open(dir);
            let added = figures::rss().saturating_sub(before);
            figures::figure("opened_rss", added as f64 / 1e6);
            drop(queue);
        }
        "model" => state::model(dir),
        "windows" => state::windows(dir),
        "journal" => windows::journal(dir),
        "sending" => drain::compare(dir, records),
        "bare" => drain::bare(dir.to_str().unwrap().parse().unwrap(), records),
        _ => load::measure(&mut queues::Log::open(dir), dir, records, records::noise, before),
    }
}

/// Runs every queue in its own process and prints the table.
fn compare(dir: &Path, records: u64) {
    println!("{records} results in groups of {GROUP}, one sync a group\n");
    let all: Vec<BTreeMap<String, f64>> =
        CONTENDERS.iter().map(|name| figures_of(&run(name, &fresh(dir), records))).collect();
    println!("| | {} | inferd : SQLite | inferd : log |", CONTENDERS.join(" | "));
    println!("|---|---|---|---|---|---|---|");
    for (name, title, digits) in ROWS {
        let values: Vec<f64> =
            all.iter().map(|figures| figures.get(name).copied().unwrap_or(f64::NAN)).collect();
        print!("| {title} |");
        let cell = |value: f64, digits| {
            if value.is_finite() { print!(" {value:.digits$} |") } else { print!(" |") }
        };
        values.iter().for_each(|value| cell(*value, digits));
        let &[_, inferd, sqlite, log] = values.as_slice() else { continue };
        cell(inferd / sqlite, 2);
        cell(inferd / log, 2);
        println!();
    }
}

fn figures_of(output: &Output) -> BTreeMap<String, f64> {
    let text = said(output);
    let figure = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(figure).collect()
}

fn said(output: &Output) -> String {
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(name: &str, dir: &Path, records: u64) -> Output {
    let records = records.to_string();
    if let Some(payload) = name.strip_prefix("sqlite ") {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("comparisons/store/sqlite_queue.py");
        let mut python = Command::new("python3");
        return python.arg(script).arg(dir).args([&records, payload]).output().unwrap();
    }
    let program = std::env::current_exe().unwrap();
    let arguments = ["--contender", name, "--records", &records, "--dir"];
    Command::new(program).args(arguments).arg(dir).output().unwrap()
}

fn place(dir: &Path) -> PathBuf {
    dir.join("bench-store")
}

fn fresh(dir: &Path) -> PathBuf {
    let place = place(dir);
    remove(&place);
    fs::create_dir_all(&place).unwrap();
    place
}

fn remove(dir: &Path) {
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
}
