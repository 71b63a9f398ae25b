//! Outputs that are the number of a class, and the scores by which it is chosen.

use super::{Analysis, Label, moves};
use crate::engine::classical::{self, ClassLabels, Scores};
use crate::engine::graph::Node;
use std::collections::BTreeSet;

/// A class and the value whose highest element selects it.
#[derive(Default)]
struct Chosen {
    ids: Vec<i64>,
    by: Option<String>,
    /// Whether the value is of scores that do not select it.
    against: bool,
}

impl Analysis<'_> {
    /// The label that the output `name` is; none if it is not a class. `outputs` are all of the
    /// graph.
    pub(super) fn label(&self, name: &str, outputs: &[&str]) -> Option<Label> {
        let chosen = self.chosen(name)?;
        let related = |output: &&str| match &chosen.by {
            Some(by) => *output != name && self.ranks_as(output, by),
            None => false,
        };
        let places = outputs.iter().enumerate().filter(|(_, output)| related(output));
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        let (scores, against) =
            if chosen.against { (Vec::new(), places) } else { (places, Vec::new()) };
        Some(Label { ids: chosen.ids, scores, against })
    }

    fn chosen(&self, name: &str) -> Option<Chosen> {
        self.visit(name, |node, place| self.chosen_by(node, place)).flatten()
    }

    fn chosen_by(&self, node: &Node, place: usize) -> Option<Chosen> {
        let by = |name: &str| Some(name.to_owned());
        match node.op.as_str() {
            "ArgMax" => Some(Chosen { by: by(node.input(0)), ..Chosen::default() }),
            "ArgMin" => Some(Chosen::default()),
            "TopK" if place == 1 => Some(Chosen { by: by(node.input(0)), ..Chosen::default() }),
            "TreeEnsembleClassifier" | "LinearClassifier" | "SVMClassifier" if place == 0 => {
                let (labels, scores) = classical::describe(node)?;
                let ids = match labels {
                    ClassLabels::Numbers(ids) => ids,
                    ClassLabels::Texts(_) => Vec::new(),
                };
                let agree = !matches!(scores, Scores::Votes | Scores::Unknown);
                let by = node.outputs.get(1).filter(|_| agree).cloned();
                Some(Chosen { ids, by, against: scores == Scores::OtherThanLabel })
            }
            "ArrayFeatureExtractor" | "Gather" if self.constants.contains_key(node.input(0)) => {
                let chosen = self.chosen(node.input(1))?;
                Some(Chosen { ids: self.whole(node.input(0)).unwrap_or_default(), ..chosen })
            }
            "Cast" => self.chosen(node.input(0)),
            _ if moves(node) => self.chosen(node.input(0)),
            _ => None,
        }
    }

    /// A constant of whole numbers.
    fn whole(&self, name: &str) -> Option<Vec<i64>> {
        let whole = |x: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
            let id = x as i64;
            #[expect(clippy::cast_precision_loss, reason = "compared with what it was")]
            let same = (id as f64).to_bits() == x.to_bits() || id == 0;
            same.then_some(id)
        };
        self.reals(name)?.into_iter().map(whole).collect()
    }

    /// Whether the highest element of `output` is that of `by`: one is computed from the other, or
    /// both from a third value, by functions that keep the order within a row.
    fn ranks_as(&self, output: &str, by: &str) -> bool {
        let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
        self.ranked(output, &mut ours);
        self.ranked(by, &mut theirs);
        !ours.is_disjoint(&theirs)
    }

    fn ranked(&self, name: &str, into: &mut BTreeSet<String>) {
        into.insert(name.to_owned());
        self.visit(name, |node, _| {
            if keeps_order(node) || self.divides_by_sum(node) {
                self.ranked(node.input(0), into);
            }
        });
    }

    fn divides_by_sum(&self, node: &Node) -> bool {
        node.op == "Div" && self.is_sum_of(node.input(1), node.input(0))
    }
}

fn keeps_order(node: &Node) -> bool {
    let reshapes = matches!(
        node.op.as_str(),
        "Identity" | "Dropout" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Cast"
    );
    let grows = matches!(
        node.op.as_str(),
        "Softmax"
            | "LogSoftmax"
            | "Sigmoid"
            | "Exp"
            | "LpNormalization"
            | "Normalizer"
            | "QuantizeLinear"
            | "DequantizeLinear"
    );
    reshapes || grows
}
