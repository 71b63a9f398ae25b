//! Selection of the model output that `[output]` of the card describes, and checks of its
//! activation.

use super::card::{Activation, AnomalyScore, Card, OutputKind};
use crate::engine::{Ending, OutputFact};
use crate::tensor::{Dtype, TensorSpec};

/// The output that is interpreted.
#[derive(Debug, Default)]
pub(super) struct OutputChoice {
    /// The index of the output; `None` if the card names one that does not exist.
    pub index: Option<usize>,
    /// The class ids of an output that is a class only, unless they count from 0.
    pub class_ids: Vec<i64>,
    pub mismatches: Vec<String>,
    pub warnings: Vec<String>,
}

/// Selects the output. If the model has a class and the scores it was chosen by, the scores are
/// selected.
pub(super) fn choose(card: &Card, outputs: &[TensorSpec], facts: &[OutputFact]) -> OutputChoice {
    let name = card.output.name.as_deref();
    let of_name = |name: &str| outputs.iter().position(|spec| spec.name == name);
    let Some(index) = name.map_or((!outputs.is_empty()).then_some(0), of_name) else {
        let (name, found) = (name.unwrap_or("the first"), listed(outputs));
        let mismatch = format!("output.name is {name:?}; the model's outputs: {found}");
        return OutputChoice { mismatches: vec![mismatch], ..OutputChoice::default() };
    };
    let mut chosen = OutputChoice { index: Some(index), ..OutputChoice::default() };
    let model = Outputs { specs: outputs, facts };
    chosen.mismatches.extend(against_label(card, &model, index));
    if model.is_class(index) {
        choose_for_class(card, &model, index, &mut chosen);
    }
    let fact = chosen.index.and_then(|i| facts.get(i).zip(outputs.get(i)));
    if let Some((fact, spec)) = fact {
        check_activation(card, spec, fact.ending, &mut chosen);
    }
    chosen
}

struct Outputs<'a> {
    specs: &'a [TensorSpec],
    facts: &'a [OutputFact],
}

impl Outputs<'_> {
    fn name(&self, index: usize) -> &str {
        self.specs.get(index).map_or("", |spec| &spec.name)
    }

    /// Whether the output contains classes: by the graph, or as integers that are not quantized.
    fn is_class(&self, index: usize) -> bool {
        let by_graph = self.facts.get(index).is_some_and(|fact| fact.label.is_some());
        let whole = |spec: &TensorSpec| {
            matches!(spec.dtype, Dtype::I32 | Dtype::I64) && spec.quant.is_none()
        };
        by_graph || self.specs.get(index).is_some_and(whole)
    }

    /// Whether the output can be the scores that the card describes.
    fn fits(&self, index: usize, card: &Card) -> bool {
        let Some(spec) = self.specs.get(index) else { return false };
        let count = spec.len();
        !self.is_class(index)
            && spec.dtype != Dtype::Bool
            && match &card.output.kind {
                OutputKind::Classification { labels, .. } => {
                    count == labels.len() || (count == 1 && labels.len() == 2)
                }
                OutputKind::MultiLabel { labels, .. } => count == labels.len(),
                OutputKind::Anomaly { score: AnomalyScore::Output, .. } => count == 1,
                _ => false,
            }
    }
}

/// Why the output that a card names cannot be its scores: the model's own label is another class
/// than that with the highest of them.
fn against_label(card: &Card, model: &Outputs<'_>, index: usize) -> Option<String> {
    let OutputKind::Classification { .. } = card.output.kind else { return None };
    let against =
        |fact: &OutputFact| fact.label.as_ref().is_some_and(|label| label.against.contains(&index));
    let label = model.facts.iter().position(against)?;
    let (name, label) = (model.name(index), model.name(label));
    Some(format!(
        "output {name:?} has its highest score at another class than the model's own label in \
         {label:?} (support vectors without probabilities): write output.name = {label:?}, or \
         train with probability=True"
    ))
}

/// Selects the scores for an output that is a class, if there are any.
fn choose_for_class(card: &Card, model: &Outputs<'_>, class: usize, chosen: &mut OutputChoice) {
    let mut label = model.facts.get(class).and_then(|fact| fact.label.clone()).unwrap_or_default();
    if label.ids.is_empty() {
        let classes = model.facts.get(class).map_or(0, |fact| fact.classes.len());
        label.ids = (0..).take(classes).collect();
    }
    let other = |i: &usize| *i != class && !label.against.contains(i);
    let fitting: Vec<usize> =
        (0..model.specs.len()).filter(|i| other(i) && model.fits(*i, card)).collect();
    let related: Vec<usize> =
        fitting.iter().copied().filter(|i| label.scores.contains(i)).collect();
    let is_probability = |&&i: &&usize| {
        let ending = model.facts.get(i).map(|fact| fact.ending);
        matches!(ending, Some(Ending::Softmax | Ending::Sigmoid | Ending::Probabilities))
    };
    let best = |of: &[usize]| of.iter().find(is_probability).or(of.first()).copied();
    let scores = best(&related).or_else(|| best(&fitting));
    let single = model.specs.get(class).is_some_and(|spec| spec.len() == 1);
    let is_named = card.output.name.is_some();
    let label_name = model.name(class);
    match scores {
        Some(scores) if !is_named => {
            chosen.warnings.push(format!(
                "the card names no output, and the model's first one, {label_name:?}, is a class \
                 without a score: the scores in {:?} are published; write output.name = {:?} in \
                 the card",
                model.name(scores),
                model.name(scores)
            ));
            chosen.index = Some(scores);
        }
        Some(scores) if related.contains(&scores) => {
            chosen.warnings.push(format!(
                "output.name = {label_name:?} is the class with the highest score in {:?}: label \
                 and scores are taken from there; write output.name = {:?} in the card",
                model.name(scores),
                model.name(scores)
            ));
            chosen.index = Some(scores);
        }
        Some(scores) if matches!(card.output.kind, OutputKind::Classification { .. }) && single => {
            chosen.mismatches.push(format!(
                "output.name = {label_name:?} is a class, the model also gives scores in {:?}, and \
                 its graph does not show that the two agree: write output.name = {:?}, and the \
                 label is the one with the highest score",
                model.name(scores),
                model.name(scores)
            ));
        }
        _ => class_alone(card, &label.ids, label_name, single, chosen),
    }
}

/// Uses an output that is a class only: its ids are the labels in their order.
fn class_alone(card: &Card, ids: &[i64], name: &str, single: bool, chosen: &mut OutputChoice) {
    let OutputKind::Classification { labels, threshold, .. } = &card.output.kind else { return };
    if !single {
        return;
    }
    if card.output.activation != Activation::None {
        chosen
            .mismatches
            .push(format!("output {name:?} is a class, not a score: write activation = \"none\""));
    }
    if *threshold > 0.0 {
        chosen.mismatches.push(format!(
            "output {name:?} is a class without a score, and threshold = {threshold} asks for one: \
             name an output with scores, or leave threshold out"
        ));
    }
    if ids.is_empty() {
        return;
    }
    if ids.len() != labels.len() {
        let (found, wanted) = (ids.len(), labels.len());
        chosen.mismatches.push(format!(
            "output {name:?} is one of {found} classes {ids:?}, and the card has {wanted} labels"
        ));
    } else if !ids.iter().copied().eq((0..).take(ids.len())) {
        chosen.class_ids = ids.to_vec();
    }
}

/// Whether the activation of the card makes scores of the last operator of the graph.
fn check_activation(card: &Card, spec: &TensorSpec, ending: Ending, chosen: &mut OutputChoice) {
    let name = &spec.name;
    let made_by = match ending {
        Ending::Softmax => "the output of a softmax",
        Ending::LogSoftmax => "the output of a log-softmax",
        Ending::Sigmoid => "the output of a sigmoid",
        Ending::Probabilities => "between 0 and 1 already",
        Ending::Sums => "sums without bounds (logits)",
        Ending::Unknown => return,
    };
    let written = match card.output.activation {
        Activation::None => "none",
        Activation::Softmax => "softmax",
        Activation::Sigmoid => "sigmoid",
    };
    let single = spec.len() == 1;
    let right = match (ending, card.output.activation) {
        (Ending::Sums, Activation::Softmax | Activation::Sigmoid)
        | (Ending::LogSoftmax, Activation::Softmax)
        | (Ending::Softmax | Ending::Sigmoid | Ending::Probabilities, Activation::None) => return,
        (Ending::LogSoftmax, _) => "softmax",
        (Ending::Sums, Activation::None) => match &card.output.kind {
            OutputKind::Classification { .. } if !single => "softmax",
            _ => "sigmoid",
        },
        _ => "none",
    };
    if card.output.activation != Activation::None {
        chosen.mismatches.push(format!(
            "output {name:?}: activation = {written:?}, and the model's numbers are {made_by}: \
             write activation = {right:?}"
        ));
    } else if matches!(
        card.output.kind,
        OutputKind::Classification { .. } | OutputKind::MultiLabel { .. }
    ) {
        chosen.warnings.push(format!(
            "output {name:?}: activation = \"none\", and the model's numbers are {made_by}, not \
             probabilities; thresholds and publish.min_score compare with them as they are: write \
             activation = {right:?} in the card"
        ));
    }
}

fn listed(specs: &[TensorSpec]) -> String {
    let shown = specs.iter().map(|spec| format!("{:?} {} {:?}", spec.name, spec.dtype, spec.shape));
    shown.collect::<Vec<_>>().join(", ")
}
