//! Times one step of the pipeline with a model that costs nothing: `cargo bench --bench pipeline`.
//!
//! Prints nanoseconds per message (median and fastest of many short batches) for each payload format
//! and for few and many devices. Arguments: only the lines that contain all of them.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a benchmark of fixed shapes"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use inferd::bundle::card::Card;
use inferd::clock::{Clock, SystemClock};
use inferd::config::{
    Encoding, Format, Guarantee, Payload, Publish, Stream, TopicPattern, TopicTemplate, When,
    WindowSafety,
};
use inferd::engine::RunError;
use inferd::ids::{GatewayId, ModelName, StreamName};
use inferd::message::{Incoming, Qos};
use inferd::pipeline::{Infer, Pipeline, PredictionIds, Router};
use inferd::tensor::{Data, Dtype, Quant, Tensor, TensorSpec};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!("{:<52} {:>10} {:>10}", "message", "median ns", "least ns");
    for mut case in cases() {
        if wanted.iter().all(|w| case.name.contains(w.as_str())) {
            let (median, least) = time(&mut case);
            println!("{:<52} {median:>10.0} {least:>10.0}", case.name);
        }
    }
}

/// A pipeline and the messages it gets, over and over.
struct Case {
    name: String,
    pipeline: Pipeline,
    messages: Vec<Incoming>,
}

/// Nanoseconds per message: the median and the least of the batches.
fn time(case: &mut Case) -> (f64, f64) {
    const BATCHES: usize = 60;
    let clock = SystemClock::start();
    let mut out = Vec::new();
    let rounds = (20_000 / case.messages.len()).max(1);
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let now = clock.now();
            case.messages.iter_mut().for_each(|message| message.received = now);
            let start = Instant::now();
            for _ in 0..rounds {
                for message in &case.messages {
                    let outcome = case.pipeline.step(message, &clock, &mut out);
                    assert!(outcome.rejects.is_empty(), "{:?}", outcome.rejects);
                    out.clear();
                }
            }
            let messages = f64::from((rounds * case.messages.len()) as u32);
            start.elapsed().as_secs_f64() * 1e9 / messages
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    (batches[BATCHES / 2], batches[0])
}

const FIELDS: [&str; 6] = ["ax", "ay", "az", "gx", "gy", "gz"];
const OBJECT: &str = r#"{"ax":0.0123,"ay":-9.81,"az":0.5,"gx":1.25,"gy":-0.001,"gz":12.5}"#;
const TIMED: &str = concat!(
    r#"{"ts":1795341600.125,"ax":0.0123,"ay":-9.81,"az":0.5,"gx":1.25,"gy":-0.001,"gz":12.5,"#,
    r#""battery":97,"unit":"m/s2"}"#
);

fn cases() -> Vec<Case> {
    let rows = format!("[{}]", vec!["[0.0123,-9.81,0.5,1.25,-0.001,12.5]"; 50].join(","));
    let mut cbor = Vec::new();
    let object: BTreeMap<&str, f32> = FIELDS.iter().map(|f| (*f, 0.0123)).collect();
    ciborium::into_writer(&object, &mut cbor).unwrap();
    let raw: Vec<u8> = (0..=u8::MAX).cycle().take(490).collect();
    let mut cases = vec![
        case(
            "json object of 6, a result every 100",
            Format::Json,
            Some(100),
            OBJECT.as_bytes(),
            10,
        ),
        case("json object of 6, a result every time", Format::Json, Some(1), OBJECT.as_bytes(), 10),
        case(
            "json object of 6 with more and a time",
            Format::Json,
            Some(100),
            TIMED.as_bytes(),
            10,
        ),
        case("json 50 rows of 6, a result every 2nd", Format::Json, Some(100), rows.as_bytes(), 10),
        case("cbor object of 6, a result every 100", Format::Cbor, Some(100), &cbor, 10),
        case(
            "csv line of 6, a result every 100",
            Format::Csv,
            Some(100),
            b"0.01,-9.81,0.5,1.25,-0.01,12.5",
            10,
        ),
        case("i8 raw 490, a result every time", Format::Raw(Dtype::I8), None, &raw, 10),
    ];
    for devices in [10, 1_000, 10_000, 100_000] {
        let name = format!("json object of 6, {devices} devices");
        cases.push(case(&name, Format::Json, Some(100), OBJECT.as_bytes(), devices));
    }
    cases
}

fn case(name: &str, format: Format, hop: Option<usize>, payload: &[u8], devices: usize) -> Case {
    let whole = hop.is_none();
    let timed = payload.starts_with(br#"{"ts""#);
    let stream = stream(format, whole, timed, devices);
    let model = Box::new(Fake::new(whole));
    let gateway = GatewayId::parse("gw-17").unwrap();
    let ids = PredictionIds::new(&gateway, "3f2a", Arc::new(AtomicU64::new(0)));
    let pipeline = Pipeline::new(0, &stream, &gateway, Arc::new(card(hop)), model, ids).unwrap();
    let received = SystemClock::start().now();
    let router = Router::new(std::slice::from_ref(&stream));
    let messages = (0..devices).map(|n| {
        let topic = format!("sensors/watch-{n}/imu");
        let captures = router.route(&topic).next().unwrap().captures;
        Incoming {
            stream: 0,
            captures,
            topic,
            payload: payload.to_vec().into(),
            received,
            token: None,
            input_id: None,
            reply: None,
            retained: false,
        }
    });
    Case { name: name.to_owned(), pipeline, messages: messages.collect() }
}

fn stream(format: Format, whole: bool, timed: bool, devices: usize) -> Stream {
    let fields = if whole { Vec::new() } else { FIELDS.map(str::to_owned).to_vec() };
    Stream {
        retained: inferd::config::RetainedInput::Ignore,
        name: StreamName::parse("motion").unwrap(),
        model: ModelName::parse("motion").unwrap(),
        topic: TopicPattern::parse("sensors/{device}/imu").unwrap(),
        share: None,
        qos: Qos::AtLeastOnce,
        payload: Payload { fields, time: timed.then(|| "ts".to_owned()), ..Payload::of(format) },
        join: None,
        guarantee: Guarantee::BestEffort,
        windows: WindowSafety::Memory,
        max_age: None,
        max_ahead: Duration::from_secs(1 << 32),
        max_keys: devices,
        key_ttl: Duration::from_secs(3600),
        max_payload: 1 << 20,
        priority: 0,
        drift: inferd::config::Drift::default(),
        labels: None,
        capture: None,
        infer: false,
        publish: Publish {
            topic: TopicTemplate::parse("predictions/{stream}/{device}", ["device"]).unwrap(),
            qos: Qos::AtLeastOnce,
            retain: false,
            encoding: Encoding::Json,
            when: When::Every,
            min_score: None,
            leave_score: None,
            consecutive: 1,
        },
    }
}

/// The card of the model, as a bundle would have it; `hop` is `None` for whole inputs.
fn card(hop: Option<usize>) -> Card {
    let windowed = hop.map(|hop| {
        let (mean, std) = ([0.1; 6], [2.0; 6]);
        let window = format!("[window]\nlength = 100\nhop = {hop}");
        let channels = format!("channels = {FIELDS:?}\nlayout = \"channel-time\"");
        let kind = "kind = \"mean-std\"";
        (window, format!("{channels}\nnormalize = {{ {kind}, mean = {mean:?}, std = {std:?} }}"))
    });
    let (window, channels) = windowed.unwrap_or_default();
    let labels: Vec<_> = (0..12).map(|n| format!("label-{n}")).collect();
    let text = format!(
        "format = 1
         [model]
         name = \"motion\"
         version = \"1.4.0\"
         file = \"model.onnx\"
         {window}
         [[input]]
         name = \"x\"
         {channels}
         [output]
         kind = \"classification\"
         activation = \"none\"
         labels = {labels:?}
         top_k = 3"
    );
    Card::parse(&text, |name| Err(format!("there is no {name}"))).unwrap()
}

/// Says the same at once.
#[derive(Debug)]
struct Fake {
    inputs: [TensorSpec; 1],
    outputs: [TensorSpec; 1],
}

impl Fake {
    fn new(whole: bool) -> Self {
        let spec = |name: &str, dtype, shape: &[usize], quant| TensorSpec {
            name: name.into(),
            dtype,
            shape: shape.to_vec(),
            quant,
        };
        let quant = Some(Quant { scale: 1.0 / 256.0, zero: -128 });
        let input = if whole {
            spec("x", Dtype::I8, &[1, 49, 10, 1], quant)
        } else {
            spec("x", Dtype::F32, &[1, 6, 100], None)
        };
        Self { inputs: [input], outputs: [spec("y", Dtype::I8, &[1, 12], quant)] }
    }
}

impl Infer for Fake {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn run(&mut self, _inputs: &[Tensor], outputs: &mut [Tensor]) -> Result<(), RunError> {
        if let Data::I8(scores) = &mut outputs[0].data {
            scores.fill(-120);
            scores[3] = 100;
        }
        Ok(())
    }
}
