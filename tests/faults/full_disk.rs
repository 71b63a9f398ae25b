//! The daemon on a disk that fills up at each step: it goes on, counts what it could not store, and
//! stores again when there is room.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::aside;
use crate::common::broker::Mosquitto;
use crate::common::cuttable_proxy::CuttableProxy;
use crate::common::disk::SmallDisk;
use crate::common::gateway::{Gateway, without_window};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

/// Inputs that come while the broker does not hear of results.
const INPUTS: usize = 600;

/// Inputs without acknowledgements: nothing holds them back, and little waits in memory.
const LOOSE: &str = r#"
[outbox]
memory_records = 32
[workers]
queue = 4096
[[stream]]
name = "whole"
model = "whole"
topic = "inputs/{device}"
qos = 0
payload = { format = "f32le" }
[stream.publish]
topic = "predictions/{device}"
"#;

struct Scene {
    // The daemon ends before its disk goes.
    gateway: Gateway,
    disk: SmallDisk,
    wire: CuttableProxy,
    peer: MqttClient,
    /// The broker is not to go before all of them.
    _broker: Mosquitto,
}

impl Scene {
    async fn set() -> Option<Self> {
        let Some(broker) = Mosquitto::start("") else {
            skipped("a full disk below the daemon", "mosquitto is not installed");
            return None;
        };
        let wire = CuttableProxy::to(broker.port()).await;
        let mut gateway = Gateway::new(wire.port, LOOSE);
        gateway.ship("whole", without_window);
        gateway.set("INFERD__STORE__RESERVE_BYTES", "0");
        let disk = SmallDisk::mount_at(&gateway.dir().join("state"), 12)?;
        let mut peer = MqttClient::connect(broker.port(), "peer").await;
        peer.subscribe("predictions/#").await;
        Some(Self { gateway, disk, wire, peer, _broker: broker })
    }

    async fn start(mut self) -> Self {
        aside(move || {
            self.gateway.skip_notices();
            self.gateway.start();
            self.gateway.await_notice("subscribed");
            self
        })
        .await
    }

    async fn health(
        self,
        what: &'static str,
        wanted: impl Fn(&Value) -> bool + Send + 'static,
    ) -> Self {
        aside(move || {
            self.gateway.await_health(what, wanted);
            self
        })
        .await
    }

    async fn ask(&self, names: impl Iterator<Item = usize>) {
        for name in names {
            self.peer.publish_once(&format!("inputs/n{name}"), &"\0".repeat(960)).await;
        }
    }

    /// Asks on, under names from `first`, until results are on the disk; gives the number of inputs.
    async fn ask_until_stored(&self, first: usize) -> usize {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut asked = 0;
        while waiting(&self.gateway.ask(&["status"])["health"]) <= 100 {
            assert!(Instant::now() < deadline, "nothing is stored though there is room");
            self.ask(first + asked..first + asked + 20).await;
            asked += 20;
        }
        asked
    }

    /// The names of the inputs answered next.
    async fn answers(&mut self, count: usize) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        while names.len() < count {
            let (topic, _) = self.peer.next_text().await;
            assert!(names.insert(topic.clone()), "{topic} came twice");
        }
        names
    }
}

fn waiting(health: &Value) -> u64 {
    health["queue"]["disk"]["records"].as_u64().unwrap_or(0)
}

fn lost(health: &Value) -> u64 {
    let reasons = health["queue"]["lost"]["whole"].as_object();
    reasons.into_iter().flat_map(|reasons| reasons.values()).filter_map(Value::as_u64).sum()
}

#[tokio::test]
async fn a_full_disk_costs_what_it_could_not_store_counted_and_nothing_else() {
    let Some(scene) = Scene::set().await else { return };
    let mut scene = scene.start().await;
    let filler = scene.disk.fill();
    scene.ask(0..50).await;
    scene.answers(50).await;
    // Results pile up, and there is no place for them.
    scene.wire.deafen();
    scene.ask(100..100 + INPUTS).await;
    let taken = |health: &Value| health["streams"]["whole"]["predictions"] == 50 + INPUTS;
    let mut scene = scene.health("all results", taken).await;
    scene = scene.health("losses", |health| lost(health) > 0).await;
    // Room again: what keeps coming is stored without anybody's help.
    fs::remove_file(filler).unwrap();
    let asked = INPUTS + scene.ask_until_stored(1000).await;
    let taken = move |health: &Value| health["streams"]["whole"]["predictions"] == 50 + asked;
    scene = scene.health("all results", taken).await;
    // Full again while they are sent and go from the disk.
    let filler = scene.disk.fill();
    scene.wire.cut();
    let is_sent = |health: &Value| waiting(health) == 0 && health["queue"]["memory_records"] == 0;
    let mut scene = scene.health("all results sent", is_sent).await;
    let lost = lost(&scene.gateway.ask(&["status"])["health"]);
    println!("{lost} of {asked} results lost");
    scene.answers(asked - usize::try_from(lost).unwrap()).await;
    scene.ask(0..50).await;
    scene.answers(50).await;
    fs::remove_file(filler).unwrap();
    scene.health("an empty queue", |health| waiting(health) == 0).await;
}

#[tokio::test]
async fn a_daemon_that_starts_on_a_full_disk_works_and_stores_when_there_is_room() {
    let Some(scene) = Scene::set().await else { return };
    let filler = scene.disk.fill();
    let mut scene = scene.start().await;
    scene.ask(0..50).await;
    scene.answers(50).await;
    fs::remove_file(filler).unwrap();
    scene = scene.health("a store", |health| health["queue"]["disk"].is_object()).await;
    scene.wire.deafen();
    scene.ask(100..100 + INPUTS).await;
    scene = scene.health("results on disk", |health| waiting(health) > 100).await;
    // Nothing of what is there goes by a stop for which there is no room.
    let filler = scene.disk.fill();
    scene.gateway.kill();
    fs::remove_file(filler).unwrap();
    let mut scene = scene.start().await;
    assert!(scene.answers(100).await.len() >= 100);
}
