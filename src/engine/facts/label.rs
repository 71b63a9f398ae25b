//! Which outputs are the number of a class, and by which scores it was chosen.

use super::{Known, Label, input, moves};
use crate::engine::classifier;
use std::collections::BTreeSet;
use tract_onnx::pb::NodeProto;

/// A class, and the value whose highest element chose it.
#[derive(Default)]
struct Chosen {
    ids: Vec<i64>,
    by: Option<String>,
}

impl Known<'_> {
    /// The class that the output `name` is, where it is one. `outputs` are all of the graph's.
    pub(super) fn label(&self, name: &str, outputs: &[&str]) -> Option<Label> {
        let chosen = self.chosen(name)?;
        let related = |output: &&str| match &chosen.by {
            Some(by) => *output != name && self.ranks_as(output, by),
            None => false,
        };
        let places = outputs.iter().enumerate().filter(|(_, output)| related(output));
        Some(Label { ids: chosen.ids, scores: places.map(|(place, _)| place).collect() })
    }

    fn chosen(&self, name: &str) -> Option<Chosen> {
        self.within(name, |node, place| self.chosen_by(node, place)).flatten()
    }

    fn chosen_by(&self, node: &NodeProto, place: usize) -> Option<Chosen> {
        let by = |name: &str| Some(name.to_owned());
        match node.op_type.as_str() {
            "ArgMax" => Some(Chosen { ids: Vec::new(), by: by(input(node, 0)) }),
            "ArgMin" => Some(Chosen::default()),
            "TopK" if place == 1 => Some(Chosen { ids: Vec::new(), by: by(input(node, 0)) }),
            "TreeEnsembleClassifier" | "LinearClassifier" if place == 0 => {
                let (ids, _) = classifier::describe(node)?;
                Some(Chosen { ids, by: node.output.get(1).cloned() })
            }
            "ArrayFeatureExtractor" | "Gather" if self.constants.contains_key(input(node, 0)) => {
                let chosen = self.chosen(input(node, 1))?;
                Some(Chosen { ids: self.whole(input(node, 0)).unwrap_or_default(), ..chosen })
            }
            "Cast" => self.chosen(input(node, 0)),
            _ if moves(node) => self.chosen(input(node, 0)),
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

    /// Whether the highest element of `output` is that of `by`: the one is made of the other, or both
    /// of a third, by functions that keep the order within a row.
    fn ranks_as(&self, output: &str, by: &str) -> bool {
        let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
        self.ranked(output, &mut ours);
        self.ranked(by, &mut theirs);
        !ours.is_disjoint(&theirs)
    }

    fn ranked(&self, name: &str, into: &mut BTreeSet<String>) {
        into.insert(name.to_owned());
        self.within(name, |node, _| {
            if keeps_order(node) || self.divides_by_sum(node) {
                self.ranked(input(node, 0), into);
            }
        });
    }

    fn divides_by_sum(&self, node: &NodeProto) -> bool {
        node.op_type == "Div" && self.is_sum_of(input(node, 1), input(node, 0))
    }
}

fn keeps_order(node: &NodeProto) -> bool {
    let reshapes = matches!(
        node.op_type.as_str(),
        "Identity" | "Dropout" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Cast"
    );
    let grows = matches!(
        node.op_type.as_str(),
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
