//! The function that makes a value.

use super::{Analysis, Ending, moves};
use crate::engine::classical::{self, Scores};
use crate::engine::graph::Node;

impl Analysis<'_> {
    /// The function that makes the numbers of `name`.
    pub(super) fn ending(&self, name: &str) -> Ending {
        if let Some(&known) = self.endings.borrow().get(name) {
            return known;
        }
        let structure = self.visit(name, |node, place| self.ending_of(node, place));
        let found = match structure.unwrap_or_default() {
            Ending::Unknown if self.is_unit(name) => Ending::Probabilities,
            found => found,
        };
        self.endings.borrow_mut().insert(name.to_owned(), found);
        found
    }

    pub(super) fn ending_of(&self, node: &Node, place: usize) -> Ending {
        if moves(node) {
            return self.ending(node.input(0));
        }
        match node.op.as_str() {
            "Softmax" => Ending::Softmax,
            "QLinearSoftmax" => Ending::Softmax,
            "LogSoftmax" => Ending::LogSoftmax,
            "Sigmoid" | "QLinearSigmoid" => Ending::Sigmoid,
            "TreeEnsembleClassifier" | "LinearClassifier" | "SVMClassifier" if place == 1 => {
                scores(node)
            }
            "Gemm" | "MatMul" | "Conv" | "ConvTranspose" | "MatMulInteger" | "ConvInteger"
            | "QLinearMatMul" | "QLinearConv" | "QGemm" | "FusedMatMul" | "FusedGemm"
            | "LinearRegressor" => self.sums(node),
            "Div" => self.quotient(node.input(0), node.input(1)),
            "Mul" => self.product(node),
            "Reciprocal" if self.is_one_and_exp(node.input(0)) => Ending::Sigmoid,
            "Log" if self.ending(node.input(0)) == Ending::Softmax => Ending::LogSoftmax,
            "Exp" if self.ending(node.input(0)) == Ending::LogSoftmax => Ending::Softmax,
            "Sub" if self.is_log_of_sum(node.input(1)) => Ending::LogSoftmax,
            "Add" | "Sub" | "QLinearAdd" | "BatchNormalization" => self.moved(node),
            "GlobalAveragePool" | "AveragePool" | "ReduceMean" | "ReduceMax" | "Max" | "Min"
            | "Clip" => self.same(node),
            "Concat" => self.joined(node),
            _ => Ending::Unknown,
        }
    }

    /// Products with a fused activation are unknown.
    fn sums(&self, node: &Node) -> Ending {
        let fused = node.attribute("activation").is_some();
        if fused { Ending::Unknown } else { Ending::Sums }
    }

    /// `exp(x) / sum(exp(x))`, `1 / (1 + exp(-x))`, a sum divided by a constant.
    fn quotient(&self, above: &str, below: &str) -> Ending {
        if self.number(above) == Some(1.0) && self.is_one_and_exp(below) {
            return Ending::Sigmoid;
        }
        match self.is_sum_of(below, above) {
            true if self.is_made_by(above, "Exp") => Ending::Softmax,
            true if self.is_unit(above) => Ending::Probabilities,
            _ if self.constants.contains_key(below) => self.only_sums(above),
            _ => Ending::Unknown,
        }
    }

    /// `exp(x) * (1 / sum(exp(x)))`, a sum times a constant.
    fn product(&self, node: &Node) -> Ending {
        let (a, b) = (node.input(0), node.input(1));
        for (above, factor) in [(a, b), (b, a)] {
            if let Some((inverse, _)) = self.maker(factor)
                && inverse.op == "Reciprocal"
            {
                return self.quotient(above, inverse.input(0));
            }
            if self.constants.contains_key(factor) {
                return self.only_sums(above);
            }
        }
        Ending::Unknown
    }

    /// Sums stay sums when something is added to them; `0.5 + 0.5 tanh(x / 2)` is a sigmoid.
    fn moved(&self, node: &Node) -> Ending {
        let (a, b) = (node.input(0), node.input(1));
        if node.op == "Add" && (self.is_half_tanh(a, b) || self.is_half_tanh(b, a)) {
            return Ending::Sigmoid;
        }
        match (self.only_sums(a), self.only_sums(b)) {
            (Ending::Sums, _) | (_, Ending::Sums) => Ending::Sums,
            _ => Ending::Unknown,
        }
    }

    /// Means and bounds of sums are sums, of probabilities they are probabilities.
    fn same(&self, node: &Node) -> Ending {
        match self.ending(node.input(0)) {
            Ending::Sums if node.op == "Clip" => Ending::Unknown,
            found @ (Ending::Sums | Ending::Sigmoid) => found,
            Ending::Softmax if matches!(node.op.as_str(), "Clip" | "Max" | "Min") => {
                Ending::Softmax
            }
            _ => Ending::Unknown,
        }
    }

    fn joined(&self, node: &Node) -> Ending {
        let mut endings = node.inputs.iter().map(|name| self.ending(name));
        let Some(first) = endings.next() else { return Ending::Unknown };
        if endings.all(|ending| ending == first) { first } else { Ending::Unknown }
    }

    fn only_sums(&self, name: &str) -> Ending {
        match self.ending(name) {
            Ending::Sums => Ending::Sums,
            _ => Ending::Unknown,
        }
    }

    fn is_made_by(&self, name: &str, op: &str) -> bool {
        self.maker(name).is_some_and(|(node, _)| node.op == op)
    }

    /// Whether `name` is the sum of `of`, perhaps kept from zero.
    pub(super) fn is_sum_of(&self, name: &str, of: &str) -> bool {
        let sum = self.visit(name, |node, _| match node.op.as_str() {
            "ReduceSum" | "ReduceL1" => node.input(0) == of,
            "Add" | "Max" => {
                let (a, b) = (node.input(0), node.input(1));
                (self.constants.contains_key(b) && self.is_sum_of(a, of))
                    || (self.constants.contains_key(a) && self.is_sum_of(b, of))
            }
            "Clip" => self.is_sum_of(node.input(0), of),
            _ => moves(node) && self.is_sum_of(node.input(0), of),
        });
        sum.unwrap_or(false)
    }

    /// `1 + exp(x)`
    fn is_one_and_exp(&self, name: &str) -> bool {
        self.maker(name).is_some_and(|(node, _)| {
            let (a, b) = (node.input(0), node.input(1));
            let is =
                |one: &str, exp: &str| self.number(one) == Some(1.0) && self.is_made_by(exp, "Exp");
            node.op == "Add" && (is(a, b) || is(b, a))
        })
    }

    /// `log(sum(exp(x)))`
    fn is_log_of_sum(&self, name: &str) -> bool {
        let is_log = |node: &Node| match node.op.as_str() {
            "ReduceLogSumExp" => true,
            "Log" => self.maker(node.input(0)).is_some_and(|(sum, _)| {
                sum.op == "ReduceSum" && self.is_made_by(sum.input(0), "Exp")
            }),
            _ => false,
        };
        self.maker(name).is_some_and(|(node, _)| {
            // With the largest taken off before.
            let parts = node.inputs.iter().filter_map(|name| self.maker(name));
            is_log(node) || (node.op == "Add" && parts.into_iter().any(|(n, _)| is_log(n)))
        })
    }

    /// `0.5` and `0.5 * tanh(x)`
    fn is_half_tanh(&self, half: &str, product: &str) -> bool {
        let is_half = |name: &str| self.number(name) == Some(0.5);
        is_half(half)
            && self.maker(product).is_some_and(|(node, _)| {
                let (a, b) = (node.input(0), node.input(1));
                node.op == "Mul"
                    && ((is_half(a) && self.is_made_by(b, "Tanh"))
                        || (is_half(b) && self.is_made_by(a, "Tanh")))
            })
    }
}

pub(super) fn scores(node: &Node) -> Ending {
    match classical::describe(node) {
        Some((_, Scores::Softmax)) => Ending::Softmax,
        Some((_, Scores::Sigmoid)) => Ending::Sigmoid,
        Some((_, Scores::Probabilities | Scores::Votes)) => Ending::Probabilities,
        Some((_, Scores::Sums)) => Ending::Sums,
        Some((_, Scores::OtherThanLabel | Scores::Unknown)) | None => Ending::Unknown,
    }
}
