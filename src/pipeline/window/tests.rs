use proptest::prelude::*;

use std::time::Duration;

use super::*;
use crate::clock::{Mono, Timestamp};
use crate::pipeline::shape::WindowShape;

fn shape(length: usize, hop: usize, channels: usize, wide: bool) -> WindowShape {
    WindowShape {
        length,
        hop,
        channels,
        wide,
        max_gap: Some(Duration::from_secs(1)),
        lead: 0,
        state_gap: None,
    }
}

#[test]
fn a_million_devices_leave_as_much_memory_as_a_thousand() {
    let shape = shape(50, 50, 2, false);
    let mut devices = Devices::new(1000, Duration::from_secs(600));
    let mut forgotten = ForgottenDevices::default();
    for n in 0..1_000_000_u32 {
        let device = devices.device(&format!("d{n}"), Mono(0), &mut forgotten).unwrap();
        device.add(&shape, &[1.0, 2.0], None, Mono(0)).unwrap();
    }
    assert_eq!(devices.known.len(), 1000);
    assert_eq!((forgotten.evicted, forgotten.expired), (999_000, 0));
    assert_eq!(forgotten.losses.count("evicted"), 999_000);
    let held = |ring: &SampleRing| match &ring.cells {
        Cells::F32(cells) => cells.capacity(),
        Cells::F64(cells) => cells.capacity(),
    };
    let all: usize = devices.known.iter().map(|(_, d)| held(&d.ring)).sum();
    assert!(all <= 1000 * 8, "{all} numbers are held for 2000");
}

#[test]
fn a_ring_never_holds_more_than_a_window() {
    let shape = shape(7, 3, 2, false);
    let mut ring = SampleRing::default();
    for _ in 0..100 {
        ring.push(&shape, &[1.0, 2.0]);
    }
    let Cells::F32(cells) = &ring.cells else { panic!() };
    assert_eq!((cells.len(), cells.capacity()), (14, 14));
}

#[test]
fn numbers_that_32_bits_would_round_are_kept_where_the_model_needs_them() {
    let value = 16_777_217.0;
    for (wide, kept) in [(false, 16_777_216.0), (true, value)] {
        let shape = shape(1, 1, 1, wide);
        let (mut ring, mut window) = (SampleRing::default(), Vec::new());
        assert!(ring.push(&shape, &[value]));
        ring.read(&shape, &mut window);
        assert_eq!(window, [kept]);
    }
}

#[test]
fn a_name_that_no_device_may_have_makes_none() {
    let mut devices = Devices::new(2, Duration::from_secs(1));
    assert!(devices.device("", Mono(0), &mut ForgottenDevices::default()).is_none());
    assert_eq!(devices.known.len(), 0);
}

/// Windows as one would write them down: all samples since the last gap, cut out.
fn naive(shape: &WindowShape, samples: &[(u64, f64)]) -> Vec<Vec<f64>> {
    let (mut run, mut windows, mut last) = (Vec::new(), Vec::new(), None);
    for &(at, value) in samples {
        if last.is_some_and(|last| at - last > 1_000_000) {
            run.clear();
        }
        last = Some(at);
        run.push(value);
        if run.len() >= shape.length && (run.len() - shape.length).is_multiple_of(shape.hop) {
            windows.push(run[run.len() - shape.length..].to_vec());
        }
    }
    windows
}

proptest! {
    #[test]
    fn rings_give_the_windows_of_a_naive_model(
        length in 1_usize..6,
        hop in 1_usize..9,
        wide in any::<bool>(),
        by_own_time in any::<bool>(),
        pauses in prop::collection::vec((0_u64..3, 0_usize..3), 0..80),
    ) {
        let shape = shape(length, hop, 1, wide);
        let mut devices = Devices::new(10, Duration::from_secs(3600));
        let mut forgotten = ForgottenDevices::default();
        let mut samples: Vec<Vec<(u64, f64)>> = vec![Vec::new(); 3];
        let mut windows: Vec<Vec<Vec<f64>>> = vec![Vec::new(); 3];
        let mut now = 0;
        for (value, (pause, device)) in pauses.into_iter().enumerate() {
            now += pause * 400_000;
            let value = f64::from(u32::try_from(value).unwrap());
            samples[device].push((now, value));
            let name = ["x", "y", "z"][device];
            let state = devices.device(name, Mono(now), &mut forgotten).unwrap();
            let own = by_own_time.then(|| Timestamp(i64::try_from(now).unwrap()));
            if state.add(&shape, &[value], own, Mono(now)).unwrap().complete {
                let mut window = Vec::new();
                state.ring.read(&shape, &mut window);
                windows[device].push(window);
            }
        }
        for (samples, windows) in samples.iter().zip(&windows) {
            prop_assert_eq!(&naive(&shape, samples), windows);
        }
        prop_assert_eq!(forgotten, ForgottenDevices::default());
    }
}
