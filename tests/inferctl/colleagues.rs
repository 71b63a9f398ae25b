//! Rollouts with gateways that are away, and operators without the record file.

use std::time::Instant;

use serde_json::Value;

use super::fake_gateways::{FakeGateways, GROUP};
use super::{Running, Setup};
use crate::common::PATIENCE;
use crate::inferctl::workspace::Workspace;

const RECORD: &str = "r.rollout";
const TOPIC: &str = "inferd/v1/deploy/group/a/motion";

pub(super) fn start(bundle: &str, more: &[&str]) -> Vec<String> {
    let args = ["rollout", "start", "--model", "motion", "--group", GROUP, "--bundle", bundle];
    let keys = ["--keyset", "keyset-1.json", "--key", "deploy.key", "--record", RECORD];
    [&args[..], &keys, more].concat().into_iter().map(str::to_owned).collect()
}

pub(super) fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Publishes what another gateway has retained; `None` empties it.
pub(super) fn retain(setup: &Setup, topic: &str, payload: Option<&str>) {
    let port = setup.broker.port().to_string();
    let mut args = vec!["-p", &port, "-q", "1", "-r", "-t", topic];
    match payload {
        Some(payload) => args.extend(["-m", payload]),
        None => args.push("-n"),
    }
    assert!(std::process::Command::new("mosquitto_pub").args(args).status().unwrap().success());
}

fn goes_away(setup: &Setup, id: &str) {
    let status = r#"{"v":1,"state":"offline","version":"0.1.0","since":"2026-11-20T08:00:00Z",
        "groups":["a"]}"#;
    retain(setup, &format!("inferd/v1/{id}/status"), Some(status));
}

/// What a spawned `inferctl` has printed so far, once it is as wanted.
pub(super) fn printed(setup: &Setup, out: &str, wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(setup.workspace.folder.path().join(out)).unwrap();
        if wanted(&text) {
            return text;
        }
        assert!(Instant::now() < deadline, "waited in vain; printed so far:\n{text}");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_rollout_names_the_gateways_it_waits_for_and_goes_on_without_them_where_asked() {
    let Some(setup) = Setup::open("an offline gateway") else { return };
    goes_away(&setup, "gw-away");
    let _fakes = FakeGateways::start(setup.broker.port(), 3, |_| "committed");
    let bundle = setup.release(1);
    let waits = start(&bundle, &["--waves", "100%", "--soak", "0s"]);
    let controller = setup.spawn(&strs(&waits), "out");
    let text = printed(&setup, "out", |text| text.contains("waiting for"));
    assert!(text.contains("number") && text.contains("4 gateways, 1 of them offline"), "{text}");
    assert!(
        text.contains(
            "waiting for 1 gateways, 1 of them offline: gw-away (offline since 2026-11-20"
        ),
        "{text}"
    );
    assert!(text.contains("--skip-offline"), "{text}");
    let row = listed(&setup, &[])[0].clone();
    assert_eq!((&row["reached"], &row["committed"]), (&4.into(), &3.into()), "{row}");
    assert_eq!((&row["offline"], &row["course"]), (&1.into(), &"running".into()), "{row}");
    controller.kill();
    // A longer span than it is away waits still; a shorter one does not.
    let mut args = vec!["rollout", "watch", RECORD, "--skip-offline", "90000d", "--json"];
    let waiting = setup.spawn(&args, "waiting");
    let text = printed(&setup, "waiting", |text| text.contains("\"waiting\""));
    let said: Value = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .find(|l: &Value| l["event"] == "waiting")
        .unwrap();
    assert_eq!(said["gateways"][0]["gateway"], "gw-away");
    assert_eq!(said["online"], 0);
    waiting.kill();
    args[4] = "1h";
    let end = setup.run_ok(&args);
    let end: Value = serde_json::from_str(end.lines().last().unwrap()).unwrap();
    assert_eq!((&end["course"], &end["skipped"]), (&"done".into(), &1.into()), "{end}");
    assert_eq!(listed(&setup, &[])[0]["course"], "done");
}

#[test]
fn absent_gateways_alone_do_not_let_the_next_wave_begin() {
    let Some(setup) = Setup::open("all gateways offline") else { return };
    goes_away(&setup, "gw-away");
    let bundle = setup.release(1);
    let args = start(&bundle, &["--waves", "50%,100%", "--soak", "0s", "--skip-offline", "1s"]);
    let controller = setup.spawn(&strs(&args), "out");
    // Whichever wave it is drawn for, its report is waited for.
    printed(&setup, "out", |text| text.contains("1 gateways, 1 of them offline"));
    retain(&setup, "inferd/v1/gw-away/model/motion", Some(&committed(&setup)));
    assert_eq!(controller.ended(), 0);
}

/// A gateway's report that it has committed the rollout under way.
fn committed(setup: &Setup) -> String {
    let row = listed(setup, &[])[0].clone();
    format!(r#"{{"v":1,"state":"committed","deployment":{}}}"#, row["rollout"])
}

fn listed(setup: &Setup, more: &[&str]) -> Vec<Value> {
    let out = setup.run_ok(&[&["rollout", "list", "--json"], more].concat());
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A workspace with copies of the fleet's keys and no record.
pub(super) fn colleague(setup: &Setup) -> Workspace {
    let workspace = Workspace { folder: tempfile::tempdir().unwrap() };
    for file in ["keyset-1.json", "deploy.key"] {
        std::fs::copy(setup.workspace.folder.path().join(file), workspace.folder.path().join(file))
            .unwrap();
    }
    workspace
}

#[test]
fn a_colleague_without_the_record_sees_pauses_and_aborts_a_rollout() {
    let Some(setup) = Setup::open("rollout list, pause NAME, abort NAME") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 8, |_| "committed");
    let url = setup.url();
    assert_eq!(setup.run_ok(&["rollout", "list"]), "the broker retains no rollout\n");
    let bundle = setup.release(1);
    let owner = start(&bundle, &["--waves", "1,100%", "--soak", "1h", "--name", "spring"]);
    let controller = setup.spawn(&strs(&owner), "out");
    printed(&setup, "out", |text| text.contains("wave 1 of 2"));

    let workspace = colleague(&setup);
    let keys = ["--keyset", "keyset-1.json"];
    let list = ["rollout", "list", "--broker", &url];
    let table = workspace.run_ok(&[&list[..], &keys].concat());
    assert!(table.contains("spring") && table.contains("running"), "{table}");
    assert!(table.contains("1 of 2") && !table.contains("not verified"), "{table}");
    let sign = [&keys[..], &["--key", "deploy.key", "--broker", &url, "--json"]].concat();
    let pause = [&["rollout", "pause", "spring"], &sign[..]].concat();
    let said: Value = serde_json::from_str(&workspace.run_ok(&pause)).unwrap();
    assert_eq!(said["course"], "paused");
    assert_eq!(controller.ended(), 0, "its owner's controller pauses");
    assert!(fakes.seen().last().unwrap().hold);
    let held = fakes.seen().len();
    assert_eq!(workspace.run(&pause).code, 0, "it is paused already");
    assert_eq!(fakes.seen().len(), held, "and nothing is published twice");

    // The owner goes on, above the colleague's number; the colleague aborts.
    let settled = setup.run(&["rollout", "resume", RECORD, "--soak", "1s"]);
    assert!(settled.code == 2 && settled.err.contains("settles --soak"), "{}", settled.err);
    let resumed = setup.spawn(&["rollout", "resume", RECORD], "resumed");
    printed(&setup, "resumed", |text| text.contains("wave 1 of 2"));
    let seen = fakes.seen();
    assert!(seen.is_sorted_by(|a, b| a.seq < b.seq) && !seen.last().unwrap().hold);
    let abort = [&["rollout", "abort", "spring"], &sign[..]].concat();
    assert_eq!(
        serde_json::from_str::<Value>(&workspace.run_ok(&abort)).unwrap()["course"],
        "aborted"
    );
    assert_eq!(resumed.ended(), 1, "its owner's controller aborts");
    assert_eq!(setup.run(&["rollout", "resume", RECORD]).code, 1, "an abort is for good");
    assert_eq!(listed(&setup, &keys)[0]["course"], "aborted");
    for verb in ["pause", "abort"] {
        let again = workspace.run(&[&["rollout", verb, "spring"], &sign[..]].concat());
        assert_eq!(again.code, 1, "{verb}");
        assert!(again.err.contains("has ended (aborted)"), "{}", again.err);
    }
    let strange = workspace.run(&[&["rollout", "abort", "autumn"], &sign[..]].concat());
    assert!(strange.err.contains("the rollouts are spring"), "{}", strange.err);
    let neither = workspace.run(&["rollout", "abort", "spring", "--broker", &url]);
    assert!(neither.err.contains("--keyset and --key"), "{}", neither.err);
}

#[test]
fn a_hold_counts_also_where_no_controller_was_at_work() {
    let Some(setup) = Setup::open("pause NAME of a killed controller") else { return };
    let fakes = FakeGateways::start(setup.broker.port(), 4, |_| "committed");
    let bundle = setup.release(1);
    let owner = start(&bundle, &["--waves", "1,100%", "--soak", "1h", "--name", "spring"]);
    let controller: Running = setup.spawn(&strs(&owner), "out");
    printed(&setup, "out", |text| text.contains("wave 1 of 2"));
    controller.kill();
    let sign = ["--keyset", "keyset-1.json", "--key", "deploy.key"];
    setup.run_ok(&[&["rollout", "pause", "spring"], &sign[..]].concat());
    let count = fakes.seen().len();
    let out = setup.run_ok(&["rollout", "watch", RECORD]);
    assert!(out.contains("paused"), "{out}");
    assert_eq!(fakes.seen().len(), count, "the hold stays");
    assert!(super::mosquitto_sub::retained(setup.broker.port(), TOPIC).is_some());
    let withdraw = ["withdraw", "--model", "motion", "--group", GROUP];
    setup.run_ok(&withdraw);
    assert_eq!(setup.run_ok(&["rollout", "list"]), "the broker retains no rollout\n");
    assert!(
        super::mosquitto_sub::retained(setup.broker.port(), "inferd/v1/rollout/group/a/motion")
            .is_none()
    );
}

#[test]
fn pause_and_abort_of_a_rollout_that_has_ended_are_errors() {
    let Some(setup) = Setup::open("pause and abort at the end") else { return };
    let _fakes = FakeGateways::start(setup.broker.port(), 2, |_| "committed");
    let bundle = setup.release(1);
    setup.run_ok(&strs(&start(&bundle, &["--waves", "100%", "--soak", "0s"])));
    for verb in ["pause", "abort"] {
        let ended = setup.run(&["rollout", verb, RECORD]);
        assert_eq!(ended.code, 1, "{verb}: {}", ended.out);
        assert!(ended.err.contains("has ended (done)"), "{}", ended.err);
    }
    let missing = setup.run(&["rollout", "pause", "none.rollout"]);
    assert!(missing.code == 1 && missing.err.contains("no such record file"), "{}", missing.err);
}

#[test]
fn a_retired_gateway_is_forgotten_and_one_that_is_online_is_not() {
    let Some(setup) = Setup::open("fleet forget") else { return };
    goes_away(&setup, "gw-away");
    retain(&setup, "inferd/v1/gw-away/health", Some(r#"{"v":1}"#));
    retain(&setup, "inferd/v1/gw-away/model/motion", Some(r#"{"v":1,"state":"idle"}"#));
    let _fakes = FakeGateways::start(setup.broker.port(), 1, |_| "committed");
    let online = setup.run(&["fleet", "forget", "gw-0"]);
    assert!(online.code == 1 && online.err.contains("gw-0 is online"), "{}", online.err);
    let dry = setup.run_ok(&["fleet", "forget", "gw-away", "--dry-run"]);
    assert_eq!(dry.lines().filter(|line| line.ends_with("would be cleared")).count(), 3, "{dry}");
    assert!(setup.run_ok(&["fleet"]).contains("gw-away"));
    let gone = setup.json(&["fleet", "forget", "gw-away"]);
    assert_eq!(gone["topics"].as_array().unwrap().len(), 3, "{gone}");
    let table = setup.run_ok(&["fleet"]);
    assert!(!table.contains("gw-away") && table.contains("gw-0"), "{table}");
    assert!(setup.run_ok(&["fleet", "forget", "gw-away"]).contains("nothing is retained"));
}

#[test]
fn the_fleet_shows_counters_keysets_and_who_is_behind() {
    let Some(setup) = Setup::open("fleet's versions") else { return };
    for (id, version, counter) in [("gw-1", "1.1.0", 2), ("gw-2", "1.0.0", 1)] {
        let status = r#"{"v":1,"state":"online","groups":["a"]}"#;
        retain(&setup, &format!("inferd/v1/{id}/status"), Some(status));
        let model = format!(
            r#"{{"v":1,"state":"rejected","reason":"counter",
            "active":{{"version":"{version}","digest":"00","counter":{counter}}}}}"#
        );
        retain(&setup, &format!("inferd/v1/{id}/model/motion"), Some(&model));
        let health = r#"{"v":1,"updates":{"motion":{"keyset":3}}}"#;
        retain(&setup, &format!("inferd/v1/{id}/health"), Some(health));
    }
    let table = setup.run_ok(&["fleet"]);
    assert!(table.contains("COUNTER") && table.contains("KEYSET"), "{table}");
    assert!(
        table.contains("motion: 1.1.0 (counter 2) on 1, 1.0.0 (counter 1) on 1; behind: gw-2"),
        "{table}"
    );
    assert!(table.contains("rejected: counter"), "{table}");
    assert!(table.contains("counter: the release's counter is below the one committed"), "{table}");
    // The counter of the next release is one above what the fleet has.
    let made = setup.workspace.pack(&[
        "--counter",
        "next",
        "--broker",
        &setup.url(),
        "--out",
        "next.bundle",
    ]);
    assert_eq!(made["counter"], 3);
    setup.sign("next.bundle");
    let args = start("next.bundle", &["--waves", "100%"]);
    let controller = setup.spawn(&strs(&args), "out");
    printed(&setup, "out", |text| text.contains("wave 1 of 1"));
    controller.kill();
    let made = setup.workspace.pack(&[
        "--counter",
        "next",
        "--broker",
        &setup.url(),
        "--out",
        "more.bundle",
    ]);
    assert_eq!(made["counter"], 4, "what is deployed counts, too");
}

#[test]
fn keys_of_keysets_are_shown_from_files_and_from_the_broker() {
    let Some(setup) = Setup::open("keys show") else { return };
    let workspace = &setup.workspace;
    let shown = |out: &str| -> Vec<Value> {
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let first = shown(&workspace.run_ok(&["keys", "show", "keyset-1.json", "--json"]));
    assert_eq!((&first[0]["keyset"], &first[0]["problem"]), (&1.into(), &Value::Null));
    let bundle = setup.release(1);
    let inspected: Value =
        serde_json::from_str(&workspace.run_ok(&["inspect", &bundle, "--json"])).unwrap();
    assert_eq!(first[0]["release"]["keys"][0]["id"], inspected["claimed_signers"][0]);
    setup.run_ok(&["publish", &bundle, "--keyset", "keyset-1.json"]);
    let retained = shown(&setup.run_ok(&["keys", "show", "--json"]));
    assert_eq!(retained[0]["release"], first[0]["release"]);
    assert_eq!(retained[0]["from"], "inferd/v1/keys/1");
    let twice = setup.workspace.run(&["keys", "show", "keyset-1.json", "keyset-1.json"]);
    assert!(twice.code == 1 && twice.err.contains("does not follow"), "{}", twice.err);
    assert!(workspace.run_ok(&["keys", "show", "keyset-1.json"]).contains("1 of 1"));
    assert_eq!(workspace.run(&["keys", "--out", "x"]).code, 2, "keys to put in are required");
}
