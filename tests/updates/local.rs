//! Releases brought as files, and versions taken back, at the gateway itself.

use std::fs;

use inferd::update::machine::State;
use serde_json::Value;

use super::fleet::{Change, Fleet, Keys, Made, release, state};
use crate::common::broker::free_port;
use crate::common::gateway::{Gateway, MOTION};

/// `inferd install` of a release: its answer, or what it complained of.
fn install(gateway: &Gateway, made: &Made) -> Result<Value, String> {
    let file = gateway.dir().join(format!("{}.bundle", made.version));
    fs::write(&file, &made.packed).unwrap();
    let output = gateway.command(&["install", file.to_str().unwrap(), "--json"]);
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    assert_eq!(output.status.code(), Some(1));
    Err(String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_file_is_installed_and_taken_back_by_the_same_rules() {
    let Some(mut fleet) = Fleet::start("local orders").await else { return };
    fleet.gateway.start();
    let made = |version, counter, change: &Change| release(&fleet.keys, version, counter, change);
    let good = made("2.0.0", 5, &Change { padding: 300_000, ..Change::default() });
    let golden = made("2.1.0", 6, &Change { fails_golden: true, ..Change::default() });
    let raw = made("2.1.1", 6, &Change { not_normalized: true, ..Change::default() });
    let foreign = Change { arch: vec!["riscv64".into()], ..Change::default() };
    let foreign = made("2.0.1", 6, &foreign);
    let older = made("1.9.0", 4, &Change::default());
    let strange = release(&Keys::of(50), "3.0.0", 9, &Change::default());
    let mut altered = made("2.2.0", 7, &Change::default());
    // In the model, the last of the files.
    let at = altered.packed.len() - 4000;
    altered.packed[at] ^= 1;

    let refused = |made, why: &str| {
        let told = install(&fleet.gateway, made).unwrap_err();
        assert!(told.contains(why), "{told}");
        assert_eq!(fleet.serving(), "1.0.0");
    };
    refused(&strange, "0 of the 1 release signatures");
    refused(&altered, "is not the file in the manifest");
    refused(&foreign, "requires the processor riscv64, and this is ");
    refused(&golden, "golden vectors");
    refused(&golden, "failed here before");
    refused(&raw, "golden samples");
    let answer = install(&fleet.gateway, &good).unwrap();
    assert_eq!((&answer["version"], &answer["state"]), (&"2.0.0".into(), &"trial".into()));
    assert_eq!(fleet.serving(), "2.0.0");
    let told = install(&fleet.gateway, &made("2.3.0", 8, &Change::default())).unwrap_err();
    assert!(told.contains("on trial"), "{told}");
    fleet.reports(|report| state(report) == Some(State::Trial)).await;

    fleet.gateway.kill();
    fleet.gateway.start();
    assert_eq!(fleet.serving(), "2.0.0", "on trial still");
    let back = fleet.gateway.ask(&["rollback", "motion"]);
    assert_eq!((&back["from"], &back["to"]), (&"2.0.0".into(), &Value::Null));
    assert_eq!(fleet.serving(), "1.0.0");
    let nothing = fleet.gateway.command(&["rollback", "motion"]);
    assert_eq!(nothing.status.code(), Some(1));
    let told = install(&fleet.gateway, &good).unwrap_err();
    assert!(told.contains("was rolled back"), "{told}");
    // Nothing was committed, so the older release is not below the floor.
    assert_eq!(install(&fleet.gateway, &older).unwrap()["version"], "1.9.0");

    // An operator at the gateway activates another version: no trial, and a kill changes nothing.
    let used = fleet.gateway.ask(&["models", "use", "motion", "shipped"]);
    assert_eq!(used, serde_json::json!({"streams": 1, "windows_kept": 1}));
    fleet.gateway.kill();
    fleet.gateway.start();
    assert_eq!(fleet.serving(), "1.0.0");
    let back = fleet.gateway.ask(&["models"]);
    let rows = back["models"].as_array().unwrap();
    let previous = rows.iter().find(|row| row["slot"] == "previous").unwrap();
    let digest = previous["digest"].as_str().unwrap();
    fleet.gateway.ask(&["models", "use", "motion", &digest[..8]]);
    assert_eq!(fleet.serving(), "1.9.0");
    fleet.gateway.stop();
}

#[test]
fn without_a_keyset_nothing_can_be_installed_and_the_command_says_so() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    gateway.start();
    let made = release(&Keys::of(1), "2.0.0", 1, &Change::default());
    let told = install(&gateway, &made).unwrap_err();
    assert!(told.contains("updates.keyset"), "{told}");
    let help = gateway.command(&["rollback", "motion"]);
    assert_eq!(help.status.code(), Some(1));
    gateway.stop();
}
