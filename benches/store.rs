//! What a durable queue of results costs: `cargo bench --bench store`.
//!
//! Side by side, each in a process of its own: inferd's store, SQLite (WAL, synchronous=FULL,
//! through Python) and a plain append log, all with a real sync for each group of 64. Rates are
//! only good as ratios; bytes and syncs carry over to a board.
//!
//! "queue" is a push and a pop at a depth of 1,000; "long" fills `--records N` (100,000), opens the
//! database again and drains it. "bytes" are written bytes of the process for each byte of payload
//! by `/proc/self/io` (whole pages as the page cache has them, so a large page counts whole);
//! "device" what the block device took, the file system's journal included, right only where nobody
//! else writes to it: give a `--dir D` on a loop device of its own.
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark stops where something is wrong"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use inferd::ids::StreamName;
use inferd::message::{Outgoing, Qos};
use inferd::outbox::{Record, Seq};
use inferd::store::{Settings, Store};

const GROUP: u64 = 64;
const DEPTH: u64 = 1_000;
const CYCLES: u64 = 20;

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
        None => compare(&dir, records),
    }
}

/// Runs every contender in its own process and prints the table.
fn compare(dir: &Path, records: u64) {
    println!(
        "{records} results of about 300 bytes in groups of {GROUP}, one sync a group, in {}",
        dir.display()
    );
    for head in [
        "append drain queue bytes device bytes device syncs disk disk RSS open",
        "/s /s /s queue queue long long /result MB 20xMB MB ms",
    ] {
        print!("{:<14}", "");
        head.split(' ').for_each(|head| print!(" {head:>8}"));
        println!();
    }
    for name in ["inferd json", "inferd noise", "log noise", "sqlite noise"] {
        let place = dir.join("bench-store");
        remove(&place);
        fs::create_dir_all(&place).unwrap();
        let output = contender(name, &place, records);
        let text = String::from_utf8_lossy(&output.stdout);
        let figures: BTreeMap<&str, f64> = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        let figure = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
        print!("{name:<14}");
        for name in ["append", "drain", "queue"] {
            print!(" {:>8.0}", figure(name));
        }
        for name in ["queue_amplification", "queue_device", "fill_amplification", "fill_device"] {
            print!(" {:>8.2}", figure(name));
        }
        print!(" {:>8.4}", figure("syncs"));
        for name in ["disk_filled", "disk_cycles", "rss", "open_ms"] {
            print!(" {:>8.1}", figure(name));
        }
        println!();
        if !output.status.success() {
            println!("  {}", String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or(""));
        }
        remove(&place);
    }
}

fn contender(name: &str, dir: &Path, records: u64) -> std::process::Output {
    let records = records.to_string();
    if let Some(payload) = name.strip_prefix("sqlite ") {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/store/sqlite_queue.py");
        return Command::new("python3")
            .arg(script)
            .arg(dir)
            .args([&records, payload])
            .output()
            .unwrap();
    }
    let program = std::env::current_exe().unwrap();
    let arguments = ["--contender", name, "--records", &records, "--dir"];
    Command::new(program).args(arguments).arg(dir).output().unwrap()
}

fn contend(name: &str, dir: &Path, records: u64) {
    let payload = if name.ends_with("json") { json } else { noise };
    if name.starts_with("inferd") {
        measure(&mut Inferd::open(dir), dir, records, payload);
    } else {
        measure(&mut Log::open(dir), dir, records, payload);
    }
}

/// A durable first-in, first-out queue.
trait Queue {
    fn push(&mut self, group: Vec<Record>);
    /// Takes the oldest group; how many that were.
    fn pop(&mut self) -> u64;
    fn reopen(&mut self);
    fn syncs(&self) -> u64;
}

fn measure(queue: &mut dyn Queue, dir: &Path, records: u64, payload: fn(u64) -> Vec<u8>) {
    let mut seq = 0;
    let group = |seq: &mut u64| {
        let group: Vec<Record> = (0..GROUP).map(|i| record(*seq + i + 1, payload)).collect();
        *seq += GROUP;
        let bytes: u64 = group.iter().map(|r| r.message.payload.len() as u64).sum();
        (group, bytes)
    };
    // A queue about as deep as the short outages of every day.
    let device = device_bytes(dir);
    let (written, syncs, started) = (written_bytes(), queue.syncs(), Instant::now());
    let (mut bytes, mut depth) = (0, 0);
    for _ in 0..records / GROUP {
        let (group, len) = group(&mut seq);
        bytes += len;
        depth += GROUP;
        queue.push(group);
        while depth > DEPTH {
            depth -= queue.pop();
        }
    }
    while depth > 0 {
        depth -= queue.pop();
    }
    figure("queue", seq as f64 / started.elapsed().as_secs_f64());
    figure("queue_amplification", (written_bytes() - written) as f64 / bytes as f64);
    figure("queue_device", (device_bytes(dir) - device) as f64 / bytes as f64);
    figure("syncs", (queue.syncs() - syncs) as f64 / seq as f64);
    // A long outage.
    let device = device_bytes(dir);
    let before = rss();
    let written = written_bytes();
    let begun = seq;
    bytes = 0;
    let started = Instant::now();
    while seq - begun < records {
        let (group, len) = group(&mut seq);
        bytes += len;
        queue.push(group);
    }
    figure("append", (seq - begun) as f64 / started.elapsed().as_secs_f64());
    figure("rss", (rss() - before) as f64 / 1e6);
    figure("disk_filled", disk_bytes(dir) as f64 / 1e6);
    let started = Instant::now();
    queue.reopen();
    figure("open_ms", started.elapsed().as_secs_f64() * 1e3);
    let started = Instant::now();
    let mut left = seq - begun;
    while left > 0 {
        left -= queue.pop();
    }
    figure("drain", (seq - begun) as f64 / started.elapsed().as_secs_f64());
    figure("fill_amplification", (written_bytes() - written) as f64 / bytes as f64);
    figure("fill_device", (device_bytes(dir) - device) as f64 / bytes as f64);
    cycle(queue, records, || group(&mut seq).0);
    figure("disk_cycles", disk_bytes(dir) as f64 / 1e6);
}

/// Again and again, a fifth of that each time and never quite empty.
fn cycle(queue: &mut dyn Queue, records: u64, mut group: impl FnMut() -> Vec<Record>) {
    let mut depth = 0;
    for _ in 0..CYCLES {
        for _ in 0..records / 5 / GROUP {
            depth += GROUP;
            queue.push(group());
        }
        while depth > 2 * GROUP {
            depth -= queue.pop();
        }
    }
}

struct Inferd {
    dir: PathBuf,
    store: Option<Store>,
    loaded: std::collections::VecDeque<Seq>,
    after: Option<Seq>,
}

impl Inferd {
    fn open(dir: &Path) -> Self {
        let settings = Settings {
            dir: dir.to_owned(),
            max_bytes: 1 << 30,
            max_records: 1 << 30,
            reserve_bytes: 0,
        };
        let (store, _) = Store::open(&settings).unwrap();
        let dir = dir.to_owned();
        Self { dir, store: Some(store), loaded: Default::default(), after: None }
    }
}

impl Queue for Inferd {
    fn push(&mut self, group: Vec<Record>) {
        self.store.as_mut().unwrap().append(&group).unwrap();
    }

    fn pop(&mut self) -> u64 {
        let store = self.store.as_mut().unwrap();
        if self.loaded.is_empty() {
            let loaded = store.load(self.after, 128).unwrap();
            self.after = loaded.through;
            self.loaded.extend(loaded.records.iter().map(|record| record.seq));
        }
        let seqs: Vec<Seq> = (0..GROUP).map_while(|_| self.loaded.pop_front()).collect();
        store.remove(&seqs).unwrap();
        seqs.len() as u64
    }

    fn reopen(&mut self) {
        self.store = None;
        *self = Self::open(&self.dir.clone());
    }

    fn syncs(&self) -> u64 {
        self.store.as_ref().unwrap().usage().syncs
    }
}

/// The least that could do: a file that grows, and a second one with the place of the oldest.
struct Log {
    dir: PathBuf,
    log: File,
    head: File,
    place: u64,
    syncs: u64,
}

impl Log {
    fn open(dir: &Path) -> Self {
        let open = |name| {
            let options =
                File::options().read(true).write(true).create(true).truncate(false).clone();
            options.open(dir.join(name)).unwrap()
        };
        let (mut log, head) = (open("log"), open("head"));
        log.seek(SeekFrom::End(0)).unwrap();
        let place = fs::read(dir.join("head")).unwrap();
        let place = place.try_into().map_or(0, u64::from_le_bytes);
        Self { dir: dir.to_owned(), log, head, place, syncs: 0 }
    }
}

impl Queue for Log {
    fn push(&mut self, group: Vec<Record>) {
        let mut bytes = Vec::new();
        for record in &group {
            bytes.extend(u32::try_from(record.message.payload.len()).unwrap().to_le_bytes());
            bytes.extend(record.message.topic.as_bytes());
            bytes.extend(&record.message.payload);
        }
        bytes.splice(0..0, (bytes.len() as u64).to_le_bytes());
        self.log.write_all(&bytes).unwrap();
        self.log.sync_data().unwrap();
        self.syncs += 1;
    }

    fn pop(&mut self) -> u64 {
        let mut len = [0; 8];
        let reader = File::open(self.dir.join("log")).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&reader, &mut len, self.place).unwrap();
        let mut group = vec![0; usize::try_from(u64::from_le_bytes(len)).unwrap()];
        std::os::unix::fs::FileExt::read_exact_at(&reader, &mut group, self.place + 8).unwrap();
        self.place += 8 + group.len() as u64;
        if self.place == self.log.metadata().unwrap().len() {
            self.log.set_len(0).unwrap();
            self.log.seek(SeekFrom::Start(0)).unwrap();
            self.place = 0;
        }
        self.head.seek(SeekFrom::Start(0)).unwrap();
        self.head.write_all(&self.place.to_le_bytes()).unwrap();
        self.head.sync_data().unwrap();
        self.syncs += 1;
        GROUP
    }

    fn reopen(&mut self) {
        let syncs = self.syncs;
        *self = Self::open(&self.dir.clone());
        self.syncs = syncs;
    }

    fn syncs(&self) -> u64 {
        self.syncs
    }
}

fn record(seq: u64, payload: fn(u64) -> Vec<u8>) -> Record {
    let message = Outgoing {
        topic: format!("predictions/motion/watch-{}", seq % 50),
        payload: payload(seq).into(),
        content_type: "application/json".into(),
        properties: vec![("model".into(), "motion".into()), ("version".into(), "1.4.0".into())],
        correlation: None,
        retain: false,
        qos: Qos::AtLeastOnce,
    };
    let stream = StreamName::parse("motion").unwrap();
    Record { seq: Seq(seq), stream, priority: 0, message: Arc::new(message) }
}

/// A prediction as the daemon writes it.
fn json(seq: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq);
    let score = random.f64();
    format!(
        r#"{{"v":1,"id":"gw-17-3f2a-{seq}","gateway":"gw-17","stream":"motion","device":"watch-{}","time":"2026-11-22T10:{:02}:{:02}.{:03}Z","received":"2026-11-22T10:{:02}:{:02}.{:03}Z","model":"motion","version":"1.4.0","kind":"classification","label":"running","score":{score:.4},"scores":{{"running":{score:.4},"walking":{:.4}}},"us":{{"queue":{},"prepare":{},"run":{}}},"replayed":false}}"#,
        seq % 50,
        seq / 6000 % 60, seq / 100 % 60, seq * 10 % 1000,
        seq / 6000 % 60, seq / 100 % 60, (seq * 10 + 7) % 1000,
        1.0 - score,
        random.u32(20..200), random.u32(8..20), random.u32(90..130),
    )
    .into_bytes()
}

/// As long as a prediction, and not to be made shorter.
fn noise(seq: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq);
    std::iter::repeat_with(|| random.u8(..)).take(300).collect()
}

fn figure(name: &str, value: f64) {
    println!("{name} {value}");
}

/// Bytes this process has caused to go to the block layer.
fn written_bytes() -> u64 {
    proc_figure("/proc/self/io", "write_bytes:")
}

/// Bytes that the device below `dir` has taken, whoever wrote them.
fn device_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let _ = Command::new("sync").arg("-f").arg(dir).status().unwrap();
    let device = fs::metadata(dir).unwrap().dev();
    let stat = format!("/sys/dev/block/{}:{}/stat", libc::major(device), libc::minor(device));
    let sectors = fs::read_to_string(stat).ok();
    let sectors = sectors.as_deref().and_then(|stat| stat.split_whitespace().nth(6));
    sectors.map_or(0, |sectors| 512 * sectors.parse::<u64>().unwrap())
}

fn rss() -> u64 {
    proc_figure("/proc/self/status", "VmRSS:") * 1024
}

fn proc_figure(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

fn remove(dir: &Path) {
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
}
