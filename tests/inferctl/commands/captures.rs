//! The examples of `inferctl capture pull`, run as they are printed, with a gateway that captures.

use super::printed::Examples;
use super::shell::Shell;
use crate::common::broker::Mosquitto;
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;

/// The verb whose examples are run here.
pub(super) const CAPTURES: [&str; 1] = ["capture pull"];

/// Every input.
const CAPTURE: &str = "[stream.capture]\nmargin = 2.0\n[capture]\nwrite_interval = \"1s\"\n\
                       mqtt = true\n";

#[tokio::test]
async fn the_examples_of_capture_pull_work_as_printed() {
    let Some(broker) = Mosquitto::for_test("the examples of inferctl capture pull") else {
        return;
    };
    let mut gateway = Gateway::new(broker.port(), &format!("{MOTION}{CAPTURE}"));
    gateway.set("INFERD__GATEWAY__GROUPS", "[\"line-a\"]");
    gateway.start();
    gateway.await_notice("subscribed");
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.publish_all("sensors/watch-7/imu", samples(0, 200)).await;
    gateway.await_health("the files", |health| health["capture"]["inputs"] == 17);
    let mut all = Examples::new(Shell::new().with_broker(broker.port()), "inferctl", &CAPTURES);
    all.place("gw-17", "gw-1");
    all.place("--trigger drift", "--trigger margin");
    all.prints("capture pull", "--gateway", "with 17 inputs fetched");
    all.prints("capture pull", "--group", "gw-1: 0 segments with 0 inputs fetched");
    peer.publish_all("sensors/watch-7/imu", samples(200, 100)).await;
    drop(all.spawn("capture pull", "--follow", "inputs fetched"));
    all.done();
    gateway.stop();
}
