//! Whether a model is the one its card speaks of.

use super::card::{AnomalyScore, Card, Input, Kind, Layout, Output};
use crate::tensor::{Dtype, TensorSpec};

/// Everything in which card and model differ, in words. `output` is the place of the output that the
/// card is about.
pub(super) fn misfits(
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
    let mut misfits = Vec::new();
    let named = card.inputs.iter().map(|input| &input.name);
    if !named.eq(inputs.iter().map(|spec| &spec.name)) {
        let listed: Vec<_> = card.inputs.iter().map(|input| &input.name).collect();
        let found = names(inputs);
        misfits.push(format!("[[input]] names {listed:?}; the model's inputs in order: {found}"));
    } else {
        let pairs = card.inputs.iter().zip(inputs);
        misfits.extend(pairs.flat_map(|(input, spec)| input_misfits(card, input, spec)));
    }
    if let Some(spec) = output.and_then(|index| outputs.get(index)) {
        misfits.extend(output_misfit(&card.output, spec, inputs));
    }
    misfits
}

fn input_misfits(card: &Card, input: &Input, spec: &TensorSpec) -> Vec<String> {
    let mut misfits = Vec::new();
    let place = format!("input {:?}", input.name);
    if input.quantize && matches!(spec.dtype, Dtype::F32 | Dtype::F64) {
        misfits.push(format!("{place}: quantize = true, and the model takes {}", spec.dtype));
    } else if input.quantize && spec.quant.is_none() {
        misfits.push(format!("{place}: quantize = true, and the model gives no scale for it"));
    }
    let channels = input.channels.len();
    let samples = card.window.as_ref().map_or(1, |window| window.length);
    let (shape, elements) = (&spec.shape, spec.len());
    if channels == 0 {
        if !elements.is_multiple_of(samples) {
            let reason = format!("{elements} elements of shape {shape:?} in {samples} samples");
            misfits.push(format!("{place}: the model takes {reason}"));
        }
        return misfits;
    }
    let wanted = format!("{samples} samples of {channels} channels");
    if samples.checked_mul(channels) != Some(elements) {
        misfits.push(format!("{place}: the model takes {shape:?}, the card says {wanted}"));
        return misfits;
    }
    // Axes of length 1 (a batch, a width) stand wherever the model's maker wanted them.
    let axes: Vec<usize> = shape.iter().copied().filter(|&axis| axis != 1).collect();
    let (layout, in_order) = match input.layout {
        Layout::TimeChannel => ("time-channel", [samples, channels]),
        Layout::ChannelTime => ("channel-time", [channels, samples]),
    };
    let mut reversed = in_order;
    reversed.reverse();
    let without_ones =
        |axes: [usize; 2]| axes.into_iter().filter(|&axis| axis != 1).collect::<Vec<_>>();
    // A flat input holds either layout; only the other order of axes is surely wrong.
    if axes == without_ones(reversed) && axes != without_ones(in_order) {
        misfits.push(format!(
            "{place}: layout is {layout}, and the model takes {shape:?} for {wanted}"
        ));
    }
    misfits
}

fn output_misfit(output: &Output, spec: &TensorSpec, inputs: &[TensorSpec]) -> Option<String> {
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
        Kind::Classification { labels, .. } | Kind::MultiLabel { labels, .. } => {
            // A model that names the class itself gives one whole number.
            let is_class = matches!(spec.dtype, Dtype::I64 | Dtype::I32) && elements == 1;
            if is_class { None } else { counted("labels", labels.len()) }
        }
        Kind::Regression { names, .. } => counted("names", names.len()),
        Kind::Anomaly { score: AnomalyScore::Output, .. } => counted("score", 1),
        Kind::Anomaly {
            score: AnomalyScore::ReconstructionMse | AnomalyScore::ReconstructionMae,
            ..
        } => counted("reconstructed elements", inputs.first().map_or(0, TensorSpec::len)),
        Kind::Raw => None,
    }
}
