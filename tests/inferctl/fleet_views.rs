//! What an operator sees.

use serde_json::Value;

use super::Setup;
use super::fake_gateways::{FakeGateways, GROUP};
use crate::common::PATIENCE;

#[test]
fn the_fleet_is_shown_from_what_gateways_have_retained() {
    let Some(setup) = Setup::open("fleet") else { return };
    // More than a broker queues for a client that asks for more than at most once.
    let _fakes = FakeGateways::start(setup.broker.port(), 1500, |_| "committed");
    let fleet = setup.json(&["fleet"]);
    let fleet = fleet.as_array().unwrap();
    assert_eq!(fleet.len(), 1500);
    let first = fleet.iter().find(|gateway| gateway["gateway"] == "gw-0").unwrap();
    assert_eq!(
        (&first["status"]["state"], &first["status"]["groups"][0]),
        (&"online".into(), &GROUP.into())
    );
    assert_eq!(setup.json(&["fleet", "--group", "other"]), Value::Array(Vec::new()));
    let table = setup.run_ok(&["fleet"]);
    assert!(table.starts_with("GATEWAY") && table.ends_with("1500 of 1500 gateways online\n"));
}

#[test]
fn a_fleet_that_is_watched_shows_what_changes() {
    let Some(setup) = Setup::open("fleet --watch") else { return };
    let mut fakes = vec![FakeGateways::start(setup.broker.port(), 1, |_| "committed")];
    let watching = setup.spawn(&["fleet", "--watch", "--json"], "fleet");
    let said = || std::fs::read_to_string(setup.workspace.folder.path().join("fleet")).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !said().contains("gw-0") {
        assert!(std::time::Instant::now() < deadline, "the first gateway is not shown");
    }
    drop(fakes.pop());
    fakes.push(FakeGateways::start(setup.broker.port(), 3, |_| "committed"));
    while !said().contains("gw-2") {
        assert!(std::time::Instant::now() < deadline, "a new gateway is not shown");
    }
    watching.kill();
}

#[test]
fn tail_prints_what_comes() {
    let Some(setup) = Setup::open("tail") else { return };
    let _fakes = FakeGateways::start(setup.broker.port(), 2, |_| "committed");
    let out = setup.run_ok(&["tail", "--daemons", "--count", "2", "--json"]);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines.iter().all(|line| line["payload"]["state"] == "online" && line["retained"] == true)
    );
    let out = setup.run_ok(&["tail", "inferd/v1/gw-1/#", "--count", "1"]);
    assert!(out.starts_with("inferd/v1/gw-1/status {"), "{out}");
}
