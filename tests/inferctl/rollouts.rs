//! Waves on a real broker, counted by another's client.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::fake_gateways::{FakeGateways, GROUP};
use super::mosquitto_sub::{Subscriber, empty, retained};
use super::{Running, Setup};
use crate::common::PATIENCE;

const RECORD: &str = "r.rollout";

fn start<'a>(bundle: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["rollout", "start", "--model", "motion", "--group", GROUP, "--bundle", bundle];
    let keys = ["--keyset", "keyset-1.json", "--key", "deploy.key", "--record", RECORD];
    [&args[..], &keys, more].concat()
}

fn events(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn each_wave_is_one_retained_message_whatever_the_size_of_the_fleet() {
    let Some(setup) = Setup::open("waves") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 300, |_| "committed");
    let subscriber = Subscriber::of_deployments(&setup);
    let bundle = setup.release(1);
    let waves = ["--waves", "2,20%,100%", "--soak", "300ms", "--json"];
    let ended = events(&setup.run_ok(&start(&bundle, &waves)));
    let of = |event: &str| ended.iter().filter(|e| e["event"] == event).count();
    assert_eq!((of("published"), of("ended"), of("end")), (3, 300, 1));
    assert_eq!(ended.last().unwrap()["course"], "done");
    assert_eq!(subscriber.count(), 3, "one message a wave");
    let seen = fakes.seen();
    assert!(seen.is_sorted_by(|a, b| a.percent < b.percent && a.seq < b.seq));
    assert_eq!(seen.last().unwrap().percent, 100.0);
    assert!(retained(setup.broker.port(), "inferd/v1/deploy/group/a/motion").is_some());
    // A record is used once.
    assert!(setup.run(&start(&bundle, &waves)).err.contains("already exists"));
    setup.run_ok(&["rollout", "watch", RECORD]);
    assert_eq!(subscriber.count(), 3, "a rollout that is done publishes nothing");
}

#[test]
fn too_many_failures_hold_the_rest_back() {
    let Some(setup) = Setup::open("abort") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 200, |i| {
        if i % 3 == 0 { "rolled-back" } else { "committed" }
    });
    let subscriber = Subscriber::of_deployments(&setup);
    let bundle = setup.release(1);
    let waves = ["--waves", "30,100%", "--soak", "1s", "--min-reports", "20"];
    let ended = setup.run(&start(&bundle, &waves));
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
    assert!(ended.err.contains("aborted"), "{}", ended.err);
    assert!(ended.out.contains("rolled-back (slow)"), "{}", ended.out);
    // The gateways may still be at their reports when the controller has gone.
    wait_until("the hold", || fakes.seen().len() > 1);
    let seen = fakes.seen();
    assert_eq!((seen.len(), subscriber.count()), (2, 2), "a wave and a hold");
    assert!(seen[1].hold && seen[1].seq > seen[0].seq && seen[1].percent == seen[0].percent);
    assert_eq!(setup.run(&["rollout", "resume", RECORD]).code, 1, "an abort is for good");
    assert_eq!(subscriber.count(), 2);
}

#[test]
fn a_controller_killed_at_any_moment_goes_on_without_skipping_or_repeating_a_wave() {
    let Some(setup) = Setup::open("kill -9 of a controller") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 60, |_| "committed");
    let subscriber = Subscriber::of_deployments(&setup);
    let bundle = setup.release(1);
    let waves = ["--waves", "2,5,10,20,40,100%", "--soak", "700ms"];
    let mut running = setup.spawn(&start(&bundle, &waves), "out");
    let mut random = fastrand::Rng::with_seed(7);
    let (mut kills, record) = (0, setup.workspace.folder.path().join(RECORD));
    wait_until("the record", || record.exists());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let until = Instant::now() + Duration::from_millis(random.u64(0..2500));
        while Instant::now() < until && !running.is_over() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        if running.is_over() {
            break;
        }
        running.kill();
        kills += 1;
        assert!(Instant::now() < deadline, "the rollout makes no progress over {kills} kills");
        running = setup.spawn(&["rollout", "watch", RECORD], "out");
    }
    assert_eq!(running.ended(), 0);
    let seen = fakes.seen();
    assert_eq!(seen.len(), 6, "after {kills} kills: {:?}", percents(&seen));
    assert_eq!(subscriber.count(), 6, "after {kills} kills");
    assert!(seen.is_sorted_by(|a, b| a.percent < b.percent && a.seq < b.seq));
    assert!(kills >= 3, "only {kills} kills");
}

fn percents(seen: &[inferd::update::Deployment]) -> Vec<f64> {
    seen.iter().map(|deployment| deployment.percent).collect()
}

#[test]
fn what_was_signed_and_not_published_is_published_by_the_next_controller_to_the_byte() {
    let Some(setup) = Setup::open("killed between record and broker") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 8, |_| "committed");
    let bundle = setup.release(1);
    let controller = setup.spawn(&start(&bundle, &["--waves", "1,100%", "--soak", "1h"]), "out");
    wait_until("the first wave", || fakes.seen().len() == 1);
    controller.kill();
    let (topic, port) = ("inferd/v1/deploy/group/a/motion", setup.broker.port());
    let first = retained(port, topic).unwrap();
    // As if it had been killed a moment before.
    empty(port, topic);
    let path = setup.workspace.folder.path().join(RECORD);
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["sent"]["taken"] = false.into();
    std::fs::write(&path, record.to_string()).unwrap();
    let next = setup.spawn(&["rollout", "watch", RECORD], "out");
    wait_until("the wave again", || fakes.seen().len() == 2);
    assert_eq!(retained(port, topic).unwrap(), first);
    next.kill();
}

#[test]
fn a_broker_that_restarts_is_waited_for() {
    let broker = "persistence true\n";
    let Some(mut setup) = Setup::open_with("a broker restarts", broker) else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 8, |_| "committed");
    let bundle = setup.release(1);
    let controller = setup.spawn(&start(&bundle, &["--waves", "1,100%", "--soak", "5s"]), "out");
    wait_until("the first wave", || fakes.seen().len() == 1);
    let first = fakes.seen();
    drop(fakes);
    setup.broker.stop();
    setup.broker.run();
    let fakes = FakeGateways::start(setup.broker.port(), 8, |_| "committed");
    assert_eq!(controller.ended(), 0);
    let seen = fakes.seen();
    assert_eq!(seen.len(), 2, "the wave that was retained, and the last: {:?}", percents(&seen));
    assert_eq!(seen[0], first[0]);
}

#[test]
fn a_record_has_one_controller_which_others_may_tell_to_pause() {
    let Some(setup) = Setup::open("pause and resume") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 8, |_| "committed");
    let bundle = setup.release(1);
    let waves = ["--waves", "1,100%", "--soak", "1h"];
    let controller = setup.spawn(&start(&bundle, &waves), "out");
    wait_until("the first wave", || fakes.seen().len() == 1);
    let second = setup.run(&["rollout", "watch", RECORD]);
    assert_eq!(second.code, 1);
    assert!(second.err.contains("another controller"), "{}", second.err);
    let paused = setup.json(&["rollout", "pause", RECORD]);
    assert_eq!(paused["course"], "paused");
    assert_eq!(controller.ended(), 0, "it was told");
    wait_until("the hold", || fakes.seen().len() == 2);
    assert!(fakes.seen()[1].hold);
    // Nobody is at work now: resuming takes control, aborting while it is at work tells it.
    let resumed = setup.spawn(&["rollout", "resume", RECORD], "out");
    wait_until("the wave again", || fakes.seen().len() == 3);
    assert!(!fakes.seen()[2].hold && fakes.seen()[2].percent == fakes.seen()[0].percent);
    assert_eq!(setup.json(&["rollout", "abort", RECORD])["course"], "aborted");
    assert_eq!(resumed.ended(), 1);
    wait_until("the last hold", || fakes.seen().len() == 4);
}

#[test]
fn a_withdrawn_rollout_is_not_brought_back_by_its_controller() {
    let Some(setup) = Setup::open("withdraw") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 8, |_| "committed");
    let bundle = setup.release(1);
    let mut controller: Running =
        setup.spawn(&start(&bundle, &["--waves", "1,100%", "--soak", "1h"]), "out");
    wait_until("the first wave", || fakes.seen().len() == 1);
    assert!(!controller.is_over());
    let withdraw = ["withdraw", "--model", "motion", "--group", GROUP];
    assert_eq!(setup.json(&withdraw)["withdrawn"], true);
    assert_eq!(controller.ended(), 1);
    assert_eq!(retained(setup.broker.port(), "inferd/v1/deploy/group/a/motion"), None);
    assert_eq!(setup.json(&withdraw)["withdrawn"], false);
    assert_eq!(setup.run(&["rollout", "watch", RECORD]).code, 1);
    assert_eq!(fakes.seen().len(), 1, "nothing more was published");
}

#[test]
fn a_later_rollout_has_higher_numbers_and_ends_the_one_before() {
    let Some(setup) = Setup::open("numbers") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 4, |_| "committed");
    let first = setup.release(1);
    let controller = setup.spawn(&start(&first, &["--waves", "1,100%", "--soak", "1h"]), "out");
    wait_until("the first wave", || fakes.seen().len() == 1);
    let second = setup.release(2);
    let mut args = start(&second, &["--waves", "100%", "--soak", "0s"]);
    let record = args.iter().position(|arg| *arg == RECORD).unwrap();
    args[record] = "second.rollout";
    setup.run_ok(&args);
    assert_eq!(controller.ended(), 1, "another deployment counts now");
    let seen = fakes.seen();
    assert!(seen.len() == 2 && seen[1].seq > seen[0].seq);
}

#[test]
fn going_back_is_the_old_bytes_under_a_higher_counter() {
    let Some(setup) = Setup::open("rollback") else { return };
    let _fakes = FakeGateways::start(setup.broker.port(), 4, |_| "committed");
    let (old, new) = (setup.release(1), setup.release(2));
    setup.run_ok(&start(&new, &["--waves", "100%", "--soak", "0s"]));
    let back = ["rollback", "--model", "motion", "--group", GROUP, "--to", &old];
    let keys = ["--keyset", "keyset-1.json", "--key", "deploy.key", "--record", "back.rollout"];
    let back = [&back[..], &keys].concat();
    let refused = setup.run(&back);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("inferctl pack motion-1.bundle --counter 3"), "{}", refused.err);
    let release = ["--release-key", "release.key", "--key-password-file", "password"];
    let out = setup.run_ok(&[&back[..], &release].concat());
    assert!(out.contains("counter 3"), "{out}");
    let shown = |bundle: &str| -> Value {
        let out = setup.workspace.run_ok(&["inspect", bundle, "--json"]);
        serde_json::from_str::<Value>(&out).unwrap()["manifest"].take()
    };
    let made = std::fs::read_dir(setup.workspace.folder.path()).unwrap().find_map(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        name.contains("counter-3").then_some(name)
    });
    let (again, old) = (shown(&made.unwrap()), shown(&old));
    assert_eq!((&again["files"], &again["counter"]), (&old["files"], &3.into()));
}
