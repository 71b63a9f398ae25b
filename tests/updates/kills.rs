//! The daemon is killed at every place of an update that the sources name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use inferd::update::machine::State;
use inferd::update::{Deployment, Trial};

use super::fleet::{Change, Fleet, Made, deployment, release, state};
use crate::common::broker::Mosquitto;
use crate::common::cuttable_proxy::CuttableProxy;
use crate::common::{PATIENCE, skipped};

/// Text added to the model: some hundred and fifty chunks, of which four may be lost on the way.
const PADDING: usize = 3 << 20;

#[tokio::test]
async fn killed_at_every_place_an_update_is_committed_and_fetched_once() {
    if !cfg!(debug_assertions) {
        return skipped("kills during an update", "a release build has no named places");
    }
    let Some(broker) = Mosquitto::start("") else {
        return skipped("kills during an update", "mosquitto is not installed");
    };
    let wire = CuttableProxy::to(broker.port()).await;
    let mut fleet = Fleet::on(broker, wire.port).await;
    let places = places();
    assert!(places.len() >= 12, "{places:?}");
    let mut kills: Vec<String> = places.iter().map(|place| format!("{place}:1")).collect();
    // Every write of the record, and a chunk in the middle.
    kills.extend((2..=6).map(|nth| format!("update-saved:{nth}")));
    kills.push("update-kept:60".into());
    let mut worst = 0.0_f64;
    for (number, place) in (1..).zip(kills) {
        let (fetched, size) = update(&mut fleet, &wire, number, &place).await;
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let ratio = fetched as f64 / size as f64;
        println!("{place}: {fetched} bytes for {size}, {ratio:.3}");
        assert!(ratio <= 1.05, "killed at {place}: {fetched} bytes for {size}");
        worst = worst.max(ratio);
    }
    println!("the worst: {worst:.3}");
}

/// Deploys a version, kills the daemon at the place, and sees it committed. Gives the bytes that the
/// broker sent and those of the release.
async fn update(fleet: &mut Fleet, wire: &CuttableProxy, number: u64, place: &str) -> (u64, u64) {
    let version = format!("2.{number}.0");
    let change = Change { padding: PADDING, seed: number, ..Change::default() };
    let made = release(&fleet.keys, &version, number, &change);
    fleet.publish(&made).await;
    let trial = Trial { max_s: 1, ..Trial::default() };
    let wish = Deployment { trial, ..deployment(&made, number) };
    let before = wire.said();
    fleet.gateway.skip_notices();
    // Only a start with an update under way counts it.
    let first = if place.starts_with("update-woken") { "update-kept:9" } else { place };
    fleet.gateway.set("INFERD_CRASH_AT", first);
    fleet.gateway.spawn();
    fleet.deploy(&wish).await;
    crashed(fleet, first).await;
    if first != place {
        fleet.gateway.set("INFERD_CRASH_AT", place);
        fleet.gateway.spawn();
        crashed(fleet, place).await;
    }
    fleet.gateway.set("INFERD_CRASH_AT", "");
    fleet.gateway.spawn();
    let name = wish.deployment.clone();
    let over = |report: &inferd::update::ModelReport| {
        state(report) == Some(State::Committed) && report.deployment.as_ref() == Some(&name)
    };
    let end = fleet.reports(over).await.pop().unwrap();
    assert_eq!(end.active.version, version);
    fleet.gateway.await_health("the daemon's answer", |health| health["v"] == 1);
    assert_eq!(fleet.serving(), version);
    fleet.gateway.kill();
    (wire.said() - before, total(&made))
}

fn total(made: &Made) -> u64 {
    // The card and the golden vectors are partly those of versions that are here.
    made.size()
}

async fn crashed(fleet: &mut Fleet, place: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !fleet.gateway.has_ended() {
        fleet.gateway.skip_notices();
        assert!(Instant::now() < deadline, "{place} was not reached: {}", fleet.gateway.log_end());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The places that the sources name for updates.
fn places() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/daemon/updates");
    let mut places = BTreeSet::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(path).unwrap();
        let calls = text.split("failpoints::point(\"").skip(1);
        places.extend(calls.filter_map(|call| Some(call.split_once('"')?.0.to_owned())));
    }
    places
}
