//! The nodes instead of a classifier.

use super::{Classifier, Form, Sums, Transform, constant_rank, is_spelled_out};
use crate::engine::constant::write;
use crate::tensor::{Data, Tensor};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Rewrites the classifiers in `graph` and the graphs inside it, and the selections that go with
/// them. What [`super::check`] refuses stays as it is.
pub(in crate::engine) fn spell_out(graph: &mut GraphProto) {
    for attribute in graph.node.iter_mut().flat_map(|n| &mut n.attribute) {
        attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(spell_out);
    }
    if !graph.node.iter().any(is_spelled_out) {
        return;
    }
    let mut nodes = Vec::new();
    let mut constants = Vec::new();
    for node in &graph.node {
        let mut made = Made::of(node);
        match Classifier::of(node) {
            Some(Ok(classifier)) => made.classifier(&classifier),
            None if node.op_type == "ArrayFeatureExtractor" => made.selection(graph),
            _ => made.nodes.push(node.clone()),
        }
        nodes.append(&mut made.nodes);
        constants.append(&mut made.constants);
    }
    graph.node = nodes;
    graph.initializer.extend(constants);
}

/// Nodes and constants under construction.
struct Made<'a> {
    node: &'a NodeProto,
    /// What the names of its values begin with.
    base: &'a str,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl<'a> Made<'a> {
    fn of(node: &'a NodeProto) -> Self {
        let base = node.output.iter().find(|o| !o.is_empty()).map_or("", String::as_str);
        Self { node, base, nodes: Vec::new(), constants: Vec::new() }
    }

    fn name(&self, part: &str) -> String {
        format!("{}#{part}", self.base)
    }

    fn constant(&mut self, part: &str, shape: &[usize], data: Data) -> String {
        let name = self.name(part);
        self.constants.push(write(&name, &Tensor { shape: shape.to_vec(), data }));
        name
    }

    /// Adds a node that makes `output`.
    fn push(&mut self, op: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input: input.iter().map(|&name| name.to_owned()).collect(),
            name: output.to_owned(),
            output: vec![output.to_owned()],
            op_type: op.to_owned(),
            attribute,
            doc_string: self.node.name.clone(),
            ..NodeProto::default()
        });
    }

    fn then(&mut self, op: &str, input: &[&str], part: &str) -> String {
        let output = self.name(part);
        self.push(op, input, &output, Vec::new());
        output
    }

    /// Adds a node that makes the classifier's output `place`, where anybody wants it.
    fn finish(&mut self, op: &str, input: &[&str], place: usize, attribute: Vec<AttributeProto>) {
        if let Some(output) = self.node.output.get(place).filter(|o| !o.is_empty()) {
            self.push(op, input, output, attribute);
        }
    }

    fn classifier(&mut self, classifier: &Classifier) {
        let sums = self.sums(classifier);
        match classifier.form {
            Form::Each(transform) => self.each(&sums, transform, &classifier.ids),
            one => self.binary(&sums, one, &classifier.ids),
        }
    }

    /// The sums, `[N, classes]` or `[N, 1]`.
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
                let input = self.node.input.first().cloned().unwrap_or_default();
                let (cast, sums) = (self.name("cast"), self.name("sums"));
                let float = int("to", i64::from(DataType::Float as i32));
                self.push("Cast", &[&input], &cast, vec![float]);
                self.push("Gemm", &[&cast, &weights, &bias], &sums, vec![int("transB", 1)]);
                sums
            }
        }
    }

    /// The sums of the trees, by the float runtime's own operator. It is told of three classes at
    /// least: with two it would make something of the sums.
    fn trees(&mut self, classes: usize, columns: usize) -> String {
        let own = ["base_values", "post_transform", "classlabels_int64s", "classlabels_strings"];
        let kept = self.node.attribute.iter().filter(|a| !own.contains(&a.name.as_str()));
        let mut attribute: Vec<AttributeProto> = kept.cloned().collect();
        let told = i64::try_from(classes.max(3)).unwrap_or(i64::MAX);
        attribute.push(ints("classlabels_int64s", (0..told).collect()));
        let (label, all) = (self.name("unused"), self.name("all"));
        self.nodes.push(NodeProto {
            name: all.clone(),
            output: vec![label, all.clone()],
            attribute,
            doc_string: self.node.name.clone(),
            ..self.node.clone()
        });
        if columns > 2 {
            return all;
        }
        let columns = (0..i64::try_from(columns).unwrap_or(0)).collect::<Vec<_>>();
        let columns = self.constant("columns", &[columns.len()], Data::I64(columns));
        let sums = self.name("sums");
        self.push("Gather", &[&all, &columns], &sums, vec![int("axis", 1)]);
        sums
    }

    fn each(&mut self, sums: &str, transform: Transform, ids: &[i64]) {
        match transform {
            Transform::None => self.finish("Identity", &[sums], 1, Vec::new()),
            Transform::Sigmoid => self.finish("Sigmoid", &[sums], 1, Vec::new()),
            Transform::Softmax => self.finish("Softmax", &[sums], 1, vec![int("axis", 1)]),
        }
        let best = self.name("best");
        let attribute = vec![int("axis", 1), int("keepdims", 0)];
        self.push("ArgMax", &[sums], &best, attribute);
        let ids = self.constant("ids", &[ids.len()], Data::I64(ids.to_vec()));
        self.finish("Gather", &[&ids, &best], 0, vec![int("axis", 0)]);
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
        self.finish("Concat", &[&first, &second], 1, vec![int("axis", 1)]);
        let limit = self.constant("limit", &[1, 1], single(limit));
        let over = self.then("Greater", &[sum, &limit], "over");
        let id = |place: usize| Data::I64(vec![ids.get(place).copied().unwrap_or_default()]);
        let low = self.constant("low", &[1, 1], id(0));
        let high = self.constant("high", &[1, 1], id(1));
        let chosen = self.then("Where", &[&over, &high, &low], "chosen");
        let flat = self.constant("flat", &[1], Data::I64(vec![-1]));
        self.finish("Reshape", &[&chosen, &flat], 0, Vec::new());
    }

    /// `ArrayFeatureExtractor` keeps the axis that it selects along, and gives a row where it
    /// selects from a list.
    fn selection(&mut self, graph: &GraphProto) {
        let [from, places] = self.node.input.as_slice() else {
            self.nodes.push(self.node.clone());
            return;
        };
        let flat = self.constant("flat", &[1], Data::I64(vec![-1]));
        let places = self.then("Reshape", &[places, &flat], "places");
        let last = vec![int("axis", -1)];
        if constant_rank(graph, from) == Some(1) {
            let chosen = self.name("chosen");
            self.push("Gather", &[from, &places], &chosen, last);
            let row = self.constant("row", &[2], Data::I64(vec![1, -1]));
            self.finish("Reshape", &[&chosen, &row], 0, Vec::new());
        } else {
            self.finish("Gather", &[from, &places], 0, last);
        }
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    let r#type = AttributeType::Int as i32;
    AttributeProto { name: name.to_owned(), r#type, i, ..AttributeProto::default() }
}

fn ints(name: &str, ints: Vec<i64>) -> AttributeProto {
    let r#type = AttributeType::Ints as i32;
    AttributeProto { name: name.to_owned(), r#type, ints, ..AttributeProto::default() }
}
