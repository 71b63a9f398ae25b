//! The card's inputs paired with the model's.

use crate::bundle::card::{Card, FeatureSpec, InputSpec, Layout, Normalize};
use crate::bundle::feature_spec::misfit;
use crate::bundle::layout::ShapeFit;
use crate::features::FeaturePlan;
use crate::pipeline::problems::Problems;
use crate::tensor::TensorSpec;

/// One model input with what the card says of it.
pub(super) struct Draft<'a> {
    pub(super) input: InputSpec,
    pub(super) spec: &'a TensorSpec,
    /// Numbers of a sample, or of a whole input, that go into it.
    pub(super) width: usize,
    /// What makes the input of the numbers, unless they are it.
    pub(super) features: Option<FeaturePlan>,
}

impl Draft<'_> {
    /// Numbers that are gathered for the input.
    pub(super) fn numbers(&self) -> usize {
        let source = self.features.as_ref().map(FeaturePlan::source);
        source.map_or(self.spec.len(), |source| source.samples.saturating_mul(source.channels))
    }

    /// The channels that the card has for it; 0 if they follow from other things.
    pub(super) fn channels(&self) -> usize {
        let source = self.features.as_ref().map(FeaturePlan::source);
        source.map_or(self.input.channels.len(), |source| source.channels)
    }
}

/// Pairs the card's inputs with the model's. A card without inputs takes the model's as they are.
pub(super) fn drafts<'a>(
    card: &Card,
    specs: &'a [TensorSpec],
    problems: &mut Problems,
) -> Vec<Draft<'a>> {
    let plain = |spec: &TensorSpec| InputSpec {
        name: spec.name.clone(),
        channels: Vec::new(),
        layout: Layout::TIME_CHANNEL,
        normalize: Normalize::None,
        features: FeatureSpec::default(),
        quantize: false,
    };
    let inputs: Vec<InputSpec> = if card.inputs.is_empty() {
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
        let features = match input.feature_plan(card.window.as_ref()).transpose() {
            Ok(features) => features,
            Err(error) => {
                problems.add("card: input.features", error.to_string());
                continue;
            }
        };
        let width = match &features {
            Some(plan) => featured(plan, &input, spec, card, problems),
            None => width(card, &input, spec, problems),
        };
        if let Some(width) = width {
            drafts.push(Draft { input, spec, width, features });
        }
    }
    drafts
}

/// As [`width`], of numbers that features are made of.
fn featured(
    plan: &FeaturePlan,
    input: &InputSpec,
    spec: &TensorSpec,
    card: &Card,
    problems: &mut Problems,
) -> Option<usize> {
    if let Some(problem) = misfit(plan, &input.name, &spec.shape) {
        problems.add("card: input.features", problem);
        return None;
    }
    let source = plan.source();
    let samples = if card.window.is_some() { 1 } else { source.samples };
    Some(source.channels.saturating_mul(samples))
}

fn width(
    card: &Card,
    input: &InputSpec,
    spec: &TensorSpec,
    problems: &mut Problems,
) -> Option<usize> {
    let Some(window) = &card.window else { return Some(spec.len()) };
    if window.length == 0 || window.hop == 0 {
        problems.add("card: window", "length and hop must be at least 1");
        return None;
    }
    let channels = match input.channels.len() {
        0 => spec.len() / window.length,
        n => n,
    };
    let (length, shape) = (window.length, &spec.shape);
    let Layout::Series(order) = input.layout;
    let fit = match channels {
        0 => ShapeFit::WrongCount,
        _ => order.fit(shape, length, channels),
    };
    match fit {
        ShapeFit::Fits => {}
        ShapeFit::WrongCount => {
            let problem = format!(
                "{length} samples of {channels} channels are not the {} elements {shape:?} of \
                 input {:?}",
                spec.len(),
                spec.name
            );
            problems.add("card: window.length", problem);
            return None;
        }
        ShapeFit::Reversed | ShapeFit::Different => {
            let (layout, wanted) = (order.name(), order.axes(length, channels));
            let axes: Vec<usize> = shape.iter().copied().filter(|&n| n != 1).collect();
            let problem = format!("{layout} is {wanted:?}, but input {:?} is {axes:?}", spec.name);
            problems.add("card: input.layout", problem);
        }
    }
    Some(channels)
}
