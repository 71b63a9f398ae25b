//! From the tensors and the prediction of one window to its features.

use std::sync::Arc;

use crate::bundle::card::{Card, Layout, OutputKind, SeriesLayout};
use crate::drift::{Channel, Features, MAX_CHANNELS, MAX_OUTPUTS, Output, Quantities, RESOLUTION};
use crate::pipeline::input_numbers::InputNumbers;
use crate::pipeline::interpret::{Body, Prediction};
use crate::pipeline::plan::{Cast, InputPlan, StreamPlan};
use crate::tensor::{Dtype, Quant, TensorSpec};

/// The least standard deviation of a number of unknown unit.
const RESOLUTION_OF_VALUES: f64 = 1e-9;

/// Fills the features of a stream, window by window.
#[derive(Debug)]
pub(in crate::pipeline) struct FeatureExtractor {
    quantities: Arc<Quantities>,
    features: Features,
    /// Inputs are watched as a whole: they have too many channels.
    pooled: bool,
}

impl FeatureExtractor {
    pub(in crate::pipeline) fn new(plan: &StreamPlan, card: &Card, inputs: &[TensorSpec]) -> Self {
        let all: usize = plan.inputs.iter().map(InputPlan::channels).sum();
        let pooled = all > MAX_CHANNELS;
        let channels = plan.inputs.iter().enumerate().flat_map(|(place, input)| {
            // Features are limited, and not the samples that they are made of.
            let spec = inputs.get(place).filter(|_| input.features.is_none());
            let limits = spec.and_then(|spec| limits(input.cast, spec.dtype));
            let names = if pooled { vec![input.name.clone()] } else { names(card, place, input) };
            names.into_iter().map(move |name| Channel { name, limits })
        });
        let quantities = Quantities {
            channels: channels.take(MAX_CHANNELS).collect(),
            outputs: outputs(card, plan),
            labels: match &card.output.kind {
                OutputKind::Classification { labels, .. } => labels.clone(),
                _ => Vec::new(),
            },
        };
        let features = Features::new(&quantities);
        Self { quantities: Arc::new(quantities), features, pooled }
    }

    pub(in crate::pipeline) fn quantities(&self) -> &Arc<Quantities> {
        &self.quantities
    }

    /// Takes the normalised samples of each input, before features are made of them; `None` where
    /// they are not known.
    pub(in crate::pipeline) fn inputs(
        &mut self,
        plan: &StreamPlan,
        numbers: Option<&Vec<InputNumbers>>,
    ) {
        self.features.clear();
        let Some(numbers) = numbers else { return };
        let mut first = 0;
        for (input, numbers) in plan.inputs.iter().zip(numbers) {
            let (channels, values) = (input.channels(), numbers.normalized(input));
            if self.pooled {
                self.features.set_channel(first, values.iter().copied());
                first += 1;
                continue;
            }
            let steps = (input.numbers / channels.max(1)).max(1);
            for channel in 0..channels {
                let place = first + channel;
                let Layout::Series(order) = input.layout;
                match order {
                    SeriesLayout::ChannelTime => {
                        let of_channel = values.iter().skip(channel * steps).take(steps);
                        self.features.set_channel(place, of_channel.copied());
                    }
                    SeriesLayout::TimeChannel => {
                        let of_channel = values.iter().skip(channel).step_by(channels);
                        self.features.set_channel(place, of_channel.copied());
                    }
                }
            }
            first += channels;
        }
    }

    /// Takes what the model said.
    pub(in crate::pipeline) fn output(&mut self, prediction: &Prediction<'_>) {
        let first = self.quantities.channels.len() * 2;
        let numbers = self.features.numbers.get_mut(first..).unwrap_or_default();
        let mut set = |values: &[f64]| {
            numbers.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
        };
        match &prediction.body {
            Body::Classification { scores, .. } => {
                set(&sureness(scores.all()));
                self.features.label = usize::try_from(prediction.key.subject).ok();
            }
            Body::MultiLabel { .. } => {
                set(&[prediction.key.score.map_or(f64::NAN, f64::from)]);
            }
            Body::Regression { values, .. } => {
                numbers.iter_mut().zip(*values).for_each(|(to, from)| *to = f64::from(*from));
            }
            Body::Anomaly { score, .. } => set(&[f64::from(*score)]),
            Body::Raw { .. } => {}
        }
    }

    pub(in crate::pipeline) fn features(&self) -> &Features {
        &self.features
    }
}

/// The best score, its distance to the second one, and the entropy of all in nats; NaN where there
/// are none.
fn sureness(scores: &[f32]) -> [f64; 3] {
    let (mut best, mut second, mut sum) = (f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0);
    for score in scores.iter().map(|score| f64::from(*score)) {
        if score > best {
            (best, second) = (score, best);
        } else if score > second {
            second = score;
        }
        sum += score;
    }
    let is_distribution = sum > 0.0 && scores.iter().all(|score| *score >= 0.0);
    let surprise = |score: &f32| {
        let p = f64::from(*score) / sum;
        if p > 0.0 { -p * p.ln() } else { 0.0 }
    };
    let entropy = if is_distribution { scores.iter().map(surprise).sum() } else { f64::NAN };
    [best, best - second, entropy]
}

fn names(card: &Card, place: usize, input: &InputPlan) -> Vec<String> {
    let named = card.inputs.get(place).map_or(&[][..], |input| input.channels.as_slice());
    if named.len() == input.channels() {
        return named.to_vec();
    }
    (0..input.channels()).map(|channel| format!("{}[{channel}]", input.name)).collect()
}

fn outputs(card: &Card, plan: &StreamPlan) -> Vec<Output> {
    let output = |name: &str, resolution| Output { name: name.to_owned(), resolution };
    let score = |name: &str| output(name, RESOLUTION);
    match &card.output.kind {
        OutputKind::Classification { .. } if plan.output.has_score() => {
            ["score", "margin", "entropy"].map(score).to_vec()
        }
        OutputKind::MultiLabel { .. } => vec![score("score")],
        OutputKind::Anomaly { .. } => vec![output("anomaly", RESOLUTION_OF_VALUES)],
        OutputKind::Regression { names, .. } => {
            let value = |name: &String| output(&format!("value.{name}"), RESOLUTION_OF_VALUES);
            names.iter().take(MAX_OUTPUTS).map(value).collect()
        }
        OutputKind::Classification { .. } | OutputKind::Raw => Vec::new(),
    }
}

/// The numbers that an input can hold, where it is quantized.
fn limits(cast: Cast, dtype: Dtype) -> Option<[f64; 2]> {
    let Cast::Quantize(Quant { scale, zero }) = cast else { return None };
    let [least, most] = match dtype {
        Dtype::I8 => [f64::from(i8::MIN), f64::from(i8::MAX)],
        Dtype::U8 => [0.0, f64::from(u8::MAX)],
        Dtype::I16 => [f64::from(i16::MIN), f64::from(i16::MAX)],
        Dtype::U16 => [0.0, f64::from(u16::MAX)],
        _ => return None,
    };
    Some([least, most].map(|stored| (stored - f64::from(zero)) * f64::from(scale)))
}
