//! What a power cut leaves: a run is traced down to its writes and syncs, the disk is rebuilt as a
//! cut at a random place would leave it, and what was acknowledged must be there, and leave in the
//! order in which it was acknowledged.
//!
//! Needs python3 and a C compiler for the simulator in `tests/crashsim`. `INFERD_IMAGES` asks for
//! more than the usual number of cuts for each case; 400 make 4,000 in all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::skipped;

#[path = "../tools/queue_crash/order.rs"]
mod order;

/// Cuts for each case; ten cases and the controls.
const IMAGES: u32 = 40;
/// Runs in one trace, each after the abrupt end of the one before.
const RUNS: u32 = 3;

/// Groups come and go; the disk has a cache that a cut empties, and names last in order, or only
/// where their folder was synced. `--near`: while sled puts its snapshot in place. `--nest`: more
/// cuts while the one before is recovered from.
const SHORT: [&[&str]; 4] = [
    &["--sfr", "none", "--meta", "ordered"],
    &["--sfr", "none", "--meta", "posix"],
    &["--sfr", "none", "--meta", "posix", "--near", "snap.*generating"],
    &["--sfr", "none", "--meta", "posix", "--nest", "2"],
];
/// A queue that has grown is empty and its database replaced: at any moment, and while that is.
const LONG: [&[&str]; 2] = [
    &["--sfr", "none", "--meta", "posix"],
    &["--sfr", "none", "--meta", "posix", "--near", "results-[0-9]+(/whole)?$"],
];

/// Versions are stored, made active and replaced; the second case cuts around the renames and the
/// marks that make them count.
const MODELS: [&[&str]; 2] = [
    &["--sfr", "none", "--meta", "posix"],
    &["--sfr", "none", "--meta", "posix", "--near", "/whole$"],
];

#[test]
fn what_was_acknowledged_survives_a_power_cut_and_leaves_in_order() {
    survives("write", 60, &SHORT);
}

#[test]
fn a_stored_model_version_survives_a_power_cut_and_a_slot_names_no_broken_one() {
    survives("models", 5, &MODELS);
}

/// A base in the place of additions, and additions behind it.
const WINDOWS: [&[&str]; 2] =
    [&["--sfr", "none", "--meta", "posix"], &["--sfr", "none", "--meta", "posix", "--nest", "2"]];

#[test]
fn saved_windows_survive_a_power_cut_with_all_that_was_added_to_them() {
    survives("windows", 60, &WINDOWS);
}

#[test]
fn results_that_would_leave_in_another_order_are_found() {
    let found = |sent: &[(&str, u64)]| order::first_out_of_order(sent.iter().copied());
    assert_eq!(found(&[("a", 1), ("b", 3), ("b", 4), ("a", 2), ("a", 7)]), None);
    assert_eq!(found(&[("a", 1), ("b", 4), ("a", 2), ("b", 3)]), Some((3, 4)));
    assert_eq!(found(&[("a", 1), ("a", 1)]), Some((1, 1)), "sent twice");
    let reversed: Vec<_> = (1..=9).rev().map(|number| ("a", number)).collect();
    assert_eq!(found(&reversed), Some((8, 9)));
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_while_a_database_is_replaced() {
    survives("long", 2, &LONG);
}

fn survives(run: &str, rounds: u32, cases: &[&[&str]]) {
    let Some(bench) = Bench::prepare() else { return };
    let trace = bench.record(run, rounds);
    let images = std::env::var("INFERD_IMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(IMAGES);
    for case in cases {
        let verdict = bench.cut(&trace, check_of(run), case, images);
        println!("{run} {}: {}", case.join(" "), verdict.text);
        assert_eq!(verdict.images, images, "{case:?}:\n{}", verdict.text);
        assert_eq!(verdict.good, verdict.images, "{case:?}:\n{}", verdict.text);
    }
}

#[test]
fn without_the_barrier_the_same_cuts_lose_what_was_acknowledged() {
    for (run, rounds) in [("write", 60), ("models", 5), ("windows", 60)] {
        let Some(bench) = Bench::prepare() else { return };
        let trace = bench.without_fdatasync(&bench.record(run, rounds));
        let verdict =
            bench.cut(&trace, check_of(run), &["--sfr", "none", "--meta", "ordered"], IMAGES);
        println!("control, {run} with no barrier: {}", verdict.text);
        assert!(
            verdict.good < verdict.images / 4 * 3,
            "the control loses nothing:\n{}",
            verdict.text
        );
    }
}

/// sled zeroes what only the snapshot before needs: first the new one's name must be durable.
#[test]
fn a_snapshot_has_its_name_for_good_before_anything_else_is_written() {
    let Some(bench) = Bench::prepare() else { return };
    let trace = fs::read(bench.record("write", 20)).unwrap();
    let is_snapshot = |op: &Op<'_>| op.kind == b'N' && !op.path.ends_with("boot.new");
    let ops: Vec<Op<'_>> = ops(&trace).filter(|op| op.kind != b'P').collect();
    let renames: Vec<&[Op<'_>]> = ops.windows(2).filter(|pair| is_snapshot(&pair[0])).collect();
    assert!(renames.len() + 1 >= RUNS as usize, "{} snapshots in {RUNS} runs", renames.len());
    for pair in renames {
        let folder = pair[0].path.rsplit_once('/').unwrap().0;
        assert_eq!((pair[1].kind, pair[1].path), (b'D', folder), "after {}", pair[0].path);
    }
}

/// What looks at a disk after a cut in that run.
fn check_of(run: &str) -> &'static str {
    match run {
        "models" => "check-models",
        "windows" => "check-windows",
        _ => "check",
    }
}

/// One entry of a trace: what was done, to what, and its bytes there.
struct Op<'a> {
    kind: u8,
    path: &'a str,
    bytes: &'a [u8],
}

fn ops(trace: &[u8]) -> impl Iterator<Item = Op<'_>> {
    const HEADER: usize = 32;
    let mut rest = trace;
    std::iter::from_fn(move || {
        let header = rest.get(..HEADER)?;
        let path = usize::from(u16::from_le_bytes(header[2..4].try_into().unwrap()));
        let written = u32::from_le_bytes(header[4..8].try_into().unwrap()) as usize;
        let bytes = &rest[..HEADER + path + written];
        rest = &rest[bytes.len()..];
        let path = std::str::from_utf8(&bytes[HEADER..HEADER + path]).unwrap();
        Some(Op { kind: bytes[0], path, bytes })
    })
}

struct Bench {
    dir: tempfile::TempDir,
    program: PathBuf,
}

struct Verdict {
    images: u32,
    good: u32,
    text: String,
}

impl Bench {
    /// Copies the simulator and builds its recorder; `None`, and a word why, where that cannot be.
    fn prepare() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tool = root.join("tests/crashsim");
        let program = std::env::current_exe().unwrap();
        let program = program.ancestors().nth(2).unwrap().join("examples/queue_crash");
        if !program.exists() {
            skipped("power cuts", "the example queue_crash is not built");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["crashsim.py", "cstrace.c"] {
            fs::copy(tool.join(name), dir.path().join(name)).unwrap();
        }
        let mut compiler = Command::new("cc");
        compiler.args([
            "-O2",
            "-shared",
            "-fPIC",
            "-o",
            "cstrace.so",
            "cstrace.c",
            "-ldl",
            "-lpthread",
        ]);
        let built = compiler.current_dir(dir.path()).status().is_ok_and(|status| status.success());
        let python = Command::new("python3").arg("--version").output().is_ok();
        if !built || !python {
            skipped("power cuts", "they need cc and python3");
            return None;
        }
        Some(Self { dir, program })
    }

    fn simulator(&self) -> Command {
        let mut command = Command::new("python3");
        command.arg(self.dir.path().join("crashsim.py"));
        command
    }

    /// Several runs on one folder, each ended by an abort.
    fn record(&self, run: &str, rounds: u32) -> PathBuf {
        let (store, trace) = (self.dir.path().join("store"), self.dir.path().join("trace"));
        fs::create_dir(&store).unwrap();
        for seed in 1..=RUNS {
            let output = self
                .simulator()
                .arg("record")
                .args([&store, &trace])
                .arg("--")
                .arg(&self.program)
                .args([run, "--rounds", &rounds.to_string(), "--seed", &seed.to_string(), "--dir"])
                .arg(&store)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("ACK "), "run {seed} acknowledged nothing: {output:?}");
        }
        trace
    }

    /// The trace of a program whose barrier does nothing.
    fn without_fdatasync(&self, trace: &Path) -> PathBuf {
        let bytes = fs::read(trace).unwrap();
        let kept = ops(&bytes).filter(|op| op.kind != b'S');
        let kept: Vec<u8> = kept.flat_map(|op| op.bytes.iter().copied()).collect();
        assert!(kept.len() < bytes.len(), "the run synced nothing");
        let control = self.dir.path().join("control");
        fs::write(&control, kept).unwrap();
        control
    }

    fn cut(&self, trace: &Path, check: &str, case: &[&str], images: u32) -> Verdict {
        let output = self
            .simulator()
            .arg("run")
            .arg(trace)
            .args(["--images", &images.to_string(), "--tmp"])
            .arg(self.dir.path().join("image"))
            .args(case)
            .arg("--")
            .arg(&self.program)
            .args([check, "--dir={dir}"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let number = |after: &str| {
            let rest = text.split_once(after).map_or("", |(_, rest)| rest);
            rest.split_whitespace().next().and_then(|n| n.parse().ok())
        };
        let (images, good) = (number(" images "), number(" ok "));
        let (Some(images), Some(good)) = (images, good) else {
            panic!("no verdict: {text}{}", String::from_utf8_lossy(&output.stderr));
        };
        Verdict { images, good, text }
    }
}
