//! Runs the model with its buffers: values in, prediction out.

use std::sync::Arc;

use super::carried::{CarriedState, StatefulModel};
use super::decode::Samples;
use super::drift::FeatureExtractor;
use super::input_numbers::InputNumbers;
use super::interpret::{OutputPlan, Prediction, Scratch};
use super::model::Infer;
use super::normalize;
use super::plan::StreamPlan;
use super::problems::CompatibilityError;
use super::reject::Reject;
use super::stopwatch::Stopwatch;
use crate::bundle::card::Card;
use crate::config::Stream;
use crate::drift::Features;
use crate::tensor::{Data, Tensor, TensorSpec};

/// The input of a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum InputSource<'a> {
    /// The window that was read into [`ModelRunner::window`].
    Window,
    Whole(&'a Samples),
    /// The elements of the only input tensor.
    Tensor(&'a Data),
}

/// The model of one stream with its buffers, which are allocated once.
#[derive(Debug)]
pub(super) struct ModelRunner {
    pub(super) card: Arc<Card>,
    pub(super) plan: StreamPlan,
    model: StatefulModel,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// The samples of the current window.
    pub(super) window: Vec<f64>,
    flat: Vec<f64>,
    /// What the elements of each input are made of.
    numbers: Vec<InputNumbers>,
    scratch: Scratch,
    /// What is watched for drift; `None` where nothing is.
    features: Option<Box<FeatureExtractor>>,
}

impl ModelRunner {
    pub(super) fn new(
        stream: &Stream,
        card: Arc<Card>,
        model: Box<dyn Infer>,
    ) -> Result<Self, Vec<CompatibilityError>> {
        let plan = StreamPlan::new(stream, &card, model.inputs(), model.outputs())?;
        let model = StatefulModel::new(&card, plan.carried.clone(), model);
        let zeros = |spec: &crate::tensor::TensorSpec| Tensor::zeros(spec.dtype, &spec.shape);
        let inputs: Vec<Tensor> = model.inputs().iter().map(zeros).collect();
        let outputs = model.outputs().iter().map(zeros).collect();
        let numbers = vec![InputNumbers::default(); inputs.len()];
        let (window, flat, scratch) = (Vec::new(), Vec::new(), Scratch::default());
        Ok(Self {
            card,
            plan,
            model,
            inputs,
            outputs,
            window,
            flat,
            numbers,
            scratch,
            features: None,
        })
    }

    /// Makes the input tensors, runs the model with the device's `state`, and interprets its output as
    /// the card defines.
    pub(super) fn run(
        &mut self,
        source: InputSource<'_>,
        state: &mut Option<Box<CarriedState>>,
        watch: &mut Stopwatch<'_>,
    ) -> Result<(Prediction<'_>, &Card), Reject> {
        self.prepare(source)?;
        if let Some(features) = &mut self.features {
            let has_reals = !matches!(source, InputSource::Tensor(_));
            features.inputs(&self.plan, has_reals.then_some(&self.numbers));
        }
        watch.prepared();
        let run = self.model.run(&mut self.inputs, &mut self.outputs, state);
        watch.ran();
        run?;
        let output: &OutputPlan = &self.plan.output;
        let Some(tensor) = self.outputs.get(output.index) else {
            return Err(Reject::RunFailed { problem: "an output is missing".to_owned() });
        };
        let compared = output.compares_with().and_then(|input| self.numbers.get(input));
        let compared = compared.map_or(&[][..], InputNumbers::reals);
        let prediction = output.interpret(tensor, compared, &mut self.scratch)?;
        if let Some(features) = &mut self.features {
            features.output(&prediction);
        }
        Ok((prediction, &self.card))
    }

    /// Makes features of every run from now on.
    pub(super) fn extract_features(&mut self) -> &FeatureExtractor {
        let Self { plan, card, model, features, .. } = self;
        let extractor = FeatureExtractor::new(plan, card, model.inputs());
        features.insert(Box::new(extractor))
    }

    /// The features of the last run, if it gave a prediction.
    pub(super) fn features(&self) -> Option<&Features> {
        self.features.as_ref().map(|features| features.features())
    }

    /// The tensors of the last run, in the order of the model's inputs.
    pub(super) fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// Each input's numbers of the last run.
    pub(super) fn numbers(&self) -> &[InputNumbers] {
        &self.numbers
    }

    /// The outputs of the last run by name.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.model.outputs().iter().map(|spec| spec.name.as_str()).zip(&self.outputs)
    }

    /// All inputs of the last run, with their names; states are behind the others.
    pub(super) fn named_inputs(&self) -> Vec<(TensorSpec, Tensor)> {
        let fed = self.model.inputs().iter().zip(&self.inputs);
        fed.chain(self.model.states()).map(|(spec, it)| (spec.clone(), it.clone())).collect()
    }

    fn prepare(&mut self, source: InputSource<'_>) -> Result<(), Reject> {
        let Self { plan, inputs, numbers, window, flat, .. } = self;
        for ((input, numbers), tensor) in plan.inputs.iter().zip(numbers).zip(inputs) {
            match source {
                InputSource::Window => {
                    normalize::window(input, window, plan.width, numbers, tensor)?;
                }
                InputSource::Whole(samples) => {
                    normalize::whole(plan, input, samples, flat, numbers, tensor)?;
                }
                // The score would be of earlier samples, because those of this input are not known.
                InputSource::Tensor(_) if plan.output.compares_with().is_some() => {
                    let problem = "it is a tensor, and the score compares samples with the output";
                    let format = "of the configured shape";
                    return Err(Reject::Syntax { format, problem: problem.to_owned() });
                }
                InputSource::Tensor(data) => normalize::tensor(input, data, tensor)?,
            }
        }
        Ok(())
    }
}
