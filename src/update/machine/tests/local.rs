//! Local commands of an operator at the gateway.

use super::world::{Model, PowerCut, Release, World, model_bytes, release};
use super::*;

fn install(world: &mut World, release: &Release) -> Result<(), PowerCut> {
    let digest = Digest::of(&release.envelope);
    world.disk.on_installed.push(digest);
    world.device.stage(Some(StagedVersion { manifest: digest, digest }));
    world.tell(Event::Installed(release.envelope.clone()))
}

fn committed(counter: u64) -> World {
    let mut world = World::new();
    let release = release(&world.keys, counter, &model_bytes(counter), None);
    install(&mut world, &release).unwrap();
    assert_eq!(world.active(), Some(counter));
    world
}

#[test]
fn a_release_that_is_brought_is_probed_and_on_trial_like_any_other() {
    let world = committed(5);
    assert_eq!(world.states(), [State::Probing, State::Trial, State::Committed]);
    assert_eq!((world.fetched, world.disk.record.min_counter), (0, 5));
}

#[test]
fn a_release_that_is_brought_keeps_the_rules() {
    let mut world = committed(5);
    let older = release(&world.keys, 4, &model_bytes(4), None);
    install(&mut world, &older).unwrap();
    assert_eq!(world.refused.pop(), Some(Reason::Counter));
    let mut forged = release(&world.keys, 6, &model_bytes(6), None);
    forged.envelope = signed(&forged.manifest, &[&world.keys.deploy[0]]);
    install(&mut world, &forged).unwrap();
    assert_eq!(world.refused.pop(), Some(Reason::Signatures));
    world.model = Model::FailsProbe(Reason::Golden);
    let bad = release(&world.keys, 7, &model_bytes(7), None);
    install(&mut world, &bad).unwrap();
    assert_eq!(world.last(), (State::Failed, Some(Reason::Golden)));
    install(&mut world, &bad).unwrap();
    assert_eq!(world.refused.pop(), Some(Reason::Refused));
    assert_eq!(world.active(), Some(5));
}

#[test]
fn power_cut_before_every_effect_of_an_install_ends_well() {
    for cut in 0.. {
        let mut world = committed(5);
        let newer = release(&world.keys, 6, &model_bytes(6), None);
        world.fuse = Some(cut);
        let was_cut = install(&mut world, &newer).is_err();
        world.fuse = None;
        world.boot().unwrap();
        if world.disk.record.job.is_some() {
            // Nothing ran since the start: the trial ends by its time.
            world.now.mono = Mono(world.now.mono.0 + 700_000_000);
            world.tell(Event::Tick).unwrap();
        }
        assert!(world.disk.record.job.is_none());
        assert!(world.active() == Some(5) || world.active() == Some(6), "cut before {cut}");
        if !was_cut {
            assert_eq!(world.active(), Some(6));
            return;
        }
    }
}

#[test]
fn what_is_taken_back_is_not_taken_again() {
    let mut world = committed(5);
    let newer = release(&world.keys, 6, &model_bytes(6), None);
    install(&mut world, &newer).unwrap();
    world.tell(Event::Rollback).unwrap();
    assert_eq!(world.last(), (State::RolledBack, Some(Reason::Operator)));
    assert_eq!(world.active(), Some(5));
    let deployment = world.publish(9, &newer);
    world.deploy(&deployment).unwrap();
    assert_eq!(world.last(), (State::Rejected, Some(Reason::Refused)));
    world.tell(Event::Rollback).unwrap();
    assert_eq!(world.active(), None, "the shipped one");
    world.refused.clear();
    world.tell(Event::Rollback).unwrap();
    assert_eq!(world.refused, [Reason::Target], "there is nothing before it");
}

const WEEK: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

#[test]
fn a_drift_soon_after_the_trial_goes_back_once() {
    let mut world = committed(5);
    let newer = release(&world.keys, 6, &model_bytes(6), None);
    install(&mut world, &newer).unwrap();
    world.boot().unwrap();
    assert!(world.device.may_roll_back(world.now, WEEK), "the time is kept over a restart");
    let mut later = world.now;
    later.wall = later.wall.plus(WEEK).plus(std::time::Duration::from_secs(1));
    assert!(!world.device.may_roll_back(later, WEEK), "that is too late");
    world.tell(Event::Drifted).unwrap();
    assert_eq!(world.last(), (State::RolledBack, Some(Reason::Drift)));
    assert_eq!(world.active(), Some(5));
    assert!(!world.device.may_roll_back(world.now, WEEK), "5 is not rolled back in its turn");
    let deployment = world.publish(9, &newer);
    world.deploy(&deployment).unwrap();
    assert_eq!(world.last(), (State::Rejected, Some(Reason::Refused)));
}

#[test]
fn a_drift_leaves_alone_what_an_operator_chose_and_what_is_shipped() {
    let mut world = World::new();
    assert!(!world.device.may_roll_back(world.now, WEEK));
    world.tell(Event::Drifted).unwrap();
    assert_eq!(world.active(), None);
    let mut world = committed(5);
    assert!(world.device.may_roll_back(world.now, WEEK));
    let five = world.disk.record.slots.active.clone();
    world.tell(Event::VersionSelected(None)).unwrap();
    world.tell(Event::VersionSelected(five)).unwrap();
    assert!(!world.device.may_roll_back(world.now, WEEK));
}

#[test]
fn what_is_chosen_serves_without_a_trial_and_ends_what_was_under_way() {
    let mut world = committed(5);
    let five = world.disk.record.slots.active.clone();
    world.tell(Event::VersionSelected(None)).unwrap();
    assert_eq!((world.active(), &world.disk.record.slots.previous), (None, &five));
    world.tell(Event::VersionSelected(five)).unwrap();
    assert_eq!((world.active(), &world.disk.record.slots.previous), (Some(5), &None));
    world.boot().unwrap();
    assert_eq!(world.active(), Some(5));
}

#[test]
fn a_gateway_that_is_provisioned_anew_trusts_the_newer_keyset() {
    let mut world = committed(5);
    let old = keys(1);
    let second = signed(
        &keys(20).keyset(2),
        &[&old.release[0], &old.release[1], &keys(20).release[0], &keys(20).release[1]],
    );
    world.tell(Event::Keyset(second)).unwrap();
    let record = world.disk.record.clone();
    let third = signed(&keys(40).keyset(3), &[&keys(40).release[0], &keys(40).release[1]]);
    let device =
        |trust| UpdateMachine::new(super::world::settings(), trust, record.clone()).unwrap();
    assert_eq!(device(old.trust()).trust().keyset().version, 2, "what followed counts");
    let restarted = device(Trust::provisioned(&third).unwrap());
    assert_eq!((restarted.trust().keyset().version, restarted.record().min_counter), (3, 0));
}

#[test]
fn the_last_outcome_is_said_again_after_a_start() {
    let mut world = committed(5);
    world.reports.clear();
    world.boot().unwrap();
    assert_eq!(world.states(), [State::Committed]);
    assert_eq!(world.reports[0].deployment, "local");
}

#[test]
fn a_disk_that_does_not_take_the_chunks_ends_the_update_and_blames_nobody() {
    let mut world = committed(5);
    let newer = release(&world.keys, 6, &model_bytes(6), None);
    let deployment = world.publish(6, &newer);
    let bytes = world.sign(&deployment);
    let mut effects = Vec::new();
    world.device.on(world.now, Event::Deployment(bytes), &mut effects);
    let held = Event::Held { chunks: BTreeSet::new(), files: BTreeSet::new(), room: 1 << 30 };
    world.device.on(world.now, held, &mut effects);
    world.device.on(world.now, Event::StoreFailed, &mut effects);
    let ended = effects.iter().rev().find_map(|effect| match effect {
        Effect::Report(report) => Some((report.state, report.reason)),
        _ => None,
    });
    assert_eq!(ended, Some((State::Failed, Some(Reason::Disk))));
    assert!(world.device.record().refused.is_empty());
}
