//! A power cut at any instant ends in an update that is committed or rolled back.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use super::world::{Disk, Model, World, model_bytes, release};
use super::*;

fn fail_trial() -> Model {
    Model::FailsTrial(TrialStats { runs: 50, errors: 50, ..TrialStats::default() })
}

/// A world with version 1 committed and version 2 published: made once, copied often.
fn updated_once(model: Model) -> (World, Deployment, u64) {
    type Made = (Disk, BTreeMap<(Digest, u32), Vec<u8>>, Deployment, u64);
    static MADE: OnceLock<Made> = OnceLock::new();
    let (disk, network, deployment, size) = MADE.get_or_init(|| {
        let mut world = World::new();
        let first = release(&world.keys, 1, &model_bytes(1), None);
        let deployment = world.publish(2, &first);
        world.deploy(&deployment).unwrap();
        assert_eq!(world.active(), Some(1));
        let second = release(&world.keys, 2, &model_bytes(2), None);
        let size = second.blobs.iter().map(|(blob, _)| blob.len).sum();
        let deployment = world.publish(3, &second);
        (world.disk, world.network, deployment, size)
    });
    let mut world = World::with(keys(1), disk.clone());
    (world.model, world.network) = (model, network.clone());
    world.serving = world.disk.record.slots.active.clone();
    (world, deployment.clone(), *size)
}

/// Pulls the plug before effect `cut`, boots and lets the update end; `false` when there are not
/// that many effects.
fn cut_once(world: &mut World, deployment: &Deployment, cut: usize) -> bool {
    world.fuse = Some(cut);
    let cut = world.deploy(deployment).is_err();
    world.fuse = None;
    world.boot().unwrap();
    // The retained deployment is delivered again with each connection.
    world.deploy(deployment).unwrap();
    cut
}

#[test]
fn cut_before_every_effect_a_good_update_is_committed_and_fetched_once() {
    for cut in 0.. {
        let (mut world, deployment, size) = updated_once(Model::Good);
        let was_cut = cut_once(&mut world, &deployment, cut);
        assert_eq!(world.active(), Some(2), "cut before effect {cut}");
        assert_eq!(world.disk.record.min_counter, 2);
        let bound = size + size / 20;
        assert!(world.fetched <= bound, "cut {cut}: {} bytes of {size}", world.fetched);
        if !was_cut {
            assert!(cut > 150, "{cut} effects");
            return;
        }
    }
}

#[test]
fn cut_before_every_effect_a_bad_model_is_never_left_active() {
    for cut in 0.. {
        let (mut world, deployment, _) = updated_once(fail_trial());
        let was_cut = cut_once(&mut world, &deployment, cut);
        // A model that starts on trial after the cut is judged by what it does then.
        if world.disk.record.job.is_some() {
            world
                .tell(Event::TrialProgress(TrialStats {
                    runs: 50,
                    errors: 50,
                    ..TrialStats::default()
                }))
                .unwrap();
        }
        if !world.disk.record.refused.is_empty() {
            assert_eq!(world.active(), Some(1), "cut before effect {cut}");
            assert_eq!(world.disk.record.min_counter, 1, "the floor rises only at a commit");
        }
        if !was_cut {
            return;
        }
    }
}

#[test]
fn a_model_that_takes_the_gateway_down_is_given_up_after_a_few_tries() {
    let (mut world, deployment, _) = updated_once(Model::Crashes);
    assert!(world.deploy(&deployment).is_err());
    let boots = (0..10).take_while(|_| world.boot().is_err()).count();
    assert_eq!(boots, 3, "the first probe and three more");
    assert_eq!(world.last(), (State::Failed, Some(Reason::Crash)));
    assert_eq!(world.active(), Some(1));
    world.deploy(&deployment).unwrap();
    assert_eq!(world.active(), Some(1), "it is not tried again");
}

#[test]
fn a_trial_that_ends_in_reboots_is_rolled_back() {
    let (mut world, deployment, _) = updated_once(Model::Good);
    // The plug is pulled as soon as the disk says that it is on trial.
    let on_trial =
        |world: &World| world.disk.record.job.as_ref().is_some_and(|job| job.stage == State::Trial);
    let mut cut = 0;
    while !on_trial(&world) {
        cut += 1;
        world = updated_once(Model::Good).0;
        world.fuse = Some(cut);
        assert!(world.deploy(&deployment).is_err(), "there was no trial");
    }
    for tries in 1..=3 {
        world.fuse = Some(1);
        assert!(world.boot().is_err());
        assert_eq!(world.disk.record.job.as_ref().unwrap().tries, tries);
        assert_eq!(world.disk.record.slots.active.as_ref().unwrap().counter, 2);
    }
    world.fuse = None;
    world.boot().unwrap();
    assert_eq!(world.last(), (State::RolledBack, Some(Reason::Crash)));
    assert_eq!(world.active(), Some(1));
}

/// Whoever restarts the service, or upgrades its package, does not stop an update half way.
#[test]
fn a_trial_goes_on_after_any_number_of_stops_in_order() {
    let (mut world, deployment, _) = updated_once(Model::FailsTrial(TrialStats::default()));
    world.patience = Duration::from_secs(1);
    world.deploy(&deployment).unwrap();
    for _ in 0..10 {
        assert!(world.device.is_on_trial());
        world.tell(Event::Stopping).unwrap();
        world.boot().unwrap();
    }
    world.patience = Duration::MAX;
    world.boot().unwrap();
    assert_eq!(world.last(), (State::Committed, None));
    assert_eq!(world.disk.record.job, None);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn cut_again_and_again_it_ends_with_a_version_that_is_whole(
        cuts in proptest::collection::vec(0_usize..120, 0..12), bad in proptest::bool::ANY,
    ) {
        let (mut world, deployment, _) = updated_once(if bad { fail_trial() } else { Model::Good });
        for cut in cuts {
            world.fuse = Some(cut);
            if world.boot().is_ok() {
                _ = world.deploy(&deployment);
            }
        }
        world.fuse = None;
        world.boot().unwrap();
        world.deploy(&deployment).unwrap();
        proptest::prop_assert!(world.disk.record.job.is_none(), "it has ended");
        let active = world.active();
        proptest::prop_assert!(active == Some(1) || active == Some(2));
        proptest::prop_assert_eq!(world.disk.record.min_counter, active.unwrap());
    }
}
