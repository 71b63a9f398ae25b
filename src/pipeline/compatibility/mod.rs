//! Whether a stream, a card and a model fit together, checked once before anything runs.

use std::sync::Arc;
use std::time::Duration;

mod advice;
mod draft;
mod join;
mod scaling;
mod stream_options;

pub use advice::advice;

use draft::{Draft, drafts};
use stream_options::{check_labels, check_missing, check_payload, check_publish};

use super::carried::CarriedPlan;
use super::decode::TensorPayload;
use super::interpret::OutputPlan;
use super::join::{JoinPlan, row_gap};
use super::plan::{Cast, InputPlan, Scaling, StreamPlan};
use super::problems::{CompatibilityError, Problems};
use super::shape::WindowShape;
use crate::bundle::card::{Card, Layout, WindowSpec};
use crate::config::{Format, Missing, Payload, Stream};
use crate::tensor::{Dtype, TensorSpec};

/// Checks a stream's configuration against a card and a model's inputs and outputs.
///
/// # Errors
/// Everything that does not fit, at once.
pub fn check_compatibility(
    stream: &Stream,
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Result<(), Vec<CompatibilityError>> {
    StreamPlan::new(stream, card, inputs, outputs).map(|_| ())
}

impl StreamPlan {
    /// # Errors
    /// Everything that does not fit, at once.
    pub(super) fn new(
        stream: &Stream,
        card: &Card,
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
    ) -> Result<Self, Vec<CompatibilityError>> {
        let mut problems = Problems::default();
        let carried = CarriedPlan::new(card, inputs, outputs, &mut problems).map(Arc::new);
        let fed = card.fed(inputs);
        let inputs = fed.as_slice();
        let drafts = drafts(card, inputs, &mut problems);
        if !problems.is_empty() {
            // What follows would only say the same in other words.
            return Err(problems.into_errors());
        }
        let width = drafts.iter().map(|d| d.width).sum();
        let fields = field_names(stream, &drafts);
        check_payload(stream, card, &fields, width, &mut problems);
        if let Some(join) = &stream.join {
            let whole = card.window.is_none().then_some(width);
            join::check(stream, join, whole, &fields, &mut problems);
        }
        let mut plans = place(card, &drafts, fields.len(), &mut problems);
        let takes_nan = stream.payload.reading.missing.all().any(|rule| rule == Missing::Nan);
        plans.iter_mut().for_each(|plan| plan.takes_nan = takes_nan);
        check_missing(stream, card, &fields, width, &plans, &mut problems);
        // The card lists its inputs in the order of the fields; the model has its own order.
        plans.sort_by_key(|plan| inputs.iter().position(|spec| spec.name == plan.name));
        let lengths: Vec<usize> = plans.iter().map(|plan| plan.len).collect();
        let output = OutputPlan::new(card, &lengths, outputs, &mut problems);
        if let Some(output) = &output {
            check_publish(stream, output, &mut problems);
            check_labels(stream, card, &mut problems);
        }
        match output {
            Some(output) if problems.is_empty() => {
                let gap = row_gap(stream);
                let shape = card.window.as_ref().map(|window| shape(window, width, gap, &drafts));
                let shape = shape.map(|shape| with_states(shape, card, carried.as_deref()));
                let tensor_payload = tensor_payload(stream, card, inputs, &plans, &output);
                if tensor_payload.is_some()
                    && stream.capture.as_ref().is_some_and(|capture| capture.outside)
                {
                    let problem = "payloads are the input tensor itself, whose values have no \
                                   baseline; leave it out";
                    problems.add("capture.outside", problem);
                    return Err(problems.into_errors());
                }
                let join = stream.join.as_ref().map(|join| JoinPlan::new(join, fields.clone()));
                Ok(Self {
                    shape,
                    inputs: plans,
                    fields,
                    width,
                    output,
                    join,
                    carried,
                    tensor_payload,
                })
            }
            _ => Err(problems.into_errors()),
        }
    }
}

/// The model's only input, if raw payloads can be copied into it and nothing else reads the numbers.
fn tensor_payload(
    stream: &Stream,
    card: &Card,
    inputs: &[TensorSpec],
    plans: &[InputPlan],
    output: &OutputPlan,
) -> Option<TensorPayload> {
    let ([spec], [plan]) = (inputs, plans) else { return None };
    let unscaled = plan.scaling.iter().all(|scaling| *scaling == Scaling::NONE);
    let same = stream.payload.format == Format::Raw(spec.dtype);
    let direct = card.window.is_none()
        && stream.join.is_none()
        && same
        && unscaled
        && plan.features.is_none()
        && !matches!(plan.cast, Cast::Quantize(_))
        && output.compares_with().is_none();
    let (name, dtype, len) = (spec.name.clone(), spec.dtype, plan.len);
    direct.then_some(TensorPayload { name, dtype, len })
}

/// `row_gap` is the distance of samples that are made at equal distances: a longer one is a gap.
fn shape(
    window: &WindowSpec,
    channels: usize,
    row_gap: Option<Duration>,
    drafts: &[Draft<'_>],
) -> WindowShape {
    let exact = |d: &Draft<'_>| {
        matches!(d.spec.dtype, Dtype::F64 | Dtype::I32 | Dtype::I64) && !d.input.quantize
    };
    let wide = drafts.iter().any(exact);
    let WindowSpec { length, hop, max_gap, lead } = *window;
    let max_gap = max_gap.into_iter().chain(row_gap).min();
    WindowShape { length, hop, channels, wide, max_gap, lead, state_gap: None }
}

/// The shape of windows whose gaps start states over, too: those of the window if the card has no
/// others for its states.
fn with_states(shape: WindowShape, card: &Card, carried: Option<&CarriedPlan>) -> WindowShape {
    let of_window = card.window.as_ref().and_then(|window| window.max_gap);
    let state_gap = carried.and_then(|carried| {
        if carried.max_gap == of_window { shape.max_gap } else { carried.max_gap }
    });
    WindowShape { state_gap, ..shape }
}

/// The stream's fields, or else the card's channels.
fn field_names(stream: &Stream, drafts: &[Draft<'_>]) -> Vec<String> {
    let named = drafts.iter().all(|d| !d.input.channels.is_empty());
    match stream.payload.fields.as_slice() {
        [] if named => drafts.iter().flat_map(|d| d.input.channels.clone()).collect(),
        [] => layout_names(&stream.payload),
        fields => fields.to_vec(),
    }
}

/// The numbers that `payload.bytes.layout` names and that are neither the time nor the device.
fn layout_names(payload: &Payload) -> Vec<String> {
    let is_other =
        |name: &String| payload.time.as_ref() == Some(name) || payload.device.contains(name);
    let items = payload.bytes.iter().flat_map(|bytes| &bytes.layout);
    items.filter_map(|item| item.name.clone()).filter(|name| !is_other(name)).collect()
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
        let group = match (card.window.is_some(), draft.channels()) {
            _ if fields == 0 => 0,
            (true, _) => draft.width,
            (false, 0) if drafts.len() == 1 => fields,
            (false, 0) => 1,
            (false, n) => n,
        };
        let end = field.saturating_add(group);
        if let (Some(scaling), Some(cast)) =
            (scaling::scaling(card, draft, group, problems), scaling::cast(draft, problems))
        {
            plans.push(InputPlan {
                name: draft.spec.name.clone(),
                len: draft.spec.len(),
                numbers: draft.numbers(),
                fields: field..end,
                first,
                layout: if draft.features.is_some() {
                    Layout::CHANNEL_TIME
                } else {
                    draft.input.layout
                },
                features: draft.features.clone().map(Arc::new),
                scaling,
                cast,
                takes_nan: false,
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
