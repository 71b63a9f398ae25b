//! What older versions left on the disk is taken up.

use std::path::Path;

use flate2::read::GzDecoder;
use inferd::store::{Settings, Store};
use serde_json::Value;

use super::ready;
use super::windows::stream;
use crate::common::broker::Mosquitto;
use crate::common::gateway::{Gateway, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

/// The folder of a daemon of format 2: twenty results of three devices, and 39 of 40 samples of
/// watch-1 in the saved windows of a journaled stream, the last one's time being [`LAST`].
const FORMAT_2: &[u8] = include_bytes!("format-2.tar.gz");
const LAST: i64 = 1_795_000_003_800;

fn unpack(into: &Path) {
    tar::Archive::new(GzDecoder::new(FORMAT_2)).unpack(into).unwrap();
}

#[test]
fn a_store_of_format_2_is_read_and_becomes_one_that_older_programs_refuse() {
    let dir = tempfile::tempdir().unwrap();
    unpack(dir.path());
    let settings = Settings {
        dir: dir.path().to_owned(),
        max_bytes: 64 << 20,
        max_records: 1000,
        reserve_bytes: 0,
    };
    for _ in 0..2 {
        let (mut store, found) = Store::open(&settings).unwrap();
        assert_eq!((found.opened.records, found.quarantined), (20, None));
        let records = store.load(None, 100).unwrap().records;
        assert!(records.iter().map(|record| record.seq.0).eq(1..=20));
        assert_eq!(&*records[6].message.payload, br#"{"id":"old-1-7","replayed":false}"#);
        assert_eq!(store.get("inputs").unwrap().unwrap(), 5u64.to_le_bytes());
        let windows = store.get_windows("windows/motion", |_| None).unwrap().unwrap();
        assert!(windows.base.len() > 39 * 24, "{} bytes of windows", windows.base.len());
        assert_eq!(store.format().unwrap(), 3);
    }
}

#[tokio::test]
async fn a_daemon_on_an_older_store_sends_what_waited_and_goes_on_with_its_windows() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("an older store", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let gateway = Gateway::new(broker.port(), &stream("journal"));
    unpack(&gateway.dir().join("state"));
    let gateway = ready(gateway).await;
    for number in 1..=20 {
        let (topic, text) = peer.next_text().await;
        assert_eq!(topic, format!("predictions/motion/watch-{}", number % 3));
        assert!(text.contains(&format!(r#""id":"old-1-{number}""#)), "{text}");
    }
    let mut sample: Value = serde_json::from_slice(&samples(39, 1)[0]).unwrap();
    sample["ts"] = (LAST + 100).into();
    peer.publish("sensors/watch-1/imu", sample.to_string()).await;
    let (_, text) = peer.next_text().await;
    let prediction: Value = serde_json::from_str(&text).unwrap();
    let time: jiff::Timestamp = prediction["time"].as_str().unwrap().parse().unwrap();
    assert_eq!((time.as_millisecond(), &prediction["device"]), (LAST + 100, &"watch-1".into()));
    drop(gateway);
}
