//! The nodes that replace a classifier.

use super::{Classifier, Form, Sums, Transform, constant_ranks, is_decomposed};
use crate::engine::graph::{Attribute, ElementType, Graph, Node, TensorData};
use crate::tensor::{Data, Tensor};
use std::collections::HashMap;

/// Replaces the classifiers in `graph` and in the graphs inside it, and the selections that
/// exporters write after them. Classifiers that [`super::check`] refuses are left unchanged.
pub(in crate::engine) fn decompose(graph: &mut Graph) {
    graph.nodes.iter_mut().flat_map(Node::subgraphs_mut).for_each(decompose);
    if !graph.nodes.iter().any(is_decomposed) {
        return;
    }
    let ranks = constant_ranks(graph);
    let mut nodes = Vec::new();
    let mut constants = Vec::new();
    for node in std::mem::take(&mut graph.nodes) {
        if !is_decomposed(&node) {
            nodes.push(node);
            continue;
        }
        let mut replacement = Replacement::of(&node);
        match Classifier::of(&node) {
            Some(Ok(classifier)) => replacement.classifier(&classifier),
            Some(Err(_)) => replacement.nodes.push(node.clone()),
            None => replacement.selection(&ranks),
        }
        nodes.append(&mut replacement.nodes);
        constants.append(&mut replacement.constants);
    }
    graph.nodes = nodes;
    graph.initializers.extend(constants);
}

/// The nodes and constants instead of a node.
struct Replacement<'a> {
    node: &'a Node,
    /// Prefix of the names of new values.
    base: &'a str,
    nodes: Vec<Node>,
    constants: Vec<TensorData>,
}

impl<'a> Replacement<'a> {
    fn of(node: &'a Node) -> Self {
        let base = node.outputs.iter().find(|o| !o.is_empty()).map_or("", String::as_str);
        Self { node, base, nodes: Vec::new(), constants: Vec::new() }
    }

    fn name(&self, part: &str) -> String {
        format!("{}#{part}", self.base)
    }

    fn constant(&mut self, part: &str, shape: &[usize], data: Data) -> String {
        let name = self.name(part);
        let tensor = Tensor { shape: shape.to_vec(), data };
        self.constants.push(TensorData::from_tensor(name.clone(), &tensor));
        name
    }

    /// Adds a node that makes `output`.
    fn push(&mut self, op: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) {
        self.nodes.push(Node {
            name: output.to_owned(),
            op: op.to_owned(),
            inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
            outputs: vec![output.to_owned()],
            attributes,
            original: self.node.name.clone(),
            ..Node::default()
        });
    }

    fn then(&mut self, op: &str, inputs: &[&str], part: &str) -> String {
        let output = self.name(part);
        self.push(op, inputs, &output, Vec::new());
        output
    }

    /// Adds a node for the classifier's output `place`, unless the model leaves that out.
    fn finish(&mut self, op: &str, inputs: &[&str], place: usize, attributes: Vec<Attribute>) {
        if let Some(output) = self.node.outputs.get(place).filter(|o| !o.is_empty()) {
            self.push(op, inputs, output, attributes);
        }
    }

    fn classifier(&mut self, classifier: &Classifier) {
        let sums = self.sums(classifier);
        match classifier.form {
            Form::Each(transform) => self.each(&sums, transform, &classifier.ids),
            one => self.binary(&sums, one, &classifier.ids),
        }
    }

    /// Adds the nodes of the sums, `[N, classes]` or `[N, 1]`.
    fn sums(&mut self, classifier: &Classifier) -> String {
        let columns = match classifier.form {
            Form::Each(_) => classifier.ids.len(),
            _ => 1,
        };
        match &classifier.sums {
            Sums::Trees { base, .. } => {
                let sums = self.trees(classifier.ids.len(), columns);
                if base.is_empty() {
                    return sums;
                }
                let base = self.constant("base", &[1, columns], Data::F32(base.clone()));
                self.then("Add", &[&sums, &base], "moved")
            }
            Sums::Linear { coefficients, intercepts } => {
                let each = coefficients.len() / columns.max(1);
                let shape = [columns, each];
                let weights = self.constant("weights", &shape, Data::F32(coefficients.clone()));
                let bias = self.constant("bias", &[columns], Data::F32(intercepts.clone()));
                let input = self.node.inputs.first().cloned().unwrap_or_default();
                let (cast, sums) = (self.name("cast"), self.name("sums"));
                let float = Attribute::int("to", i64::from(ElementType::F32.code()));
                self.push("Cast", &[&input], &cast, vec![float]);
                self.push(
                    "Gemm",
                    &[&cast, &weights, &bias],
                    &sums,
                    vec![Attribute::int("transB", 1)],
                );
                sums
            }
        }
    }

    /// Adds the sums of the trees, computed by the float runtime's own operator. That has at least
    /// three classes here, because with two it transforms the sums.
    fn trees(&mut self, classes: usize, columns: usize) -> String {
        let own = ["base_values", "post_transform", "classlabels_int64s", "classlabels_strings"];
        let kept = self.node.attributes.iter().filter(|a| !own.contains(&a.name.as_str()));
        let mut attributes: Vec<Attribute> = kept.cloned().collect();
        let classes = i64::try_from(classes.max(3)).unwrap_or(i64::MAX);
        attributes.push(Attribute::ints("classlabels_int64s", (0..classes).collect()));
        let (label, all) = (self.name("unused"), self.name("all"));
        self.nodes.push(Node {
            name: all.clone(),
            op: self.node.op.clone(),
            domain: self.node.domain.clone(),
            inputs: self.node.inputs.clone(),
            outputs: vec![label, all.clone()],
            attributes,
            original: self.node.name.clone(),
        });
        if columns > 2 {
            return all;
        }
        let columns = (0..i64::try_from(columns).unwrap_or(0)).collect::<Vec<_>>();
        let columns = self.constant("columns", &[columns.len()], Data::I64(columns));
        let sums = self.name("sums");
        self.push("Gather", &[&all, &columns], &sums, vec![Attribute::int("axis", 1)]);
        sums
    }

    fn each(&mut self, sums: &str, transform: Transform, ids: &[i64]) {
        match transform {
            Transform::None => self.finish("Identity", &[sums], 1, Vec::new()),
            Transform::Sigmoid => self.finish("Sigmoid", &[sums], 1, Vec::new()),
            Transform::Softmax => {
                self.finish("Softmax", &[sums], 1, vec![Attribute::int("axis", 1)])
            }
        }
        let best = self.name("best");
        let attributes = vec![Attribute::int("axis", 1), Attribute::int("keepdims", 0)];
        self.push("ArgMax", &[sums], &best, attributes);
        let ids = self.constant("ids", &[ids.len()], Data::I64(ids.to_vec()));
        self.finish("Gather", &[&ids, &best], 0, vec![Attribute::int("axis", 0)]);
    }

    fn binary(&mut self, sum: &str, form: Form, ids: &[i64]) {
        let single = |value| Data::F32(vec![value]);
        let (first, second, limit) = match form {
            Form::Complement => {
                let one = self.constant("one", &[1, 1], single(1.0));
                (self.then("Sub", &[&one, sum], "first"), sum.to_owned(), 0.5)
            }
            Form::Logistic => {
                let negative = self.then("Neg", &[sum], "negative");
                let first = self.then("Sigmoid", &[&negative], "first");
                (first, self.then("Sigmoid", &[sum], "second"), 0.0)
            }
            _ => (self.then("Neg", &[sum], "first"), sum.to_owned(), 0.0),
        };
        self.finish("Concat", &[&first, &second], 1, vec![Attribute::int("axis", 1)]);
        let limit = self.constant("limit", &[1, 1], single(limit));
        let over = self.then("Greater", &[sum, &limit], "over");
        let id = |place: usize| Data::I64(vec![ids.get(place).copied().unwrap_or_default()]);
        let low = self.constant("low", &[1, 1], id(0));
        let high = self.constant("high", &[1, 1], id(1));
        let chosen = self.then("Where", &[&over, &high, &low], "chosen");
        let flat = self.constant("flat", &[1], Data::I64(vec![-1]));
        self.finish("Reshape", &[&chosen, &flat], 0, Vec::new());
    }

    /// Replaces an `ArrayFeatureExtractor`. It keeps the axis along which it selects, and turns a
    /// selection from a list into a row.
    fn selection(&mut self, ranks: &HashMap<String, usize>) {
        let [from, places] = self.node.inputs.as_slice() else {
            self.nodes.push(self.node.clone());
            return;
        };
        let flat = self.constant("flat", &[1], Data::I64(vec![-1]));
        let places = self.then("Reshape", &[places, &flat], "places");
        let last = vec![Attribute::int("axis", -1)];
        if ranks.get(from) == Some(&1) {
            let chosen = self.name("chosen");
            self.push("Gather", &[from, &places], &chosen, last);
            let row = self.constant("row", &[2], Data::I64(vec![1, -1]));
            self.finish("Reshape", &[&chosen, &row], 0, Vec::new());
        } else {
            self.finish("Gather", &[from, &places], 0, last);
        }
    }
}
