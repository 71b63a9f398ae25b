//! Rewrites of nodes that the float runtime computes wrongly into nodes that it computes correctly.

use super::graph::{Attribute, AttributeValue, Graph, Node, TensorData};
use crate::tensor::{Data, Tensor};

/// Rewrites `graph` and the graphs inside it. [`super::attributes`] has checked them.
pub(super) fn canonicalize(opset: i64, graph: &mut Graph) {
    let mut rewritten = Rewritten { opset, nodes: Vec::new(), constants: Vec::new() };
    for mut node in std::mem::take(&mut graph.nodes) {
        node.subgraphs_mut().for_each(|inner| canonicalize(opset, inner));
        tidy(&mut node);
        match node.op.as_str() {
            "LpNormalization" => rewritten.normalization(node),
            "Swish" => rewritten.swish(node),
            // The end of a sequence that has its own length is not the end of all steps.
            "GRU" | "LSTM" | "RNN"
                if node.text("direction") == Some("reverse") && node.input(4).is_empty() =>
            {
                rewritten.reverse_recurrence(node);
            }
            _ => rewritten.nodes.push(node),
        }
    }
    graph.nodes = rewritten.nodes;
    graph.initializers.append(&mut rewritten.constants);
}

/// Removes attributes that have no effect but are read. Names the outputs that are left out before
/// others, because the float runtime counts only outputs with names.
fn tidy(node: &mut Node) {
    let automatic = node.text("auto_pad").is_some_and(|p| p != "NOTSET");
    node.attributes.retain(|a| match a.name.as_str() {
        "pads" => !is_empty_list(&a.value) && !automatic,
        "strides" | "dilations" | "kernel_shape" | "output_padding" | "output_shape" => {
            !is_empty_list(&a.value)
        }
        _ => true,
    });
    // These operators handle missing outputs.
    if matches!(node.op.as_str(), "GRU" | "LSTM" | "RNN") {
        return;
    }
    let (own, last) = (node.label().to_owned(), node.outputs.iter().rposition(|o| !o.is_empty()));
    let before = node.outputs.iter_mut().take(last.unwrap_or(0)).enumerate();
    for (i, output) in before.filter(|(_, o)| o.is_empty()) {
        *output = format!("{own}#output{i}");
    }
}

fn is_empty_list(value: &AttributeValue) -> bool {
    matches!(value, AttributeValue::Ints(values) if values.is_empty())
}

/// The nodes of the rewritten graph, and the constants that they need.
struct Rewritten {
    opset: i64,
    nodes: Vec<Node>,
    constants: Vec<TensorData>,
}

impl Rewritten {
    /// Adds a node named after what it makes.
    fn push(&mut self, op: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) {
        self.nodes.push(Node {
            name: output.to_owned(),
            op: op.to_owned(),
            inputs: inputs.iter().map(|&i| i.to_owned()).collect(),
            outputs: vec![output.to_owned()],
            attributes,
            ..Node::default()
        });
    }

    fn constant(&mut self, name: String, data: Data) -> String {
        let tensor = Tensor { shape: vec![data.len()], data };
        self.constants.push(TensorData::from_tensor(name.clone(), &tensor));
        name
    }

    /// Divides by the norm even if that is zero, as ONNX defines it.
    fn normalization(&mut self, node: Node) {
        let (Some(x), Some(y)) = (node.inputs.first(), node.outputs.first()) else {
            return self.nodes.push(node);
        };
        let axis = node.int("axis").unwrap_or(-1);
        let op = if node.int("p") == Some(1) { "ReduceL1" } else { "ReduceL2" };
        let norm = format!("{y}#norm");
        if self.opset < 18 {
            self.push(op, &[x], &norm, vec![Attribute::ints("axes", vec![axis])]);
        } else {
            let axes = self.constant(format!("{y}#axes"), Data::I64(vec![axis]));
            self.push(op, &[x, &axes], &norm, Vec::new());
        }
        self.push("Div", &[x, &norm], y, Vec::new());
    }

    /// The float runtime supports only an alpha of 1.
    fn swish(&mut self, node: Node) {
        let (Some(x), Some(y)) = (node.inputs.first(), node.outputs.first()) else {
            return self.nodes.push(node);
        };
        let alpha = node.float("alpha").unwrap_or(1.0);
        let alpha = self.constant(format!("{y}#alpha"), Data::F32(vec![alpha]));
        self.push("Mul", &[x, &alpha], &format!("{y}#scaled"), Vec::new());
        self.push("Sigmoid", &[&format!("{y}#scaled")], &format!("{y}#sigmoid"), Vec::new());
        self.push("Mul", &[x, &format!("{y}#sigmoid")], y, Vec::new());
    }

    /// Runs a reverse recurrence forward over the reversed sequence and reverses its result.
    fn reverse_recurrence(&mut self, mut node: Node) {
        let own = node.label().to_owned();
        let axis = i64::from(node.int("layout").unwrap_or(0) != 0);
        let ends = [("starts", -1), ("ends", i64::from(i32::MIN)), ("axes", axis), ("steps", -1)];
        let ends = ends.map(|(part, v)| self.constant(format!("{own}#{part}"), Data::I64(vec![v])));
        let reverse = |graph: &mut Self, from: &str, to: &str| {
            let [starts, ends, axes, steps] = &ends;
            graph.push("Slice", &[from, starts, ends, axes, steps], to, Vec::new());
        };
        node.attributes.retain(|a| a.name != "direction");
        if let Some(x) = node.inputs.first_mut() {
            let reversed = format!("{own}#reversed");
            reverse(self, x, &reversed);
            *x = reversed;
        }
        let y = node.outputs.first_mut().filter(|y| !y.is_empty()).map(|y| {
            let forward = format!("{own}#forward");
            (std::mem::replace(y, forward.clone()), forward)
        });
        self.nodes.push(node);
        if let Some((y, forward)) = y {
            reverse(self, &forward, &y);
        }
    }
}
