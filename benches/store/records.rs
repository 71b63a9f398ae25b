//! What waits in them.

use std::sync::Arc;

use inferd::ids::StreamName;
use inferd::message::{Outgoing, Qos};
use inferd::outbox::{Record, Seq};

pub(crate) fn record(seq: u64, payload: fn(u64) -> Vec<u8>) -> Record {
    let message = Outgoing {
        topic: format!("predictions/motion/watch-{}", seq % 50),
        payload: payload(seq).into(),
        content_type: "application/json".into(),
        properties: vec![("model".into(), "motion".into()), ("version".into(), "1.4.0".into())],
        correlation: None,
        retain: false,
        qos: Qos::AtLeastOnce,
    };
    let stream = StreamName::parse("motion").unwrap();
    Record { seq: Seq(seq), stream, priority: 0, message: Arc::new(message) }
}

/// A prediction as the daemon writes it.
pub(crate) fn json(seq: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq);
    let score = random.f64();
    format!(
        concat!(
            r#"{{"v":1,"id":"gw-17-3f2a-{seq}","gateway":"gw-17","stream":"motion","#,
            r#""device":"watch-{}","time":"2026-11-22T10:{:02}:{:02}.{:03}Z","#,
            r#""received":"2026-11-22T10:{:02}:{:02}.{:03}Z","model":"motion","version":"1.4.0","#,
            r#""kind":"classification","label":"running","score":{score:.4},"#,
            r#""scores":{{"running":{score:.4},"walking":{:.4}}},"#,
            r#""us":{{"queue":{},"prepare":{},"run":{}}},"replayed":false}}"#
        ),
        seq % 50,
        seq / 6000 % 60,
        seq / 100 % 60,
        seq * 10 % 1000,
        seq / 6000 % 60,
        seq / 100 % 60,
        (seq * 10 + 7) % 1000,
        1.0 - score,
        random.u32(20..200),
        random.u32(8..20),
        random.u32(90..130),
        seq = seq,
        score = score,
    )
    .into_bytes()
}

/// As long as a prediction, and not to be made shorter.
pub(crate) fn noise(seq: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq);
    std::iter::repeat_with(|| random.u8(..)).take(300).collect()
}
