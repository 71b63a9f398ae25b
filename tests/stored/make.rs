//! Makes the state that the test beside it opens.

use std::fs::File;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use inferd::update::machine::State;
use inferd::update::{Deployment, Trial};

use super::{LONG, SHORT, STREAMS, recorded, version_in};
use crate::common::broker::Mosquitto;
use crate::common::cuttable_proxy::CuttableProxy;
use crate::common::mqtt_client::MqttClient;
use crate::updates::fleet::{Change, Fleet, deployment, release, state};

/// Beyond what one connection of the broker leaves unacknowledged here.
const BROKER: &str = "max_inflight_messages 1000\n";

#[tokio::test]
#[ignore = "writes tests/stored/state-new.tar.gz; see README.md there"]
async fn make_the_state() {
    let broker = Mosquitto::start(BROKER).expect("mosquitto is not installed");
    let port = broker.port();
    let wire = wire_to(port);
    let mut fleet = Fleet::on(broker, wire.port).await;
    fleet.gateway.configure(wire.port, STREAMS);
    fleet.gateway.start();
    fleet.gateway.await_notice("subscribed");
    for (seq, version) in [(1, "2.0.0"), (2, "3.0.0")] {
        let made = release(&fleet.keys, version, seq + 1, &Change::default());
        fleet.publish(&made).await;
        let trial = Trial { max_s: 1, ..Trial::default() };
        fleet.deploy(&Deployment { trial, ..deployment(&made, seq) }).await;
        let end = fleet.ends(&format!("motion-{version}")).await;
        assert_eq!(state(&end), Some(State::Committed));
    }
    assert_eq!(version_in(&fleet.gateway, "previous"), "2.0.0");

    // The broker goes on sending samples, and receives nothing of the daemon.
    wire.deafen();
    let mut sensor = MqttClient::connect(port, "sensor").await;
    for (topic, count) in [
        ("sensors/watch-1/imu", LONG),
        ("sensors/watch-2/imu", SHORT),
        ("saved/watch-3/imu", SHORT),
    ] {
        sensor.publish_all(topic, recorded(0, count)).await;
    }
    fleet.gateway.await_health("the samples", |health| {
        health["streams"]["journaled"]["samples"] == LONG + SHORT
            && health["streams"]["saved"]["samples"] == SHORT
    });
    fleet.gateway.stop();
    println!("{}", fleet.gateway.log_end());
    pack(&fleet.gateway.dir().join("state"));
}

/// A proxy on a thread of its own: the test waits for the daemon without leaving its thread.
fn wire_to(port: u16) -> CuttableProxy {
    let (ready, wire) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            ready.send(CuttableProxy::to(port).await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    wire.recv().unwrap()
}

fn pack(state: &Path) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored/state-new.tar.gz");
    let gzip = GzEncoder::new(File::create(path).unwrap(), Compression::best());
    let mut archive = tar::Builder::new(gzip);
    archive.append_dir_all(".", state).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
}
