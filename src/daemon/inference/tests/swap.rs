//! A worker whose model is swapped while samples arrive.

use std::collections::BTreeMap;

use super::fixture::{HOP, LENGTH, WorkerRig, loaded, sample};
use crate::daemon::inference::messages::{FromWorker, ToWorker};
use crate::message::Incoming;
use crate::pipeline::SwapEffect;

#[test]
fn a_thousand_swaps_lose_no_sample_and_no_window() {
    const SWAPS: usize = 1000;
    const DEVICES: usize = 4;
    let versions = [loaded("1.9.0"), loaded("2.0.0")];
    let mut rig = WorkerRig::start("memory", &versions[0]);
    let (queues, samples, clock) = (rig.queues, rig.samples, rig.clock);
    let (over, go_on) = std::sync::mpsc::channel::<()>();
    let changing = std::thread::spawn(move || {
        for swap in 0..SWAPS {
            let swapped = queues.swap(&versions[(swap + 1) % 2]).unwrap();
            assert_eq!(swapped, [SwapEffect::WindowsKept]);
        }
        drop(over);
    });
    let feeding = std::thread::spawn(move || {
        let mut sent = 0;
        while go_on.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
            for device in 0..DEVICES {
                samples.send(sample(&clock, device, sent)).unwrap();
            }
            sent += 1;
        }
        samples.send(ToWorker::Stop).unwrap();
        sent
    });
    let (mut answered, mut by_version) = (0, BTreeMap::<String, usize>::new());
    while let Some(message) = rig.results.blocking_recv() {
        match message {
            FromWorker::Result(finished) => {
                let prediction: serde_json::Value =
                    serde_json::from_slice(&finished.message.payload).unwrap();
                let version = prediction["version"].as_str().unwrap();
                *by_version.entry(version.to_owned()).or_default() += 1;
                answered += 1;
            }
            FromWorker::Report(report) => panic!("{report:?}"),
            FromWorker::Windows(_)
            | FromWorker::Labels(_)
            | FromWorker::Baseline(_)
            | FromWorker::Learning(_)
            | FromWorker::Drifted(_) => {}
        }
    }
    changing.join().unwrap();
    let sent = feeding.join().unwrap();
    rig.worker.join().unwrap();
    println!("{SWAPS} swaps, {sent} samples of each of {DEVICES} devices, {by_version:?}");
    assert_eq!(answered, sent.checked_sub(LENGTH).map_or(0, |over| over / HOP + 1) * DEVICES);
}

#[test]
fn inputs_that_wait_for_a_save_are_let_go_before_the_swap() {
    let bundle = loaded("1.9.0");
    let mut rig = WorkerRig::start("journal", &bundle);
    let ToWorker::Sample(queued) = sample(&rig.clock, 0, 1) else { panic!() };
    let token = Some(crate::message::AckToken(7));
    let incoming = Incoming { token, ..queued.take() };
    rig.samples.send(ToWorker::Sample(incoming.into())).unwrap();
    assert_eq!(rig.queues.swap(&bundle).unwrap(), [SwapEffect::WindowsKept]);
    let Some(FromWorker::Windows(saved)) = rig.results.blocking_recv() else { panic!() };
    assert_eq!(saved.waiting.len(), 1);
    rig.samples.send(ToWorker::Stop).unwrap();
    rig.worker.join().unwrap();
    assert!(rig.queues.swap(&bundle).is_err(), "nobody is left to swap");
}
