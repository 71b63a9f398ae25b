//! A candidate beside the model of a real worker, on live inputs.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::bundle::VerifiedModel;
use crate::bundle::card::OutputKind;
use crate::daemon::candidate::shadow::{ShadowLimits, ShadowOutcome, run_shadow};
use crate::daemon::inference::messages::{FromWorker, ToWorker};
use crate::daemon::inference::queues::WorkerQueues;
use crate::daemon::inference::shadow_share::ShadowError;
use crate::daemon::inference::tests::fixture::{HOP, LENGTH, WorkerRig, loaded, sample};
use crate::pipeline::ShadowTally;
use crate::update::machine::Reason;

/// Far beyond what anything takes.
const LONG: Duration = Duration::from_secs(60);

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The shadow on a thread of its own.
fn asked(
    queues: &WorkerQueues,
    candidate: VerifiedModel,
    runs: u32,
    max: Duration,
) -> JoinHandle<Result<ShadowOutcome, ShadowError>> {
    let queues = queues.clone();
    std::thread::spawn(move || run(run_shadow(&queues, &candidate, runs, max)))
}

/// Feeds one sample after the other until the shadow is over; the versions that answered.
fn fed(
    rig: &mut WorkerRig,
    shadow: JoinHandle<Result<ShadowOutcome, ShadowError>>,
) -> (Result<ShadowOutcome, ShadowError>, Vec<String>) {
    let (mut sent, mut versions) = (0, Vec::new());
    while !shadow.is_finished() {
        rig.samples.send(sample(&rig.clock, 0, sent)).unwrap();
        sent += 1;
        while let Ok(message) = rig.results.try_recv() {
            versions.extend(version(&message));
        }
    }
    let outcome = shadow.join().unwrap();
    while versions.len() < sent.checked_sub(LENGTH).map_or(0, |over| over / HOP + 1) {
        versions.extend(version(&rig.results.blocking_recv().unwrap()));
    }
    (outcome, versions)
}

fn version(message: &FromWorker) -> Option<String> {
    let FromWorker::Result(finished) = message else { panic!("{message:?}") };
    let prediction: serde_json::Value = serde_json::from_slice(&finished.message.payload).unwrap();
    Some(prediction["version"].as_str().unwrap().to_owned())
}

/// The labels one place further on: another answer to every window.
fn contrary() -> VerifiedModel {
    let mut loaded = loaded("2.0.0");
    let card = Arc::make_mut(&mut loaded.card);
    let OutputKind::Classification { labels, .. } = &mut card.output.kind else { panic!() };
    labels.rotate_left(1);
    loaded
}

const TERMS: ShadowLimits =
    ShadowLimits { min_agreement: 0.9, max_error_rate: 0.0, max_slowdown: 1e6 };

#[test]
fn a_candidate_that_agrees_is_told_from_one_that_does_not_and_neither_is_published() {
    for (candidate, agrees) in [(loaded("2.0.0"), true), (contrary(), false)] {
        let mut rig = WorkerRig::start("memory", &loaded("1.9.0"));
        let asked = asked(&rig.queues, candidate, 25, LONG);
        let (outcome, versions) = fed(&mut rig, asked);
        let outcome = outcome.unwrap();
        let ShadowTally { runs, agreed, errors, nans, timed, .. } = outcome.0;
        assert_eq!((runs, agreed), (25, if agrees { 25 } else { 0 }));
        assert_eq!((errors, nans, timed), (0, 0, 24));
        assert!(outcome.0.active_us > 0 && outcome.0.candidate_us > 0, "{outcome:?}");
        assert_eq!(outcome.verdict(&TERMS), if agrees { Ok(()) } else { Err(Reason::Disagrees) });
        assert!(versions.len() >= 25, "every window was answered");
        assert!(versions.iter().all(|version| version == "1.9.0"), "{versions:?}");
    }
}

#[test]
fn what_cannot_be_compared_is_answered_at_once_and_an_unknown_model_too() {
    let rig = WorkerRig::start("memory", &loaded("1.9.0"));
    let mut candidate = loaded("2.0.0");
    Arc::make_mut(&mut candidate.card).inputs[0].channels.swap(0, 1);
    // No sample comes, and the time is not waited for.
    let error = run(run_shadow(&rig.queues, &candidate, 25, LONG * 60)).unwrap_err();
    assert!(error.to_string().contains("on stream motion, it takes other channels"), "{error}");
    Arc::make_mut(&mut candidate.card).name = crate::ids::ModelName::parse("other").unwrap();
    let error = run(run_shadow(&rig.queues, &candidate, 25, LONG * 60)).unwrap_err();
    assert!(matches!(error, ShadowError::NoSuchModel(_)), "{error}");
}

#[test]
fn silent_sensors_end_it_when_the_time_is_up_and_say_nothing_against_it() {
    let rig = WorkerRig::start("memory", &loaded("1.9.0"));
    let outcome = run(run_shadow(&rig.queues, &loaded("2.0.0"), 25, Duration::from_millis(50)));
    assert_eq!(outcome, Ok(ShadowOutcome::default()));
    assert_eq!(outcome.unwrap().verdict(&TERMS), Ok(()));
}

/// Waits until the worker has taken the candidate up: it holds one more session of its model.
fn taken_up(candidate: &VerifiedModel, holders: usize) {
    let until = std::time::Instant::now() + LONG;
    while Arc::strong_count(&candidate.model) != holders {
        assert!(std::time::Instant::now() < until, "{}", Arc::strong_count(&candidate.model));
        std::thread::yield_now();
    }
}

#[test]
fn a_swap_and_a_stop_end_it() {
    let rig = WorkerRig::start("memory", &loaded("1.9.0"));
    for stop in [false, true] {
        let candidate = loaded("2.0.0");
        let asked = asked(&rig.queues, candidate.clone(), 25, LONG * 60);
        if stop {
            // Here, the asker's, and the worker's session.
            taken_up(&candidate, 3);
            rig.samples.send(ToWorker::Stop).unwrap();
        } else {
            // One that overtakes it on its way to the worker ends nothing.
            let until = std::time::Instant::now() + LONG;
            while !asked.is_finished() && std::time::Instant::now() < until {
                rig.queues.swap(&loaded("1.9.1")).unwrap();
            }
        }
        assert_eq!(asked.join().unwrap(), Err(ShadowError::Interrupted));
        taken_up(&candidate, 1);
    }
    rig.worker.join().unwrap();
    let gone = run(run_shadow(&rig.queues, &loaded("2.0.0"), 25, LONG * 60));
    assert_eq!(gone, Err(ShadowError::Interrupted));
}

#[test]
fn nobody_waiting_any_more_ends_it_without_a_sample() {
    let rig = WorkerRig::start("memory", &loaded("1.9.0"));
    let candidate = loaded("2.0.0");
    run(async {
        let waiting = run_shadow(&rig.queues, &candidate, 25, LONG * 60);
        let taken = async {
            while Arc::strong_count(&candidate.model) < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = waiting => panic!("{ended:?}"),
            () = taken => {}
        }
    });
    taken_up(&candidate, 1);
}

#[test]
fn the_judgement_names_the_first_thing_that_is_wrong() {
    let good = ShadowTally {
        runs: 100,
        agreed: 98,
        errors: 1,
        nans: 0,
        timed: 99,
        active_us: 99_000,
        candidate_us: 140_000,
    };
    let terms = ShadowLimits { min_agreement: 0.95, max_error_rate: 0.02, max_slowdown: 1.5 };
    let verdict = |tally| ShadowOutcome(tally).verdict(&terms);
    assert_eq!(verdict(good), Ok(()));
    assert_eq!(verdict(ShadowTally { nans: 1, ..good }), Err(Reason::NotANumber));
    assert_eq!(verdict(ShadowTally { errors: 3, agreed: 97, ..good }), Err(Reason::ErrorRate));
    assert_eq!(verdict(ShadowTally { agreed: 94, ..good }), Err(Reason::Disagrees));
    assert_eq!(verdict(ShadowTally { candidate_us: 160_000, ..good }), Err(Reason::Slow));
    // Of a few runs, and of a few microseconds, nothing is concluded.
    let few = ShadowTally { timed: 9, candidate_us: 160_000_000, ..good };
    assert_eq!(verdict(few), Ok(()));
    assert_eq!(verdict(ShadowTally { active_us: 99, candidate_us: 1900, ..good }), Ok(()));
    assert_eq!(verdict(ShadowTally::default()), Ok(()));
}
