//! A stream, a card, a clock and models that do what a test needs.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::bundle::card::{
    Activation, Card, FeatureSpec, InputSpec, Layout, Normalize, OutputKind, OutputSpec, StateSpec,
    WindowSpec,
};
use crate::clock::{Clock, Mono, Now, Timestamp};
use crate::config::{
    Encoding, Format, Guarantee, Payload, Publish, RetainedInput, Stream, TopicPattern,
    TopicTemplate, When, WindowSafety,
};
use crate::engine::RunError;
use crate::ids::{GatewayId, ModelName, StreamName};
use crate::message::{AckToken, Incoming, Qos, ResultMessage};
use crate::pipeline::{CompatibilityError, Infer, Pipeline, PredictionIds, Router, StepReport};
use crate::tensor::{Data, Dtype, Tensor, TensorSpec};

/// 2026-11-22T10:00:00Z
pub(crate) const SECOND: Timestamp = Timestamp(1_795_341_600_000_000);

/// A clock that goes when it is told, and by `tick` microseconds whenever it is read.
#[derive(Debug)]
pub(crate) struct ManualClock {
    /// The wall clock's time where the other one is at zero.
    start: AtomicI64,
    mono: AtomicU64,
    pub(crate) tick: u64,
}

impl ManualClock {
    pub(crate) fn pass(&self, span: Duration) {
        self.mono.fetch_add(u64::try_from(span.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// Sets the wall clock, which the other one does not notice.
    pub(crate) fn set(&self, wall: Timestamp) {
        let passed = i64::try_from(self.mono.load(Ordering::Relaxed)).unwrap();
        self.start.store(wall.0 - passed, Ordering::Relaxed);
    }

    fn at(&self, mono: u64) -> Now {
        let start = Timestamp(self.start.load(Ordering::Relaxed));
        Now { wall: start.plus(Duration::from_micros(mono)), mono: Mono(mono) }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        self.at(self.mono.fetch_add(self.tick, Ordering::Relaxed))
    }
}

type Body = dyn FnMut(&[Tensor], &mut [Tensor]) -> Result<(), RunError> + Send;

/// A model that is a closure.
pub(crate) struct Fake {
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
    body: Box<Body>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

impl Infer for Fake {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Tensor]) -> Result<(), RunError> {
        (self.body)(inputs, outputs)
    }
}

impl Fake {
    /// Panics on every window of two channels.
    pub(crate) fn panicking(length: usize) -> Self {
        fake(&[length, 2], &[2], |_, _| panic!("told to panic"))
    }
}

pub(crate) fn spec(name: &str, dtype: Dtype, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype, shape: shape.to_vec(), quant: None }
}

fn fake(
    input: &[usize],
    output: &[usize],
    body: impl FnMut(&[Tensor], &mut [Tensor]) -> Result<(), RunError> + Send + 'static,
) -> Fake {
    let inputs = vec![spec("x", Dtype::F32, input)];
    let outputs = vec![spec("y", Dtype::F32, output)];
    Fake { inputs, outputs, body: Box::new(body) }
}

/// Gives its input back.
pub(crate) fn echo(shape: &[usize]) -> Fake {
    fake(shape, shape, |inputs, outputs| {
        outputs[0].data = inputs[0].data.clone();
        Ok(())
    })
}

/// Gives the same output whatever comes in.
pub(crate) fn constant(input: &[usize], output: &[f32]) -> Fake {
    let values = output.to_vec();
    fake(input, &[output.len()], move |_, outputs| {
        outputs[0].data = Data::F32(values.clone());
        Ok(())
    })
}

/// Keeps what it was run on.
pub(crate) fn taking(inputs: Vec<TensorSpec>) -> (Fake, Arc<Mutex<Vec<Data>>>) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let keep = taken.clone();
    let body = move |inputs: &[Tensor], _: &mut [Tensor]| {
        *keep.lock().unwrap() = inputs.iter().map(|t| t.data.clone()).collect();
        Ok(())
    };
    (Fake { inputs, outputs: vec![spec("y", Dtype::F32, &[1])], body: Box::new(body) }, taken)
}

/// Two labels' scores for windows of two channels.
pub(crate) fn classifier(length: usize, scores: &[f32; 2]) -> Fake {
    constant(&[length, 2], scores)
}

/// One of two labels by what the window of two channels sums up to.
pub(crate) fn summing(length: usize) -> Fake {
    fake(&[length, 2], &[2], |inputs, outputs| {
        let Data::F32(numbers) = &inputs[0].data else { panic!() };
        let is_odd = numbers.iter().sum::<f32>() % 4.0 != 0.0;
        outputs[0].data = Data::F32(if is_odd { vec![0.1, 0.9] } else { vec![0.8, 0.2] });
        Ok(())
    })
}

/// What samples of `x` and the state `h` make: half of `h` and the sum of `x`. Two labels by the sign of a
/// sum that grows, and the state `hn`. Fails on a 9.
pub(crate) fn recurrent(x: &[usize]) -> Fake {
    let inputs = vec![spec("h", Dtype::F32, &[1, 2]), spec("x", Dtype::F32, x)];
    let outputs = vec![spec("y", Dtype::F32, &[2]), spec("hn", Dtype::F32, &[1, 2])];
    let body = |inputs: &[Tensor], outputs: &mut [Tensor]| {
        let [Data::F32(h), Data::F32(x)] = [&inputs[0].data, &inputs[1].data] else { panic!() };
        if x.contains(&9.0) {
            return Err(RunError::Input { index: 1, reason: "told to fail".into() });
        }
        let sum = h[0] / 2.0 + x.iter().sum::<f32>();
        outputs[0].data = Data::F32(vec![sum, h[1]]);
        outputs[1].data = Data::F32(vec![sum, h[1] + 1.0]);
        Ok(())
    };
    Fake { inputs, outputs, body: Box::new(body) }
}

/// The card with the state of [`recurrent`].
pub(crate) fn with_state(card: Card, max_gap: Option<Duration>) -> Card {
    let (input, output, value) = ("h".to_owned(), "hn".to_owned(), vec![0.0]);
    Card { states: vec![StateSpec { input, output, value, max_gap }], ..card }
}

/// Fails on every window of two channels.
pub(crate) fn failing(length: usize) -> Fake {
    fake(&[length, 2], &[2], |_, _| {
        Err(RunError::Input { index: 0, reason: "told to fail".into() })
    })
}

/// Channels `a` and `b` from `sensors/{device}/imu`.
pub(crate) fn stream() -> Stream {
    let topic = TopicPattern::parse("sensors/{device}/imu").unwrap();
    let template = TopicTemplate::parse("predictions/{stream}/{device}", ["device"]).unwrap();
    Stream {
        name: StreamName::parse("motion").unwrap(),
        model: ModelName::parse("motion").unwrap(),
        topic,
        share: None,
        qos: Qos::AtLeastOnce,
        payload: Payload {
            fields: vec!["a".into(), "b".into()],
            earliest: Timestamp::parse("2020-01-01T00:00:00Z").unwrap(),
            ..Payload::of(Format::Json)
        },
        join: None,
        guarantee: Guarantee::BestEffort,
        windows: WindowSafety::Memory,
        max_age: None,
        max_ahead: Duration::from_secs(60),
        retained: RetainedInput::Ignore,
        max_keys: 100,
        key_ttl: Duration::from_secs(600),
        max_payload: 1 << 20,
        priority: 0,
        drift: crate::config::Drift::default(),
        labels: None,
        capture: None,
        infer: false,
        publish: Publish {
            topic: template,
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

pub(crate) fn card(window: Option<WindowSpec>, channels: &[&str], kind: OutputKind) -> Card {
    Card {
        name: ModelName::parse("motion").unwrap(),
        version: "1.4.0".into(),
        file: "model.onnx".into(),
        description: String::new(),
        licence: String::new(),
        source: String::new(),
        window,
        inputs: vec![InputSpec {
            name: "x".into(),
            channels: channels.iter().map(|c| (*c).to_owned()).collect(),
            layout: Layout::TIME_CHANNEL,
            normalize: Normalize::None,
            features: FeatureSpec::default(),
            quantize: false,
        }],
        states: Vec::new(),
        output: OutputSpec {
            name: None,
            kind,
            activation: Activation::None,
            class_ids: Vec::new(),
        },
        golden: None,
        dims: std::collections::BTreeMap::new(),
        constants: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn two_labels() -> OutputKind {
    let labels = vec!["walking".to_owned(), "running".to_owned()];
    OutputKind::Classification { labels, top_k: 2, threshold: 0.0 }
}

/// Windows of two channels, two labels.
pub(crate) fn labelled(length: usize) -> Card {
    Card {
        output: OutputSpec {
            name: None,
            kind: two_labels(),
            activation: Activation::None,
            class_ids: Vec::new(),
        },
        ..windowed(length, length)
    }
}

/// Windows of two channels, a raw output.
pub(crate) fn windowed(length: usize, hop: usize) -> Card {
    card(Some(WindowSpec { length, hop, max_gap: None, lead: 0 }), &["a", "b"], OutputKind::Raw)
}

/// Every message is an input.
pub(crate) fn whole(kind: OutputKind) -> Card {
    card(None, &[], kind)
}

/// A pipeline with its clock.
#[derive(Debug)]
pub(crate) struct Harness {
    pub(crate) pipeline: Pipeline,
    pub(crate) clock: ManualClock,
    tokens: u64,
}

impl Harness {
    pub(crate) fn new(stream: Stream, card: Card, model: Fake) -> Self {
        Self::try_new(stream, card, model).unwrap()
    }

    pub(crate) fn try_new(
        stream: Stream,
        card: Card,
        model: Fake,
    ) -> Result<Self, Vec<CompatibilityError>> {
        let gateway = GatewayId::parse("gw-17").unwrap();
        let ids = PredictionIds::new(&gateway, "3f2a", Arc::new(AtomicU64::new(0)));
        let (card, model) = (Arc::new(card), Box::new(model));
        let pipeline = Pipeline::new(0, &stream, &gateway, card, model, ids)?;
        let clock =
            ManualClock { start: AtomicI64::new(SECOND.0), mono: AtomicU64::new(0), tick: 0 };
        Ok(Self { pipeline, clock, tokens: 0 })
    }

    pub(crate) fn incoming(&mut self, topic: &str, payload: &[u8]) -> Incoming {
        self.tokens += 1;
        let router = Router::new(std::slice::from_ref(&self.pipeline.stream));
        let delivery = router.route(topic).next();
        Incoming {
            stream: 0,
            topic: topic.to_owned(),
            captures: delivery.map(|delivery| delivery.captures).unwrap_or_default(),
            payload: payload.to_vec().into(),
            received: self.clock.at(self.clock.mono.load(Ordering::Relaxed)),
            token: Some(AckToken(self.tokens)),
            input_id: None,
            reply: None,
            retained: false,
        }
    }

    pub(crate) fn step(&mut self, topic: &str, payload: &str) -> (StepReport, Vec<ResultMessage>) {
        let incoming = self.incoming(topic, payload.as_bytes());
        let mut out = Vec::new();
        let outcome = self.pipeline.step(&incoming, &self.clock, &mut out);
        (outcome, out)
    }
}

pub(crate) fn prediction(payload: &[u8]) -> serde_json::Value {
    serde_json::from_slice(payload).unwrap()
}
