use std::time::Duration;

use super::fixture::{Harness, echo, stream, windowed};

#[test]
fn ever_new_device_names_stay_bounded() {
    let mut config = stream();
    config.max_keys = 1000;
    let mut bench = Harness::new(config, windowed(50, 50), echo(&[50, 2]));
    let mut evicted = 0;
    for n in 0..20_000 {
        let (outcome, _) = bench.step(&format!("sensors/d{n}/imu"), "[1,2]");
        assert_eq!(outcome.samples, 1);
        evicted += outcome.evicted;
    }
    assert_eq!(bench.pipeline.devices(), 1000);
    assert_eq!(evicted, 19_000);
    // One sample each, so that the rings did not grow to whole windows.
    assert!(bench.pipeline.snapshot(crate::clock::Clock::now(&bench.clock)).len() < 100_000);
}

#[test]
fn the_least_recently_used_device_goes() {
    let mut config = stream();
    config.max_keys = 2;
    let mut bench = Harness::new(config, windowed(3, 3), echo(&[3, 2]));
    let mut runs = |device: &str| bench.step(&format!("sensors/{device}/imu"), "[1,2]").0.runs;
    for device in ["x", "y", "x", "z"] {
        assert_eq!(runs(device), 0);
    }
    assert_eq!(runs("x"), 1, "x was used after y and stays");
    assert_eq!([runs("y"), runs("y"), runs("y")], [0, 0, 1], "y starts with an empty window");
}

#[test]
fn a_silent_device_is_forgotten() {
    let mut config = stream();
    config.key_ttl = Duration::from_secs(10);
    let mut bench = Harness::new(config, windowed(2, 2), echo(&[2, 2]));
    for device in ["a", "b", "c", "d"] {
        bench.step(&format!("sensors/{device}/imu"), "[1,2]");
    }
    bench.clock.pass(Duration::from_secs(11));
    let (outcome, _) = bench.step("sensors/d/imu", "[1,2]");
    assert_eq!((outcome.runs, outcome.expired), (0, 3), "two swept, and d itself");
    let (outcome, _) = bench.step("sensors/d/imu", "[1,2]");
    assert_eq!((outcome.runs, outcome.expired), (1, 1));
    assert_eq!(bench.pipeline.devices(), 1);
}

#[test]
fn a_device_whose_clock_went_back_is_taken_again_after_its_time_to_live() {
    let mut config = stream();
    config.payload.time = Some("t".into());
    config.key_ttl = Duration::from_secs(10);
    let mut bench = Harness::new(config, windowed(2, 2), echo(&[2, 2]));
    bench.step("sensors/x/imu", "[1795341600,1,2]");
    let (outcome, _) = bench.step("sensors/x/imu", "[1795340000,1,2]");
    assert_eq!(outcome.rejects[0].reject.code(), "out-of-order");
    bench.clock.pass(Duration::from_secs(11));
    let (outcome, _) = bench.step("sensors/x/imu", "[1795340001,1,2]");
    assert_eq!((outcome.samples, outcome.rejects.len()), (1, 0));
}

#[test]
fn a_refused_sample_makes_no_device() {
    let mut config = stream();
    config.max_ahead = Duration::from_secs(1);
    config.payload.time = Some("t".into());
    let mut bench = Harness::new(config, windowed(2, 2), echo(&[2, 2]));
    let (outcome, _) = bench.step("sensors/x/imu", "[[4070908800,1,2],[4070908800,1,2]]");
    assert_eq!((outcome.rejects[0].reject.code(), outcome.rejects[0].count), ("future", 2));
    assert_eq!(bench.pipeline.devices(), 0);
}
