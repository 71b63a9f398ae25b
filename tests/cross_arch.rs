//! The same answer on every processor: the daemon under test, which may be another target's under an
//! emulator (`INFERD_TEST_PROGRAM`), against the engine in this process, bit for bit.

use std::path::Path;
use std::sync::Arc;

use inferd::engine::{LoadOptions, Model};
use inferd::npz;
use inferd::tensor::{Data, Tensor};
use serde_json::Value;

use crate::common::broker::Broker;
use crate::common::gateway::Gateway;
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

const KWS: &str = r#"
[[stream]]
name = "kws"
model = "kws"
topic = "sensors/{device}/kws"
payload = { format = "i8" }
guarantee = "at-least-once"
[stream.publish]
topic = "predictions/{device}"
"#;

const CARD: &str = include_str!("models/kws.toml");

/// Reference inputs that are sent.
const RUNS: usize = 8;

#[tokio::test]
async fn a_spoken_word_is_the_same_bits_on_every_processor() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models/mlperf-tiny");
    let Ok(onnx) = std::fs::read(folder.join("kws_int8.onnx")) else {
        return skipped("the same bits", "../shared/models/mlperf-tiny is absent");
    };
    let mut arrays =
        npz::read(&std::fs::read(folder.join("kws_int8.ref.npz")).unwrap(), 1 << 30).unwrap();
    let Data::I8(inputs) = arrays.remove("x").unwrap().data else { panic!("int8 inputs") };
    let mut session = Arc::new(Model::load(&onnx, &LoadOptions::default()).unwrap()).session();
    let shape = session.model().inputs()[0].shape.clone();
    let output = session.model().outputs()[0].clone();
    let quant = output.quant.expect("a quantized output");
    let mut outputs = [Tensor::zeros(output.dtype, &output.shape)];

    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("inferd/v1/gw-1/model/kws").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), KWS);
    gateway.ship_model("kws", &onnx, CARD);
    gateway.start();
    // It is published behind the subscriptions: the sensors are heard now.
    peer.next_text().await;
    for input in inputs.chunks(shape.iter().product()).take(RUNS) {
        let payload = input.iter().map(|value| value.cast_unsigned()).collect();
        peer.publish_all("sensors/mic/kws", [payload]).await;
        let said: Value = peer.next_json().await.1;
        let input = Tensor { shape: shape.clone(), data: Data::I8(input.to_vec()) };
        session.run(&[input], &mut outputs).unwrap();
        let Data::I8(expected) = &outputs[0].data else { panic!("int8 outputs") };
        let said: Vec<f64> = serde_json::from_value(said["tensor"]["data"].clone()).unwrap();
        // The numbers they stand for are published, six digits of them: more than a step of int8.
        let expected = expected.iter().map(|stored| i32::from(*stored) - quant.zero);
        let said = said.iter().map(|real| real / f64::from(quant.scale));
        assert!(
            said.map(|steps| format!("{steps:.0}")).eq(expected.map(|steps| steps.to_string()))
        );
    }
    gateway.stop();
}
