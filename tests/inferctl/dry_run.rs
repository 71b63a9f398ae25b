//! `--dry-run`: every verb that publishes prints what it would publish, and publishes nothing.

use serde_json::Value;

use super::Setup;
use super::fake_gateways::{FakeGateways, GROUP};
use super::mosquitto_sub::{Subscriber, retained};

const KEYS: [&str; 4] = ["--keyset", "keyset-1.json", "--key", "deploy.key"];
const TO: [&str; 4] = ["--model", "motion", "--group", GROUP];

/// The topics that a dry run names, with the number of messages of each.
fn planned(setup: &Setup, args: &[&str]) -> Vec<(String, u64)> {
    let shown = setup.json(&[args, &["--dry-run"]].concat());
    assert_eq!(shown["dry_run"], true, "{shown}");
    let row = |row: &Value| {
        let topic = row["topic"].as_str().unwrap().to_owned();
        (topic, row["messages"].as_u64().unwrap())
    };
    let rows = shown["publish"].as_array().unwrap().iter().map(row);
    // The unsigned state of a rollout is for operators; the subscriber sees what is for gateways.
    rows.filter(|(topic, _)| !topic.starts_with("inferd/v1/rollout/")).collect()
}

fn all(planned: &[(String, u64)]) -> u64 {
    planned.iter().map(|(_, messages)| messages).sum()
}

#[test]
fn what_would_be_published_is_printed_and_nothing_is() {
    let Some(setup) = Setup::open("--dry-run") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 4, |_| "committed");
    let subscriber = Subscriber::of_releases(&setup);
    let (old, new) = (setup.release(1), setup.release(2));
    let folder = setup.workspace.folder.path();
    let topic = format!("inferd/v1/deploy/group/{GROUP}/motion");

    let publish = ["publish", &old, "--keyset", "keyset-1.json"];
    let releases = planned(&setup, &publish);
    assert!(releases.contains(&("inferd/v1/keys/1".to_owned(), 1)), "{releases:?}");
    let start = [&["rollout", "start", "--bundle", &new, "--record", "r"], &TO[..], &KEYS].concat();
    let start = [&start[..], &["--waves", "40%,70%,100%", "--soak", "0s"]].concat();
    let rollout = planned(&setup, &start);
    assert_eq!(rollout.iter().filter(|(at, _)| *at == topic).count(), 3, "{rollout:?}");
    assert!(!folder.join("r").exists() && !folder.join("r.lock").exists(), "there is no record");
    let withdraw = [&["withdraw"], &TO[..]].concat();
    assert_eq!(planned(&setup, &withdraw), [], "nothing is deployed");
    let web = folder.join("web");
    let files = planned(&setup, &[&publish[..], &["--web", "web"]].concat());
    assert!(!web.exists() && files.len() == 6, "{files:?}");
    assert_eq!(subscriber.count(), 0, "nothing was published");

    // The real ones publish as many messages as were said.
    setup.run_ok(&publish);
    assert_eq!(subscriber.count() as u64, all(&releases));
    assert_eq!(planned(&setup, &publish), [], "it is all there");
    let before = subscriber.count();
    let rollout = planned(&setup, &start);
    setup.run_ok(&start);
    assert_eq!((subscriber.count() - before) as u64, all(&rollout));
    let deployed = retained(setup.broker.port(), &topic).unwrap();

    let before = subscriber.count();
    let back = [&["rollback", "--to", &old, "--record", "b"], &TO[..], &KEYS].concat();
    let release = ["--release-key", "release.key", "--key-password-file", "password"];
    let back = [&back[..], &release].concat();
    let went_back = planned(&setup, &back);
    assert_eq!(went_back.last(), Some(&(topic.clone(), 1)));
    assert_eq!(went_back.len(), 2, "the manifest and the deployment: {went_back:?}");
    assert!(!folder.join("motion-1.0.0-counter-3.bundle").exists(), "nothing is released");
    assert_eq!(planned(&setup, &withdraw), [(topic.clone(), 1)]);
    assert_eq!(subscriber.count(), before, "nothing was published");
    assert_eq!(retained(setup.broker.port(), &topic).unwrap(), deployed);
    let text = setup.run_ok(&[&back[..], &["--dry-run"]].concat());
    assert!(text.contains(&topic) && text.ends_with("nothing was published\n"), "{text}");

    // What would be refused is refused by the dry run.
    let strange = [&["rollout", "start", "--bundle", &new, "--record", "s"], &TO[..]].concat();
    let wrong = ["--keyset", "keyset-1.json", "--key", "release.key", "--dry-run"];
    let ended = setup.run(&[&strange[..], &wrong, &["--key-password-file", "password"]].concat());
    assert_eq!(ended.code, 1, "a release key deploys nothing: {}", ended.out);
    drop(fakes);
}

#[test]
fn a_pause_an_abort_and_a_resume_are_printed_and_change_nothing() {
    let Some(setup) = Setup::open("--dry-run of a rollout's state") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 4, |_| "committed");
    let bundle = setup.release(1);
    let topic = format!("inferd/v1/deploy/group/{GROUP}/motion");
    let one = [(topic, 1)];
    let start = [&["rollout", "start", "--bundle", &bundle, "--record", "r"], &TO[..], &KEYS];
    let waves = ["--waves", "1,100%", "--soak", "1h", "--name", "spring"];
    let mut controller = setup.spawn(&[&start.concat()[..], &waves].concat(), "out");
    let deadline = std::time::Instant::now() + crate::common::PATIENCE;
    while fakes.seen().is_empty() {
        assert!(std::time::Instant::now() < deadline, "no wave was started");
    }
    let named = |verb: &'static str| [&["rollout", verb, "spring"], &KEYS[..]].concat();
    for args in [&["rollout", "pause", "r"][..], &named("pause"), &["rollout", "abort", "r"]] {
        assert_eq!(planned(&setup, args), one, "{args:?}");
    }
    let resume = setup.run(&["rollout", "resume", "r", "--dry-run"]);
    assert!(resume.code == 1 && resume.err.contains("another controller"), "{}", resume.err);
    assert!(!controller.is_over() && fakes.seen().len() == 1, "nothing has happened");

    setup.run_ok(&["rollout", "pause", "r"]);
    assert_eq!(controller.ended(), 0);
    assert_eq!(planned(&setup, &["rollout", "pause", "r"]), [], "it is paused");
    assert_eq!(planned(&setup, &named("pause")), [], "it is paused");
    assert_eq!(planned(&setup, &named("abort")), one);
    let both = [one.clone(), one].concat();
    assert_eq!(planned(&setup, &["rollout", "resume", "r"]), both, "this wave and the next");
    let rebuilt = [&named("resume")[..], &["--bundle", &bundle, "--record", "new"]].concat();
    assert_eq!(planned(&setup, &rebuilt), both);
    let folder = setup.workspace.folder.path();
    assert!(!folder.join("new").exists() && !folder.join("new.lock").exists());
    assert_eq!(fakes.seen().len(), 2, "the wave and the hold");
    setup.run_ok(&["rollout", "abort", "r"]);
    let over = setup.run(&["rollout", "resume", "r", "--dry-run"]);
    assert!(over.code == 1 && over.err.contains("has ended (aborted)"), "{}", over.err);
}
