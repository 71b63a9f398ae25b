//! Checks of a model against its card.

use super::card::{AnomalyScore, Card, InputSpec, Layout, OutputKind, OutputSpec};
use super::feature_spec::misfit;
use super::layout::ShapeFit;
use super::state_check::state_mismatches;
use crate::tensor::{Dtype, TensorSpec};

/// Returns every difference of card and model, as text. `output` is the index of the output that
/// the card describes.
pub(super) fn mismatches(
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
    output: Option<usize>,
) -> Vec<String> {
    let names = |specs: &[TensorSpec]| {
        let shown =
            specs.iter().map(|spec| format!("{:?} {} {:?}", spec.name, spec.dtype, spec.shape));
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut mismatches = state_mismatches(card, inputs, outputs);
    let inputs = card.fed(inputs);
    let inputs = inputs.as_slice();
    let named = card.inputs.iter().map(|input| &input.name);
    if !named.eq(inputs.iter().map(|spec| &spec.name)) {
        let listed: Vec<_> = card.inputs.iter().map(|input| &input.name).collect();
        let found = names(inputs);
        mismatches
            .push(format!("[[input]] names {listed:?}; the model's inputs in order: {found}"));
    } else {
        let pairs = card.inputs.iter().zip(inputs);
        mismatches.extend(pairs.flat_map(|(input, spec)| input_mismatches(card, input, spec)));
    }
    if let Some(spec) = output.and_then(|index| outputs.get(index)) {
        mismatches.extend(output_mismatch(&card.output, spec, inputs));
    }
    mismatches
}

fn input_mismatches(card: &Card, input: &InputSpec, spec: &TensorSpec) -> Vec<String> {
    let mut mismatches = Vec::new();
    let place = format!("input {:?}", input.name);
    if input.quantize && matches!(spec.dtype, Dtype::F32 | Dtype::F64) {
        mismatches.push(format!("{place}: quantize = true, and the model takes {}", spec.dtype));
    } else if input.quantize && spec.quant.is_none() {
        mismatches.push(format!("{place}: quantize = true, and the model gives no scale for it"));
    }
    if let Some(plan) = input.feature_plan(card.window.as_ref()) {
        match plan {
            Ok(plan) => mismatches.extend(misfit(&plan, &input.name, &spec.shape)),
            Err(error) => mismatches.push(format!("{place}: [[input.features]] {error}")),
        }
        return mismatches;
    }
    let channels = input.channels.len();
    let samples = card.window.as_ref().map_or(1, |window| window.length);
    let (shape, elements) = (&spec.shape, spec.len());
    if channels == 0 {
        if !elements.is_multiple_of(samples) {
            let reason = format!("{elements} elements of shape {shape:?} in {samples} samples");
            mismatches.push(format!("{place}: the model takes {reason}"));
        }
        return mismatches;
    }
    let wanted = format!("{samples} samples of {channels} channels");
    let Layout::Series(order) = input.layout;
    match order.fit(shape, samples, channels) {
        ShapeFit::WrongCount => {
            mismatches.push(format!("{place}: the model takes {shape:?}, the card says {wanted}"));
        }
        ShapeFit::Reversed => {
            let layout = order.name();
            mismatches.push(format!(
                "{place}: layout is {layout}, and the model takes {shape:?} for {wanted}"
            ));
        }
        // Whether the axes of a stream's window differ is checked with the stream.
        ShapeFit::Fits | ShapeFit::Different => {}
    }
    mismatches
}

fn output_mismatch(
    output: &OutputSpec,
    spec: &TensorSpec,
    inputs: &[TensorSpec],
) -> Option<String> {
    let elements = spec.len();
    let counted = |what: &str, count: usize| {
        let (name, shape) = (&spec.name, &spec.shape);
        (count != elements).then(|| {
            format!(
                "output {name:?}: {count} {what}, and the model gives {elements} elements {shape:?}"
            )
        })
    };
    match &output.kind {
        OutputKind::Classification { labels, .. } | OutputKind::MultiLabel { labels, .. } => {
            // A model that outputs the class itself has one integer.
            let is_class = matches!(spec.dtype, Dtype::I64 | Dtype::I32) && elements == 1;
            if is_class { None } else { counted("labels", labels.len()) }
        }
        OutputKind::Regression { names, .. } => counted("names", names.len()),
        OutputKind::Anomaly { score: AnomalyScore::Output, .. } => counted("score", 1),
        OutputKind::Anomaly {
            score: AnomalyScore::ReconstructionMse | AnomalyScore::ReconstructionMae,
            ..
        } => counted("reconstructed elements", inputs.first().map_or(0, TensorSpec::len)),
        OutputKind::Raw => None,
    }
}
