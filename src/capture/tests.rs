use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::clock::{Mono, Now, Timestamp};
use crate::npz;
use crate::pipeline::{CapturedInput, Trigger};
use crate::tensor::{Data, Dtype, Tensor, TensorSpec};

const DAY: u64 = 24 * 60 * 60;

fn settings(dir: &Path, max_bytes: u64) -> Settings {
    Settings {
        dir: dir.join("captures"),
        max_bytes,
        max_age: Duration::from_secs(30 * DAY),
        write_interval: Duration::from_secs(600),
        reserve_bytes: 0,
        streams: vec!["motion".into(), "vibration".into()],
        upload: None,
    }
}

/// Seconds since 2026-11-22T10:00:00Z.
fn at(seconds: u64) -> Now {
    let since = Duration::from_secs(seconds);
    Now { wall: Timestamp(1_795_341_600_000_000).plus(since), mono: Mono(0).plus(since) }
}

/// An input of `len` random numbers, which no archive makes smaller.
fn input(trigger: Trigger, len: usize) -> CapturedInput {
    let name = "window".to_owned();
    let spec = TensorSpec { name, dtype: Dtype::F32, shape: vec![1, len], quant: None };
    let data = Data::F32((0..len).map(|_| fastrand::f32()).collect());
    CapturedInput {
        trigger,
        time: at(0).wall,
        id: Some("gw-1-0".into()),
        device: "watch-7".into(),
        label: Some("running".into()),
        score: Some(0.5),
        model: "motion".into(),
        version: "1.0.0".into(),
        inputs: vec![(spec, Tensor { shape: vec![1, len], data })],
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}

fn disk_bytes(dir: &Path) -> u64 {
    let of = |path: &Path| if path.is_dir() { disk_bytes(path) } else { 0 };
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| of(&path) + fs::metadata(&path).unwrap().blocks() * 512).sum()
}

#[test]
fn a_segment_is_written_when_it_is_complete_or_its_time_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = CaptureWriter::open(settings(dir.path(), 64 << 20));
    for n in 0..300 {
        writer.add(0, &input(Trigger::Margin, 10), at(n));
    }
    writer.add(1, &input(Trigger::Random, 10), at(300));
    assert_eq!((writer.stats().segments, writer.stats().inputs), (1, 256));
    assert_eq!(writer.stats().unwritten, 45);
    assert_eq!(writer.next_tick(at(300)), Some(Duration::from_secs(256 + 600 - 300)));
    writer.tick(at(256 + 600));
    assert_eq!((writer.stats().segments, writer.stats().unwritten), (2, 1));
    writer.flush();
    let stats = writer.stats().clone();
    assert_eq!((stats.segments, stats.inputs, stats.unwritten), (3, 301, 0));
    let again = CaptureWriter::open(settings(dir.path(), 64 << 20));
    assert_eq!(again.segments(), writer.segments(), "as a restart finds them");
    let names = files(dir.path());
    assert_eq!(names.len(), 6);
    assert_eq!(names[0], "2026-11-22T100000.000Z-margin-256.jsonl");
    let folder = dir.path().join("captures/motion");
    let bytes = fs::read(folder.join("2026-11-22T100000.000Z-margin-256.npz")).unwrap();
    let arrays = npz::read(&bytes, 1 << 20).unwrap();
    assert_eq!(arrays["window"].shape, [256, 1, 10]);
    let meta = fs::read_to_string(folder.join(&names[0])).unwrap();
    let line: serde_json::Value = serde_json::from_str(meta.lines().next().unwrap()).unwrap();
    assert_eq!(line["trigger"], "margin");
    assert_eq!(line["time"], "2026-11-22T10:00:00.000Z");
    assert_eq!(meta.lines().count(), 256);
}

#[test]
fn versions_and_shapes_are_not_mixed() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = CaptureWriter::open(settings(dir.path(), 64 << 20));
    writer.add(0, &input(Trigger::Margin, 10), at(0));
    writer.add(0, &input(Trigger::Margin, 11), at(0));
    writer.add(0, &CapturedInput { version: "2".into(), ..input(Trigger::Margin, 10) }, at(0));
    writer.flush();
    assert_eq!(writer.stats().segments, 3, "{:?}", writer.segments());
}

/// Written are 1.2 bytes for each byte of the arrays at most, and the bound holds whatever comes.
#[test]
fn the_bound_holds_and_the_most_plentiful_trigger_pays() {
    let dir = tempfile::tempdir().unwrap();
    let max_bytes = 4 << 20;
    let mut writer = CaptureWriter::open(settings(dir.path(), max_bytes));
    for n in 0..60 * 256 {
        let trigger = if n % 20 == 0 { Trigger::Reject } else { Trigger::Margin };
        writer.add(0, &input(trigger, 240), at(n));
        if n % 256 == 0 {
            let bytes = disk_bytes(&dir.path().join("captures"));
            assert!(bytes <= max_bytes + max_bytes / 20, "{bytes}");
        }
    }
    let stats = writer.stats();
    assert!(stats.bytes > max_bytes * 9 / 10, "{stats:?}");
    assert!(stats.evicted["margin"] > 10 * stats.evicted.get("reject").copied().unwrap_or(0));
    let kept = |trigger| writer.segments().iter().filter(|it| it.trigger == trigger).count();
    assert_eq!(kept("reject"), 3, "{stats:?}");
    let raw = stats.inputs * 240 * 4;
    assert!(stats.bytes * 10 <= raw * 12, "{} bytes for {raw}", stats.bytes);
    let times: Vec<_> = writer.segments().iter().map(|segment| segment.time).collect();
    assert!(times.is_sorted(), "the oldest are gone");
}

#[test]
fn old_segments_expire_and_others_are_purged_by_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = CaptureWriter::open(settings(dir.path(), 64 << 20));
    for (stream, trigger, day) in
        [(0, Trigger::Margin, 0), (0, Trigger::Random, 10), (1, Trigger::Margin, 20)]
    {
        writer.add(stream, &input(trigger, 10), at(day * DAY));
        writer.flush();
    }
    writer.tick(at(30 * DAY));
    assert_eq!(writer.stats().segments, 3);
    assert_eq!(writer.next_tick(at(30 * DAY)), Some(Duration::ZERO));
    writer.tick(at(30 * DAY + 1));
    assert_eq!((writer.stats().segments, writer.stats().expired), (2, 1));
    let filter = SegmentFilter { stream: None, trigger: Some("margin".into()) };
    assert_eq!(writer.purge(&filter).unwrap(), 1);
    assert_eq!(writer.stats().segments, 1);
    let filter = SegmentFilter { stream: Some("vibration".into()), trigger: None };
    assert_eq!(writer.purge(&filter).unwrap(), 0);
    assert_eq!(writer.purge(&SegmentFilter::default()).unwrap(), 1);
    assert_eq!(files(dir.path()), Vec::<String>::new());
}

#[test]
fn what_a_crash_left_incomplete_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("captures/motion");
    fs::create_dir_all(&folder).unwrap();
    let name = "2026-11-22T100000.000Z-margin-3";
    fs::write(folder.join(format!("{name}.jsonl")), "{}").unwrap();
    fs::write(folder.join(format!("{name}.npz.part")), "PK").unwrap();
    fs::write(folder.join("notes.txt"), "of somebody else").unwrap();
    let writer = CaptureWriter::open(settings(dir.path(), 64 << 20));
    assert_eq!(writer.segments(), []);
    assert_eq!(files(dir.path()), ["notes.txt"]);
}

#[test]
fn the_reserve_of_the_disk_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let full = Settings { reserve_bytes: u64::MAX / 2, ..settings(dir.path(), 64 << 20) };
    let mut writer = CaptureWriter::open(full);
    writer.add(0, &input(Trigger::Margin, 10), at(0));
    writer.flush();
    assert_eq!(writer.stats().dropped["disk"], 1);
    assert_eq!(files(dir.path()), Vec::<String>::new());
}
