//! Bounds of values for any input.

use super::{Analysis, Ending, moves};
use crate::engine::graph::Node;

/// The lowest and the highest number; infinite without a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    low: f64,
    high: f64,
}

const ANY: Range = Range { low: f64::NEG_INFINITY, high: f64::INFINITY };
const UNIT: Range = Range { low: 0.0, high: 1.0 };
/// Rounding may exceed the bounds by this much.
const ROUNDING: f64 = 1e-3;

impl Analysis<'_> {
    /// Whether the numbers of `name` are between 0 and 1, and not constant.
    pub(super) fn is_unit(&self, name: &str) -> bool {
        let Range { low, high } = self.range(name);
        !self.constants.contains_key(name) && low >= -ROUNDING && high <= 1.0 + ROUNDING
    }

    fn range(&self, name: &str) -> Range {
        if let Some(values) = self.reals(name) {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            return if low <= high { Range { low, high } } else { ANY };
        }
        if let Some(&known) = self.ranges.borrow().get(name) {
            return known;
        }
        let found = self.visit(name, |node, place| self.range_of(node, place)).unwrap_or(ANY);
        self.ranges.borrow_mut().insert(name.to_owned(), found);
        found
    }

    fn range_of(&self, node: &Node, place: usize) -> Range {
        let of = |place: usize| self.range(node.input(place));
        if moves(node) {
            return of(0);
        }
        match node.op.as_str() {
            "Softmax" | "Sigmoid" | "HardSigmoid" | "QLinearSoftmax" | "QLinearSigmoid" => UNIT,
            "TreeEnsembleClassifier" | "LinearClassifier" | "SVMClassifier" if place == 1 => {
                match super::trace::scores(node) {
                    Ending::Softmax | Ending::Sigmoid | Ending::Probabilities => UNIT,
                    _ => ANY,
                }
            }
            "Div" | "Mul" | "Reciprocal" if self.is_activation(node) => UNIT,
            "Tanh" => Range { low: -1.0, high: 1.0 },
            "Relu" => Range { low: of(0).low.max(0.0), high: of(0).high.max(0.0) },
            "Clip" => self.clipped(node),
            "Neg" => Range { low: -of(0).high, high: -of(0).low },
            "Add" => added(of(0), of(1)),
            "Sum" | "Mean" => {
                let total = node.inputs.iter().map(|name| self.range(name)).reduce(added);
                #[expect(clippy::cast_precision_loss, reason = "a node has few inputs")]
                let count = if node.op == "Mean" { node.inputs.len() as f64 } else { 1.0 };
                total.map_or(ANY, |r| Range { low: r.low / count, high: r.high / count })
            }
            "Sub" => added(of(0), Range { low: -of(1).high, high: -of(1).low }),
            "Mul" => multiplied(of(0), of(1)),
            "Div" => match self.range(node.input(1)) {
                by if by.low > 0.0 && self.constants.contains_key(node.input(1)) => {
                    multiplied(of(0), Range { low: 1.0 / by.high, high: 1.0 / by.low })
                }
                _ => ANY,
            },
            "Max" | "Min" => node
                .inputs
                .iter()
                .map(|name| self.range(name))
                .reduce(|a, b| match node.op.as_str() {
                    "Max" => Range { low: a.low.max(b.low), high: a.high.max(b.high) },
                    _ => Range { low: a.low.min(b.low), high: a.high.min(b.high) },
                })
                .unwrap_or(ANY),
            "GlobalAveragePool" | "AveragePool" | "MaxPool" | "GlobalMaxPool" | "ReduceMean"
            | "ReduceMax" | "ReduceMin" => of(0),
            "Where" => union(of(1), of(2)),
            "Concat" => {
                node.inputs.iter().map(|name| self.range(name)).reduce(union).unwrap_or(ANY)
            }
            // The absolute values of a row add up to 1.
            "LpNormalization" if node.int("p") == Some(1) && of(0).low >= 0.0 => UNIT,
            "Normalizer" if of(0).low >= 0.0 => UNIT,
            _ => ANY,
        }
    }

    /// Whether the node is the last one of a decomposed sigmoid or softmax.
    fn is_activation(&self, node: &Node) -> bool {
        matches!(self.ending_of(node, 0), Ending::Softmax | Ending::Sigmoid | Ending::Probabilities)
    }

    /// The range of a Clip, whose bounds are attributes before opset 11 and inputs since.
    fn clipped(&self, node: &Node) -> Range {
        let bound = |name: &str, place: usize, none: f64| {
            let given = node.float(name).map(f64::from);
            let of = node.input(place);
            given.or_else(|| self.number(of)).unwrap_or(none)
        };
        let inner = self.range(node.input(0));
        let (low, high) = (bound("min", 1, ANY.low), bound("max", 2, ANY.high));
        Range { low: inner.low.max(low), high: inner.high.min(high) }
    }
}

fn added(a: Range, b: Range) -> Range {
    Range { low: a.low + b.low, high: a.high + b.high }
}

fn union(a: Range, b: Range) -> Range {
    Range { low: a.low.min(b.low), high: a.high.max(b.high) }
}

fn multiplied(a: Range, b: Range) -> Range {
    if ![a.low, a.high, b.low, b.high].iter().all(|x| x.is_finite()) {
        return ANY;
    }
    let products = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
    Range {
        low: products.iter().copied().fold(f64::INFINITY, f64::min),
        high: products.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}
