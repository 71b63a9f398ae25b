//! The ways an update takes when nobody means harm.

use std::time::Duration;

use super::world::{Disk, Model, World, model_bytes, release};
use super::*;
use crate::update::{MaintenanceWindow, TimeOfDay, Trial, delta};

#[test]
fn a_good_model_goes_through_every_state() {
    let mut world = World::new();
    let release = release(&world.keys, 1, &model_bytes(1), None);
    let deployment = Deployment { shadow_runs: 10, ..world.publish(2, &release) };
    world.deploy(&deployment).unwrap();
    use State::{Committed, Fetching, Probing, Shadow, Trial, Verifying};
    assert_eq!(world.states(), [Fetching, Verifying, Probing, Shadow, Trial, Committed]);
    assert_eq!(world.active(), Some(1));
    // The same retained message, later: nothing happens.
    let effects = world.reports.len();
    world.deploy(&deployment).unwrap();
    assert_eq!(world.reports.len(), effects);
}

#[test]
fn every_way_to_fail_leaves_the_old_model_and_is_not_tried_again() {
    let runs = |runs, errors, nans, slowdown| TrialStats {
        runs,
        errors,
        nans,
        slowdown,
        ..TrialStats::default()
    };
    for (model, state, reason) in [
        (Model::FailsProbe(Reason::Golden), State::Failed, Reason::Golden),
        (Model::FailsProbe(Reason::Memory), State::Failed, Reason::Memory),
        (Model::Disagrees, State::Failed, Reason::Disagrees),
        (Model::FailsTrial(runs(20, 1, 0, 1.0)), State::RolledBack, Reason::ErrorRate),
        (Model::FailsTrial(runs(1, 0, 1, 1.0)), State::RolledBack, Reason::NotANumber),
        (Model::FailsTrial(runs(20, 0, 0, 3.5)), State::RolledBack, Reason::Slow),
        (Model::FailsTrial(labelled(50, 44)), State::RolledBack, Reason::Accuracy),
    ] {
        let mut world = World::new();
        world.model = model;
        let release = release(&world.keys, 1, &model_bytes(1), None);
        let trial = Trial { min_accuracy: Some(0.9), ..Trial::default() };
        let deployment = Deployment { shadow_runs: 5, trial, ..world.publish(2, &release) };
        world.deploy(&deployment).unwrap();
        assert_eq!(world.last(), (state, Some(reason)));
        assert_eq!(world.active(), None, "the shipped model serves");
        let fetched = world.fetched;
        world.deploy(&Deployment { seq: 3, ..deployment }).unwrap();
        assert_eq!(world.last(), (State::Rejected, Some(Reason::Refused)));
        assert_eq!(world.fetched, fetched);
    }
}

fn labelled(labels: u32, correct: u32) -> TrialStats {
    TrialStats { runs: 100, slowdown: 1.0, labels, correct, ..TrialStats::default() }
}

#[test]
fn a_trial_with_a_least_accuracy_waits_for_its_labels() {
    let trial = Trial { min_accuracy: Some(0.9), ..Trial::default() };
    let judged = |runs: TrialStats| (trial.failure(&runs), trial.is_passed(&runs));
    assert_eq!(judged(labelled(29, 0)), (None, false), "too few labels to judge");
    assert_eq!(judged(labelled(30, 26)).0, Some(Reason::Accuracy));
    assert_eq!(judged(labelled(30, 27)), (None, true));
    assert!(Trial::default().is_passed(&labelled(0, 0)), "nobody asks for labels");
}

#[test]
fn a_deployment_without_a_least_accuracy_is_written_as_before() {
    let written = serde_json::to_value(Trial::default()).unwrap();
    let names: Vec<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["max_error_rate", "max_s", "max_slowdown", "min_runs"]);
}

#[test]
fn only_what_differs_is_fetched() {
    let keys = keys(1);
    let (old, mut new) = (model_bytes(1), model_bytes(1));
    new[30_000] ^= 1;
    let mut world = World::new();
    let deployment = world.publish(2, &release(&keys, 1, &old, None));
    world.deploy(&deployment).unwrap();
    world.fetched = 0;
    let second = release(&keys, 2, &new, None);
    let deployment = world.publish(3, &second);
    world.deploy(&deployment).unwrap();
    assert_eq!(world.active(), Some(2));
    let manifest = second.envelope.len() as u64;
    assert!(world.fetched < manifest + 2048, "{} bytes", world.fetched);
}

#[test]
fn a_delta_is_taken_and_a_bad_one_is_survived() {
    let keys = keys(1);
    let old = model_bytes(1);
    let new: Vec<u8> =
        old.iter().enumerate().map(|(at, b)| b.wrapping_add(u8::from(at % 50 == 0))).collect();
    let delta = delta::between(&old, &new).unwrap();
    let wrong = delta::between(&old, &model_bytes(1)).unwrap();
    for (delta, bound) in [(delta, 10_000), (wrong, 80_000)] {
        let mut world = World::new();
        let deployment = world.publish(2, &release(&keys, 1, &old, None));
        world.deploy(&deployment).unwrap();
        world.fetched = 0;
        let second = release(&keys, 2, &new, Some((&old, &delta)));
        let deployment = world.publish(3, &second);
        world.deploy(&deployment).unwrap();
        assert_eq!(world.active(), Some(2));
        let fetched = world.fetched - second.envelope.len() as u64;
        assert!(fetched < bound, "{fetched} bytes");
    }
}

#[test]
fn what_waits_can_be_held_and_what_serves_cannot() {
    let mut world = World::new();
    let release = release(&world.keys, 1, &model_bytes(1), None);
    let late = time("2026-11-23T00:00:00Z");
    let waits = Deployment { not_before: late, ..world.publish(2, &release) };
    let mut effects = Vec::new();
    let bytes = world.sign(&waits);
    world.device.on(world.now, Event::Deployment(bytes), &mut effects);
    let due = world.device.deadline().unwrap();
    assert_eq!(due.since(world.now.mono), Duration::from_secs(12 * 3600));
    world.deploy(&Deployment { seq: 3, hold: true, ..waits.clone() }).unwrap();
    assert_eq!(world.last().0, State::Cancelled);
    assert_eq!(world.fetched, 0);
    world.deploy(&Deployment { seq: 4, ..waits }).unwrap();
    assert_eq!(world.active(), Some(1));
    world.tell(Event::Withdrawn).unwrap();
    assert_eq!(world.active(), Some(1));
}

/// A board without a clock of its own takes the latest signed time for the present, until it has the time.
#[test]
fn a_clock_that_is_set_moves_what_waits_for_its_window_and_ends_what_has_expired() {
    let day = Duration::from_secs(24 * 3600);
    let of_day = |text: &str| TimeOfDay::try_from(text.to_owned()).unwrap();
    let night = MaintenanceWindow { from: of_day("22:00"), to: of_day("04:00") };
    for (set_to, state, wait) in [
        ("2026-11-25T23:00:00Z", State::Committed, Duration::ZERO),
        ("2026-11-25T12:00:00Z", State::Waiting, Duration::from_secs(10 * 3600)),
        ("2027-11-25T12:00:00Z", State::Rejected, Duration::ZERO),
    ] {
        let mut world = World::new();
        world.now.wall = Timestamp(60_000_000);
        let release = release(&world.keys, 1, &model_bytes(1), None);
        world.patience = Duration::ZERO;
        let late = time("2026-11-24T00:00:00Z");
        let deployment = Deployment {
            not_before: late,
            windows: vec![night],
            expires: late.plus(30 * day),
            ..world.publish(2, &release)
        };
        world.deploy(&deployment).unwrap();
        assert_eq!(world.last().0, State::Waiting);
        world.now.wall = time(set_to);
        world.patience = Duration::from_secs(3600);
        world.tell(Event::Tick).unwrap();
        assert_eq!(world.last().0, state, "{set_to}");
        let due = world.device.deadline().map(|due| due.since(world.now.mono)).unwrap_or_default();
        assert_eq!(due, wait, "{set_to}");
    }
}

#[test]
fn the_limit_on_bandwidth_holds() {
    let mut world = World::new();
    let release = release(&world.keys, 1, &model_bytes(1), None);
    let deployment = Deployment { max_bytes_per_s: 1000, ..world.publish(2, &release) };
    world.deploy(&deployment).unwrap();
    let (bytes, seconds) = (world.fetched, world.now.mono.0 / 1_000_000);
    assert!(seconds + 2 >= bytes / 1000, "{bytes} bytes in {seconds} s");
    assert_eq!(world.active(), Some(1));
}

#[test]
fn without_room_nothing_is_fetched() {
    let mut world = World::new();
    world.room = 70_000;
    let release = release(&world.keys, 1, &model_bytes(1), None);
    let deployment = world.publish(2, &release);
    world.deploy(&deployment).unwrap();
    assert_eq!(world.last(), (State::Rejected, Some(Reason::Disk)));
    assert!(world.fetched <= release.envelope.len() as u64);
    // Not the version's fault: with room it is taken.
    world.room = 1 << 20;
    world.deploy(&Deployment { seq: 3, ..deployment }).unwrap();
    assert_eq!(world.active(), Some(1));
}

#[test]
fn an_active_version_that_does_not_load_gives_way_to_the_one_before() {
    let mut world = World::new();
    for counter in [1, 2] {
        let release = release(&world.keys, counter, &model_bytes(counter), None);
        let deployment = world.publish(counter + 1, &release);
        world.deploy(&deployment).unwrap();
    }
    world.tell(Event::LoadFailed).unwrap();
    assert_eq!(world.active(), Some(1));
    world.tell(Event::LoadFailed).unwrap();
    assert_eq!(world.active(), None, "the shipped model is the last resort");
}

#[test]
fn the_record_is_read_back_as_it_was_written() {
    let mut world = World::new();
    let release = release(&world.keys, 1, &model_bytes(1), None);
    let deployment = world.publish(2, &release);
    world.fuse = Some(20);
    assert!(world.deploy(&deployment).is_err());
    let stored = world.disk.record.to_stored();
    assert_eq!(Record::from_stored(&stored), (world.disk.record, None));
    assert!(Disk::default().record.job.is_none());
}
