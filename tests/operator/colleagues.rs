//! Rollouts with gateways that are away, and operators without the record file.

use std::time::Instant;

use serde_json::Value;

use super::fakes::{Fakes, GROUP};
use super::{Office, Running};
use crate::common::PATIENCE;
use crate::inferctl::Desk;

const RECORD: &str = "r.rollout";
const TOPIC: &str = "inferd/v1/deploy/group/a/motion";

fn start(bundle: &str, more: &[&str]) -> Vec<String> {
    let args = ["rollout", "start", "--model", "motion", "--group", GROUP, "--bundle", bundle];
    let keys = ["--keyset", "keyset-1.json", "--key", "deploy.key", "--record", RECORD];
    [&args[..], &keys, more].concat().into_iter().map(str::to_owned).collect()
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Publishes what another gateway has retained; `None` empties it.
fn retain(office: &Office, topic: &str, payload: Option<&str>) {
    let port = office.broker.port().to_string();
    let mut args = vec!["-p", &port, "-q", "1", "-r", "-t", topic];
    match payload {
        Some(payload) => args.extend(["-m", payload]),
        None => args.push("-n"),
    }
    assert!(std::process::Command::new("mosquitto_pub").args(args).status().unwrap().success());
}

fn goes_away(office: &Office, id: &str) {
    let status = r#"{"v":1,"state":"offline","version":"0.1.0","since":"2026-11-20T08:00:00Z",
        "groups":["a"]}"#;
    retain(office, &format!("inferd/v1/{id}/status"), Some(status));
}

/// What a spawned `inferctl` has printed so far, once it is as wanted.
fn printed(office: &Office, out: &str, wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(office.desk.folder.path().join(out)).unwrap();
        if wanted(&text) {
            return text;
        }
        assert!(Instant::now() < deadline, "waited in vain; printed so far:\n{text}");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_rollout_names_the_gateways_it_waits_for_and_goes_on_without_them_where_asked() {
    let Some(office) = Office::open("an offline gateway") else { return };
    goes_away(&office, "gw-away");
    let _fakes = Fakes::start(office.broker.port(), 3, |_| "committed");
    let bundle = office.release(1);
    let waits = start(&bundle, &["--waves", "100%", "--soak", "0s"]);
    let controller = office.spawn(&strs(&waits), "out");
    let text = printed(&office, "out", |text| text.contains("waiting for"));
    assert!(text.contains("number") && text.contains("4 gateways, 1 of them offline"), "{text}");
    assert!(
        text.contains(
            "waiting for 1 gateways, 1 of them offline: gw-away (offline since 2026-11-20"
        ),
        "{text}"
    );
    assert!(text.contains("--skip-offline"), "{text}");
    let row = listed(&office, &[])[0].clone();
    assert_eq!((&row["reached"], &row["committed"]), (&4.into(), &3.into()), "{row}");
    assert_eq!((&row["offline"], &row["course"]), (&1.into(), &"running".into()), "{row}");
    controller.kill();
    // A longer span than it is away waits still; a shorter one does not.
    let mut args = vec!["rollout", "watch", RECORD, "--skip-offline", "90000d", "--json"];
    let waiting = office.spawn(&args, "waiting");
    let text = printed(&office, "waiting", |text| text.contains("\"waiting\""));
    let said: Value = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .find(|l: &Value| l["event"] == "waiting")
        .unwrap();
    assert_eq!(said["gateways"][0]["gateway"], "gw-away");
    assert_eq!(said["online"], 0);
    waiting.kill();
    args[4] = "1h";
    let end = office.well(&args);
    let end: Value = serde_json::from_str(end.lines().last().unwrap()).unwrap();
    assert_eq!((&end["course"], &end["skipped"]), (&"done".into(), &1.into()), "{end}");
    assert_eq!(listed(&office, &[])[0]["course"], "done");
}

#[test]
fn absent_gateways_alone_do_not_let_the_next_wave_begin() {
    let Some(office) = Office::open("all gateways offline") else { return };
    goes_away(&office, "gw-away");
    let bundle = office.release(1);
    let args = start(&bundle, &["--waves", "50%,100%", "--soak", "0s", "--skip-offline", "1s"]);
    let controller = office.spawn(&strs(&args), "out");
    // Whichever wave it is drawn for, its report is waited for.
    printed(&office, "out", |text| text.contains("1 gateways, 1 of them offline"));
    retain(&office, "inferd/v1/gw-away/model/motion", Some(&committed(&office)));
    assert_eq!(controller.ended(), 0);
}

/// A gateway's report that it has committed the rollout under way.
fn committed(office: &Office) -> String {
    let row = listed(office, &[])[0].clone();
    format!(r#"{{"v":1,"state":"committed","deployment":{}}}"#, row["rollout"])
}

fn listed(office: &Office, more: &[&str]) -> Vec<Value> {
    let out = office.well(&[&["rollout", "list", "--json"], more].concat());
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A desk with copies of the fleet's keys and no record.
fn colleague(office: &Office) -> Desk {
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    for file in ["keyset-1.json", "deploy.key"] {
        std::fs::copy(office.desk.folder.path().join(file), desk.folder.path().join(file)).unwrap();
    }
    desk
}

#[test]
fn a_colleague_without_the_record_sees_pauses_and_aborts_a_rollout() {
    let Some(office) = Office::open("rollout list, pause NAME, abort NAME") else { return };
    let fakes = Fakes::start(office.broker.port(), 8, |_| "committed");
    let url = office.url();
    assert_eq!(office.well(&["rollout", "list"]), "no rollout is retained on this broker\n");
    let bundle = office.release(1);
    let owner = start(&bundle, &["--waves", "1,100%", "--soak", "1h", "--name", "spring"]);
    let controller = office.spawn(&strs(&owner), "out");
    printed(&office, "out", |text| text.contains("wave 1 of 2"));

    let desk = colleague(&office);
    let keys = ["--keyset", "keyset-1.json"];
    let list = ["rollout", "list", "--broker", &url];
    let table = desk.well(&[&list[..], &keys].concat());
    assert!(table.contains("spring") && table.contains("running"), "{table}");
    assert!(table.contains("1 of 2") && !table.contains("not checked"), "{table}");
    let sign = [&keys[..], &["--key", "deploy.key", "--broker", &url, "--json"]].concat();
    let pause = [&["rollout", "pause", "spring"], &sign[..]].concat();
    let said: Value = serde_json::from_str(&desk.well(&pause)).unwrap();
    assert_eq!(said["course"], "paused");
    assert_eq!(controller.ended(), 0, "its owner's controller pauses");
    assert!(fakes.seen().last().unwrap().hold);
    let held = fakes.seen().len();
    assert_eq!(desk.run(&pause).code, 0, "it is paused already");
    assert_eq!(fakes.seen().len(), held, "and nothing is published twice");

    // The owner goes on, above the colleague's number; the colleague aborts.
    let resumed = office.spawn(&["rollout", "resume", RECORD], "resumed");
    printed(&office, "resumed", |text| text.contains("wave 1 of 2"));
    let seen = fakes.seen();
    assert!(seen.is_sorted_by(|a, b| a.seq < b.seq) && !seen.last().unwrap().hold);
    let abort = [&["rollout", "abort", "spring"], &sign[..]].concat();
    assert_eq!(serde_json::from_str::<Value>(&desk.well(&abort)).unwrap()["course"], "aborted");
    assert_eq!(resumed.ended(), 1, "its owner's controller aborts");
    assert_eq!(office.run(&["rollout", "resume", RECORD]).code, 1, "an abort is for good");
    assert_eq!(listed(&office, &keys)[0]["course"], "aborted");
    for verb in ["pause", "abort"] {
        let again = desk.run(&[&["rollout", verb, "spring"], &sign[..]].concat());
        assert_eq!(again.code, 1, "{verb}");
        assert!(again.err.contains("has ended (aborted)"), "{}", again.err);
    }
    let strange = desk.run(&[&["rollout", "abort", "autumn"], &sign[..]].concat());
    assert!(strange.err.contains("there are spring"), "{}", strange.err);
    let neither = desk.run(&["rollout", "abort", "spring", "--broker", &url]);
    assert!(neither.err.contains("--keyset and --key"), "{}", neither.err);
}

#[test]
fn a_hold_counts_also_where_no_controller_was_at_work() {
    let Some(office) = Office::open("pause NAME of a killed controller") else { return };
    let fakes = Fakes::start(office.broker.port(), 4, |_| "committed");
    let bundle = office.release(1);
    let owner = start(&bundle, &["--waves", "1,100%", "--soak", "1h", "--name", "spring"]);
    let controller: Running = office.spawn(&strs(&owner), "out");
    printed(&office, "out", |text| text.contains("wave 1 of 2"));
    controller.kill();
    let sign = ["--keyset", "keyset-1.json", "--key", "deploy.key"];
    office.well(&[&["rollout", "pause", "spring"], &sign[..]].concat());
    let count = fakes.seen().len();
    let out = office.well(&["rollout", "watch", RECORD]);
    assert!(out.contains("paused"), "{out}");
    assert_eq!(fakes.seen().len(), count, "the hold stays");
    assert!(super::witness::retained(office.broker.port(), TOPIC).is_some());
    let withdraw = ["withdraw", "--model", "motion", "--group", GROUP];
    office.well(&withdraw);
    assert_eq!(office.well(&["rollout", "list"]), "no rollout is retained on this broker\n");
    assert!(
        super::witness::retained(office.broker.port(), "inferd/v1/rollout/group/a/motion")
            .is_none()
    );
}

#[test]
fn pause_and_abort_of_a_rollout_that_has_ended_are_errors() {
    let Some(office) = Office::open("pause and abort at the end") else { return };
    let _fakes = Fakes::start(office.broker.port(), 2, |_| "committed");
    let bundle = office.release(1);
    office.well(&strs(&start(&bundle, &["--waves", "100%", "--soak", "0s"])));
    for verb in ["pause", "abort"] {
        let ended = office.run(&["rollout", verb, RECORD]);
        assert_eq!(ended.code, 1, "{verb}: {}", ended.out);
        assert!(ended.err.contains("has ended (done)"), "{}", ended.err);
    }
    let missing = office.run(&["rollout", "pause", "none.rollout"]);
    assert!(missing.code == 1 && missing.err.contains("no such record file"), "{}", missing.err);
}

#[test]
fn a_retired_gateway_is_forgotten_and_one_that_is_online_is_not() {
    let Some(office) = Office::open("fleet forget") else { return };
    goes_away(&office, "gw-away");
    retain(&office, "inferd/v1/gw-away/health", Some(r#"{"v":1}"#));
    retain(&office, "inferd/v1/gw-away/model/motion", Some(r#"{"v":1,"state":"idle"}"#));
    let _fakes = Fakes::start(office.broker.port(), 1, |_| "committed");
    let online = office.run(&["fleet", "forget", "gw-0"]);
    assert!(online.code == 1 && online.err.contains("gw-0 is online"), "{}", online.err);
    let dry = office.well(&["fleet", "forget", "gw-away", "--dry-run"]);
    assert_eq!(dry.lines().filter(|line| line.ends_with("would be emptied")).count(), 3, "{dry}");
    assert!(office.well(&["fleet"]).contains("gw-away"));
    let gone = office.json(&["fleet", "forget", "gw-away"]);
    assert_eq!(gone["topics"].as_array().unwrap().len(), 3, "{gone}");
    let table = office.well(&["fleet"]);
    assert!(!table.contains("gw-away") && table.contains("gw-0"), "{table}");
    assert!(office.well(&["fleet", "forget", "gw-away"]).contains("nothing is retained"));
}

#[test]
fn the_fleet_shows_counters_keysets_and_who_is_behind() {
    let Some(office) = Office::open("fleet's versions") else { return };
    for (id, version, counter) in [("gw-1", "1.1.0", 2), ("gw-2", "1.0.0", 1)] {
        let status = r#"{"v":1,"state":"online","groups":["a"]}"#;
        retain(&office, &format!("inferd/v1/{id}/status"), Some(status));
        let model = format!(
            r#"{{"v":1,"state":"rejected","reason":"counter","active":{{"version":"{version}","digest":"00","counter":{counter}}}}}"#
        );
        retain(&office, &format!("inferd/v1/{id}/model/motion"), Some(&model));
        let health = r#"{"v":1,"updates":{"motion":{"keyset":3}}}"#;
        retain(&office, &format!("inferd/v1/{id}/health"), Some(health));
    }
    let table = office.well(&["fleet"]);
    assert!(table.contains("COUNTER") && table.contains("KEYSET"), "{table}");
    assert!(
        table.contains("motion: 1.1.0 (counter 2) on 1, 1.0.0 (counter 1) on 1; behind: gw-2"),
        "{table}"
    );
    assert!(table.contains("rejected: counter"), "{table}");
    assert!(table.contains("counter: the release's counter is below the one committed"), "{table}");
    // The counter of the next release is one above what the fleet has.
    let made =
        office.desk.pack(&["--counter", "next", "--broker", &office.url(), "--out", "next.bundle"]);
    assert_eq!(made["counter"], 3);
    office.sign("next.bundle");
    let args = start("next.bundle", &["--waves", "100%"]);
    let controller = office.spawn(&strs(&args), "out");
    printed(&office, "out", |text| text.contains("wave 1 of 1"));
    controller.kill();
    let made =
        office.desk.pack(&["--counter", "next", "--broker", &office.url(), "--out", "more.bundle"]);
    assert_eq!(made["counter"], 4, "what is deployed counts, too");
}

#[test]
fn keys_of_keysets_are_shown_from_files_and_from_the_broker() {
    let Some(office) = Office::open("keys show") else { return };
    let desk = &office.desk;
    let shown = |out: &str| -> Vec<Value> {
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let first = shown(&desk.well(&["keys", "show", "keyset-1.json", "--json"]));
    assert_eq!((&first[0]["keyset"], &first[0]["problem"]), (&1.into(), &Value::Null));
    let bundle = office.release(1);
    let inspected: Value =
        serde_json::from_str(&desk.well(&["inspect", &bundle, "--json"])).unwrap();
    assert_eq!(first[0]["release"]["keys"][0]["id"], inspected["claimed_signers"][0]);
    office.well(&["publish", &bundle, "--keyset", "keyset-1.json"]);
    let retained = shown(&office.well(&["keys", "show", "--json"]));
    assert_eq!(retained[0]["release"], first[0]["release"]);
    assert_eq!(retained[0]["from"], "inferd/v1/keys/1");
    let twice = office.desk.run(&["keys", "show", "keyset-1.json", "keyset-1.json"]);
    assert!(twice.code == 1 && twice.err.contains("does not follow"), "{}", twice.err);
    assert!(desk.well(&["keys", "show", "keyset-1.json"]).contains("1 of 1"));
    assert_eq!(desk.run(&["keys", "--out", "x"]).code, 2, "keys to put in are required");
}
