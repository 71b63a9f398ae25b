use std::sync::Arc;
use std::time::Duration;

use super::fixture::{Harness, classifier, echo, labelled, stream, windowed};
use crate::bundle::card::Card;
use crate::clock::{Clock, Timestamp};
use crate::config::When;
use crate::pipeline::{RestoreError, Restored, SwapEffect};

fn bench(length: usize) -> Harness {
    Harness::new(stream(), windowed(length, 1), echo(&[length, 2]))
}

/// A window ends where a device was silent for more than a minute.
fn with_gap() -> Harness {
    let mut card = windowed(2, 2);
    card.window.as_mut().unwrap().max_gap = Some(Duration::from_secs(60));
    Harness::new(stream(), card, echo(&[2, 2]))
}

fn step(bench: &mut Harness, device: &str) -> Vec<u8> {
    let n = bench.clock.now().mono.0 % 1000;
    bench.clock.pass(Duration::from_micros(1));
    let (_, out) = bench.step(&format!("sensors/{device}/imu"), &format!("[{n},{}]", n * 2));
    out.into_iter().flat_map(|f| f.message.payload.to_vec()).collect()
}

#[test]
fn a_restored_pipeline_goes_on_where_the_saved_one_was() {
    let mut saved = bench(4);
    for device in ["x", "x", "x", "x", "x", "y", "y"] {
        step(&mut saved, device);
    }
    let bytes = saved.pipeline.snapshot(saved.clock.now());
    let mut restored = bench(4);
    restored.clock.pass(Duration::from_micros(7));
    let report = restored.pipeline.restore(&bytes, restored.clock.now()).unwrap();
    assert_eq!(report, Restored { devices: 2, dropped: 0, left_out: 0 });
    assert_eq!(restored.pipeline.snapshot(restored.clock.now()), bytes);
    for device in ["x", "y", "y", "x"] {
        let strip = |payload: Vec<u8>| {
            let text = String::from_utf8(payload).unwrap();
            text.split_once("\"kind\"").map(|(_, rest)| rest.to_owned())
        };
        assert_eq!(strip(step(&mut saved, device)), strip(step(&mut restored, device)));
    }
}

#[test]
fn what_the_publish_rules_remember_is_restored() {
    let mut config = stream();
    config.publish.when = When::Change;
    let make = || Harness::new(config.clone(), labelled(1), classifier(1, &[0.1, 0.9]));
    let mut saved = make();
    assert_eq!(saved.step("sensors/x/imu", "[1,2]").0.results, 1);
    let bytes = saved.pipeline.snapshot(saved.clock.now());
    let mut restored = make();
    restored.pipeline.restore(&bytes, restored.clock.now()).unwrap();
    assert_eq!(restored.step("sensors/x/imu", "[1,2]").0.results, 0);
}

#[test]
fn time_spent_away_counts_as_silence() {
    let mut saved = with_gap();
    step(&mut saved, "x");
    let bytes = saved.pipeline.snapshot(saved.clock.now());
    let mut later = saved.clock.now();

    let mut gap = with_gap();
    later.wall = later.wall.plus(Duration::from_secs(61));
    assert_eq!(gap.pipeline.restore(&bytes, later).unwrap().devices, 1);
    assert_eq!(gap.step("sensors/x/imu", "[1,2]").0.gaps, 1);

    let mut gone = with_gap();
    later.wall = later.wall.plus(Duration::from_secs(600));
    let report = gone.pipeline.restore(&bytes, later).unwrap();
    assert_eq!(report, Restored { devices: 0, dropped: 1, left_out: 0 });
}

#[test]
fn windows_of_a_board_whose_clock_was_not_set_go_on() {
    let mut saved = with_gap();
    step(&mut saved, "x");
    let mut unset = saved.clock.now();
    unset.wall = Timestamp::parse("1970-01-01T00:01:00Z").unwrap();
    let bytes = saved.pipeline.snapshot(unset);

    let mut later = with_gap();
    assert_eq!(later.pipeline.restore(&bytes, later.clock.now()).unwrap().devices, 1);
    assert_eq!(later.step("sensors/x/imu", "[1,2]").0.gaps, 0);
}

#[test]
fn more_devices_than_there_is_room_for_leaves_the_latest() {
    let mut saved = bench(4);
    for device in ["x", "y", "z"] {
        step(&mut saved, device);
    }
    let bytes = saved.pipeline.snapshot(saved.clock.now());
    let mut config = stream();
    config.max_keys = 2;
    let mut small = Harness::new(config, windowed(4, 1), echo(&[4, 2]));
    let report = small.pipeline.restore(&bytes, small.clock.now()).unwrap();
    assert_eq!(report, Restored { devices: 2, dropped: 1, left_out: 0 });
    for _ in 0..3 {
        step(&mut small, "z");
    }
    assert_eq!(small.pipeline.devices(), 2);
}

#[test]
fn damage_is_found_and_changes_nothing() {
    let mut saved = bench(3);
    for device in ["x", "y", "x"] {
        step(&mut saved, device);
    }
    let now = saved.clock.now();
    let bytes = saved.pipeline.snapshot(now);
    let mut other = bench(3);
    step(&mut other, "kept");
    for end in 0..bytes.len() {
        assert!(other.pipeline.restore(&bytes[..end], now).is_err(), "cut at {end}");
    }
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            assert!(other.pipeline.restore(&flipped, now).is_err(), "bit {bit} of byte {place}");
        }
    }
    assert_eq!(other.pipeline.devices(), 1);
    let version = [&b"INFW"[..], &[9, 0], &bytes[6..]].concat();
    assert_eq!(other.pipeline.restore(&version, now), Err(RestoreError::Version(9, 1)));
    assert_eq!(bench(5).pipeline.restore(&bytes, now), Err(RestoreError::Shape));
}

/// Bytes that are well-formed as to their checksum are still not believed.
#[test]
fn a_right_checksum_over_nonsense_is_refused() {
    let mut saved = bench(3);
    step(&mut saved, "x");
    let now = saved.clock.now();
    let bytes = saved.pipeline.snapshot(now);
    for place in 0..bytes.len() - 4 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut forged = bytes[..bytes.len() - 4].to_vec();
            forged[place] = value;
            forged.extend(crc32fast::hash(&forged).to_le_bytes());
            // InputProcessed or refused; what counts is that nothing panics afterwards.
            let mut other = bench(3);
            if other.pipeline.restore(&forged, now).is_ok() {
                for _ in 0..4 {
                    step(&mut other, "x");
                }
                assert!(other.pipeline.devices() <= 2);
            }
        }
    }
}

#[test]
fn a_swap_keeps_windows_of_the_same_shape() {
    let mut bench = bench(3);
    step(&mut bench, "x");
    step(&mut bench, "x");
    let card = Arc::new(Card { version: "2.0.0".into(), ..windowed(3, 2) });
    let swapped = bench.pipeline.swap(card, Box::new(echo(&[3, 2]))).unwrap();
    assert_eq!(swapped, SwapEffect::WindowsKept);
    assert_eq!(bench.pipeline.card().version, "2.0.0");
    assert!(!step(&mut bench, "x").is_empty(), "the window goes on");

    let swapped = bench.pipeline.swap(Arc::new(windowed(2, 2)), Box::new(echo(&[2, 2]))).unwrap();
    assert_eq!(swapped, SwapEffect::WindowsReset);
    assert!(step(&mut bench, "x").is_empty());
    assert!(!step(&mut bench, "x").is_empty());
}

#[test]
fn a_swap_that_does_not_fit_changes_nothing() {
    let mut bench = bench(3);
    let misfit = bench.pipeline.swap(Arc::new(windowed(3, 1)), Box::new(echo(&[5, 2])));
    assert_eq!(misfit.unwrap_err().len(), 1);
    step(&mut bench, "x");
    step(&mut bench, "x");
    assert!(!step(&mut bench, "x").is_empty());
}

#[test]
fn what_a_save_takes_is_known_beforehand() {
    let mut saved = bench(4);
    let devices = 3;
    for n in 0..devices {
        (0..6).for_each(|_| drop(step(&mut saved, &format!("press-hall-{n}"))));
    }
    let model = echo(&[4, 2]);
    let expected = crate::pipeline::saved_windows_size(
        &stream(),
        &windowed(4, 1),
        &model.inputs,
        &model.outputs,
        devices,
    );
    let bytes = saved.pipeline.snapshot(saved.clock.now());
    assert_eq!(expected, Some(bytes.len() as u64));
}
