//! Whether a stream, a card and a model fit together, checked once before anything runs.

mod scale;

use super::interpret::OutputPlan;
use super::plan::{Cast, InputPlan, Plan, Scaling, Shape};
use crate::bundle::card::{Card, Input, Layout, Normalize, Window};
use crate::config::{Format, Stream};
use crate::tensor::{Dtype, TensorSpec};

/// Why a stream cannot feed its model; says which key of the stream or the card is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct FitError {
    /// `payload.fields`, `publish.min_score` … in the stream; `card: input.layout` … in the card.
    pub key: &'static str,
    pub problem: String,
}

/// Checks a stream's configuration against a card and a model's inputs and outputs.
///
/// # Errors
/// Everything that does not fit, at once.
pub fn fit(
    stream: &Stream,
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Result<(), Vec<FitError>> {
    Plan::new(stream, card, inputs, outputs).map(|_| ())
}

/// Bytes of the windows of so many devices as they are saved, every window full; `None` where
/// messages are whole inputs, or where the stream does not fit.
#[must_use]
pub fn windows_bytes(
    stream: &Stream,
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
    devices: u32,
) -> Option<u64> {
    let plan = Plan::new(stream, card, inputs, outputs).ok()?;
    plan.shape.map(|shape| super::snapshot::bytes(&shape, devices))
}

/// What fits and is still likely to go wrong, in sentences for the operator.
#[must_use]
pub fn advice(stream: &Stream, card: &Card) -> Vec<String> {
    let mut advice = Vec::new();
    let Some(window) = &card.window else { return advice };
    let name = &stream.name;
    if stream.topic.captures().next().is_none() && stream.payload.device.is_empty() {
        advice.push(format!(
            "stream {name}: nothing names the device, so all samples share one window. Where several \
             devices send, capture the name in stream.topic, as in sensors/{{device}}, or set \
             payload.device to the field that names it"
        ));
    }
    if let Some(max_gap) = window.max_gap.filter(|&gap| gap > stream.key_ttl) {
        advice.push(format!(
            "stream {name}: the card allows gaps of {max_gap:?} (window.max_gap), but a device is \
             forgotten with its window after key_ttl = {:?}",
            stream.key_ttl
        ));
    }
    advice
}

/// Bytes that a sample takes in an addition to them, where every message has one.
#[must_use]
pub fn sample_bytes(
    stream: &Stream,
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Option<u64> {
    let plan = Plan::new(stream, card, inputs, outputs).ok()?;
    plan.shape.map(|shape| super::journal::sample_bytes(&shape))
}

/// Collects everything that does not fit.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<FitError>);

impl Problems {
    pub(super) fn add(&mut self, key: &'static str, problem: impl Into<String>) {
        self.0.push(FitError { key, problem: problem.into() });
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<FitError> {
        self.0
    }
}

/// One model input with what the card says of it.
struct Draft<'a> {
    input: Input,
    spec: &'a TensorSpec,
    /// Numbers of a sample, or of a whole input, that go into it.
    width: usize,
}

impl Plan {
    /// # Errors
    /// Everything that does not fit, at once.
    pub(super) fn new(
        stream: &Stream,
        card: &Card,
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
    ) -> Result<Self, Vec<FitError>> {
        let mut problems = Problems::default();
        let drafts = drafts(card, inputs, &mut problems);
        if !problems.is_empty() {
            // What follows would only say the same in other words.
            return Err(problems.into_errors());
        }
        let width = drafts.iter().map(|d| d.width).sum();
        let fields = field_names(stream, &drafts);
        check_payload(stream, card, &fields, width, &mut problems);
        let mut plans = place(card, &drafts, fields.len(), &mut problems);
        // The card lists its inputs in the order of the fields; the model wants its own order.
        plans.sort_by_key(|plan| inputs.iter().position(|spec| spec.name == plan.name));
        let output = OutputPlan::new(card, &plans, outputs, &mut problems);
        if let Some(output) = &output {
            check_publish(stream, output, &mut problems);
        }
        match output {
            Some(output) if problems.is_empty() => {
                let shape = card.window.as_ref().map(|window| shape(window, width, &drafts));
                let direct = card.window.is_none() && is_direct(stream, inputs, &plans, &output);
                Ok(Self { shape, inputs: plans, fields, width, output, direct })
            }
            _ => Err(problems.into_errors()),
        }
    }
}

/// Whether raw payloads can be copied into the model's only input, and nobody asks for the numbers.
fn is_direct(
    stream: &Stream,
    inputs: &[TensorSpec],
    plans: &[InputPlan],
    output: &OutputPlan,
) -> bool {
    let ([spec], [plan]) = (inputs, plans) else { return false };
    let unscaled = plan.scaling.iter().all(|scaling| *scaling == Scaling::NONE);
    let same = stream.payload.format == Format::Raw(spec.dtype);
    same && unscaled && !matches!(plan.cast, Cast::Quantize(_)) && output.compares_with().is_none()
}

fn shape(window: &Window, channels: usize, drafts: &[Draft<'_>]) -> Shape {
    let exact = |d: &Draft<'_>| {
        matches!(d.spec.dtype, Dtype::F64 | Dtype::I32 | Dtype::I64) && !d.input.quantize
    };
    let wide = drafts.iter().any(exact);
    let Window { length, hop, max_gap } = *window;
    Shape { length, hop, channels, wide, max_gap }
}

/// Pairs the card's inputs with the model's. A card without inputs takes the model's as they are.
fn drafts<'a>(card: &Card, specs: &'a [TensorSpec], problems: &mut Problems) -> Vec<Draft<'a>> {
    let plain = |spec: &TensorSpec| Input {
        name: spec.name.clone(),
        channels: Vec::new(),
        layout: Layout::TimeChannel,
        normalize: Normalize::None,
        quantize: false,
    };
    let inputs: Vec<Input> = if card.inputs.is_empty() {
        specs.iter().map(plain).collect()
    } else {
        card.inputs.clone()
    };
    for spec in specs {
        if !inputs.iter().any(|input| input.name == spec.name) {
            let problem = format!("the model has an input {:?} that the card lacks", spec.name);
            problems.add("card: input", problem);
        }
    }
    let mut drafts = Vec::new();
    for input in inputs {
        let Some(spec) = specs.iter().find(|spec| spec.name == input.name) else {
            let names: Vec<_> = specs.iter().map(|s| s.name.as_str()).collect();
            let problem = format!("{:?} is no input of the model, which has {names:?}", input.name);
            problems.add("card: input.name", problem);
            continue;
        };
        if let Some(width) = width(card, &input, spec, problems) {
            drafts.push(Draft { input, spec, width });
        }
    }
    drafts
}

fn width(card: &Card, input: &Input, spec: &TensorSpec, problems: &mut Problems) -> Option<usize> {
    let Some(window) = &card.window else { return Some(spec.len()) };
    if window.length == 0 || window.hop == 0 {
        problems.add("card: window", "length and hop must be at least 1");
        return None;
    }
    let channels = match input.channels.len() {
        0 => spec.len() / window.length,
        n => n,
    };
    if channels == 0 || channels.checked_mul(window.length) != Some(spec.len()) {
        let (length, shape) = (window.length, &spec.shape);
        let problem = format!(
            "{length} samples of {channels} channels are not the {} elements {shape:?} of input {:?}",
            spec.len(),
            spec.name
        );
        problems.add("card: window.length", problem);
        return None;
    }
    check_layout(input, spec, window.length, channels, problems);
    Some(channels)
}

/// Where the tensor has two real axes, the layout must name them in their order.
fn check_layout(
    input: &Input,
    spec: &TensorSpec,
    length: usize,
    channels: usize,
    problems: &mut Problems,
) {
    let axes: Vec<usize> = spec.shape.iter().copied().filter(|&n| n != 1).collect();
    let (layout, wanted) = match input.layout {
        Layout::TimeChannel => ("time-channel", [length, channels]),
        Layout::ChannelTime => ("channel-time", [channels, length]),
    };
    if axes.len() == 2 && axes != wanted && length != 1 && channels != 1 {
        let problem = format!("{layout} is {wanted:?}, but input {:?} is {axes:?}", spec.name);
        problems.add("card: input.layout", problem);
    }
}

/// The stream's fields, or else the card's channels.
fn field_names(stream: &Stream, drafts: &[Draft<'_>]) -> Vec<String> {
    let named = drafts.iter().all(|d| !d.input.channels.is_empty());
    match stream.payload.fields.as_slice() {
        [] if named => drafts.iter().flat_map(|d| d.input.channels.clone()).collect(),
        fields => fields.to_vec(),
    }
}

fn check_payload(
    stream: &Stream,
    card: &Card,
    fields: &[String],
    width: usize,
    problems: &mut Problems,
) {
    let raw = matches!(stream.payload.format, Format::Raw(_));
    if raw && stream.payload.time.is_some() {
        problems.add("payload.time", "raw payloads have no time; leave it out");
    }
    if raw && !stream.payload.device.is_empty() {
        problems.add("payload.device", "raw payloads name no device; have the topic name it");
    }
    if let Some(both) =
        stream.payload.device.iter().chain(&stream.payload.time).find(|&name| fields.contains(name))
    {
        let problem = format!(
            "{both:?} is a field of the model too; it cannot be the device or the time as well"
        );
        problems.add("payload.fields", problem);
    }
    if (raw || stream.payload.format == Format::Csv) && stream.payload.samples.is_some() {
        problems.add("payload.samples", "only json and cbor have an object around the samples");
    }
    if card.window.is_some() && !fields.is_empty() && fields.len() != width {
        let names = card.inputs.iter().flat_map(|i| &i.channels).collect::<Vec<_>>();
        let problem = format!("{} fields for the model's {width} channels {names:?}", fields.len());
        problems.add("payload.fields", problem);
    }
}

/// Gives each input its fields and its place in a sample or a whole input.
fn place(
    card: &Card,
    drafts: &[Draft<'_>],
    fields: usize,
    problems: &mut Problems,
) -> Vec<InputPlan> {
    let (mut field, mut first) = (0_usize, 0_usize);
    let mut plans = Vec::new();
    for draft in drafts {
        let group = match (card.window.is_some(), draft.input.channels.len()) {
            _ if fields == 0 => 0,
            (true, _) => draft.width,
            (false, 0) if drafts.len() == 1 => fields,
            (false, 0) => 1,
            (false, n) => n,
        };
        let end = field.saturating_add(group);
        if let (Some(scaling), Some(cast)) =
            (scale::scaling(card, draft, group, problems), scale::cast(draft, problems))
        {
            plans.push(InputPlan {
                name: draft.spec.name.clone(),
                len: draft.spec.len(),
                fields: field..end,
                first,
                layout: draft.input.layout,
                scaling,
                cast,
            });
        }
        field = end;
        first = first.saturating_add(draft.width);
    }
    if card.window.is_none() && field != fields {
        let problem = format!("{fields} fields, but the card's inputs take {field}");
        problems.add("payload.fields", problem);
    }
    plans
}

fn check_publish(stream: &Stream, output: &OutputPlan, problems: &mut Problems) {
    let publish = &stream.publish;
    if publish.min_score.is_some() && !output.has_score() {
        problems.add("publish.min_score", "this model's output has no score; leave it out");
    }
    match (publish.min_score, publish.leave_score) {
        (None, Some(_)) => problems.add("publish.leave_score", "is nothing without min_score"),
        (Some(min), Some(leave)) if leave > min => {
            problems.add("publish.leave_score", format!("{leave} is above min_score = {min}"));
        }
        _ => {}
    }
    if publish.consecutive > 1 && !output.has_label() {
        problems.add("publish.consecutive", "this model's output has no label; leave it out");
    }
}
