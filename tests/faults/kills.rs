//! `kill -9` at random moments, with the broker there and away: `INFERD_KILLS=1000 cargo test --test
//! tests faults::kills` asks for more than the usual hundred.

use std::time::Duration;

use super::delivery_checker::{DeliveryChecker, nothing_is_wrong};
use super::{aside, ready};
use crate::common::broker::Mosquitto;
use crate::common::cuttable_proxy::CuttableProxy;
use crate::common::gateway::{Gateway, WHOLE, without_window};
use crate::common::skipped;

const KILLS: u32 = 100;
/// What may come twice for a kill: inputs that the broker sends again, results that it had not yet
/// acknowledged, and one batch from the disk.
const TWICE: u64 = 64 + 64 + 256;

#[tokio::test]
async fn no_answer_is_lost_reordered_or_renamed_however_often_the_daemon_is_killed() {
    let Some(broker) = Mosquitto::start("max_inflight_messages 64\n") else {
        return skipped("kills", "mosquitto is not installed");
    };
    let wire = CuttableProxy::to(broker.port()).await;
    let gateway = Gateway::new(wire.port, WHOLE);
    gateway.ship("whole", without_window);
    let mut gateway = ready(gateway).await;
    let Some(mut checker) = DeliveryChecker::start(broker.port()) else { return };
    let kills = std::env::var("INFERD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.u64(1..900))).await;
        if random.u8(..) < 100 {
            // The broker is away for a while: what is in process goes to the disk.
            wire.hold();
            tokio::time::sleep(Duration::from_millis(random.u64(1..400))).await;
            if random.bool() {
                wire.open();
                tokio::time::sleep(Duration::from_millis(random.u64(1..200))).await;
            }
        }
        gateway.kill();
        gateway.skip_notices();
        wire.open();
        gateway.spawn();
    }
    let verdict = aside(move || checker.verdict()).await;
    println!("{kills} kills: {verdict}");
    nothing_is_wrong(&verdict, &gateway);
    assert!(verdict["twice"].as_u64() <= Some(u64::from(kills) * TWICE), "{verdict}");
    assert!(verdict["acknowledged"].as_u64() > Some(u64::from(kills) * 20), "{verdict}");
}
