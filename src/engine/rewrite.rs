//! Nodes that the float runtime would get wrong, written as others that it gets right.

use super::constant::write;
use super::proto::{Attributes, label};
use crate::tensor::{Data, Tensor};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Rewrites `graph` and the graphs inside it, which passed the table of attributes.
pub(super) fn rewrite(opset: i64, graph: &mut GraphProto) {
    let mut made = Made { opset, nodes: Vec::new(), constants: Vec::new() };
    for mut node in std::mem::take(&mut graph.node) {
        for attribute in &mut node.attribute {
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                rewrite(opset, inner);
            }
        }
        tidy(&mut node);
        match node.op_type.as_str() {
            "LpNormalization" => made.normalization(node),
            "Swish" => made.swish(node),
            "GRU" | "LSTM" | "RNN" if node.text("direction") == Some("reverse") => {
                made.backwards(node);
            }
            _ => made.nodes.push(node),
        }
    }
    graph.node = made.nodes;
    graph.initializer.append(&mut made.constants);
}

/// Takes away attributes that say nothing, but are read; and names outputs that are left out before
/// others, because the float runtime counts only those that have names.
fn tidy(node: &mut NodeProto) {
    let automatic = node.text("auto_pad").is_some_and(|p| p != "NOTSET");
    node.attribute.retain(|a| match a.name.as_str() {
        "pads" => !a.ints.is_empty() && !automatic,
        "strides" | "dilations" | "kernel_shape" | "output_padding" | "output_shape" => {
            !a.ints.is_empty()
        }
        _ => true,
    });
    // These look for the names of each output themselves.
    if matches!(node.op_type.as_str(), "GRU" | "LSTM" | "RNN") {
        return;
    }
    let (own, last) = (label(node).to_owned(), node.output.iter().rposition(|o| !o.is_empty()));
    let before = node.output.iter_mut().take(last.unwrap_or(0)).enumerate();
    for (i, output) in before.filter(|(_, o)| o.is_empty()) {
        *output = format!("{own}#output{i}");
    }
}

struct Made {
    opset: i64,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Made {
    /// A node of `origin`, named after what it makes.
    fn push(&mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            name: output.to_owned(),
            op_type: op.to_owned(),
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
    }

    fn constant(&mut self, name: String, data: Data) -> String {
        self.constants.push(write(&name, &Tensor { shape: vec![data.len()], data }));
        name
    }

    /// As ONNX defines it: divided by the norm, whatever that is.
    fn normalization(&mut self, node: NodeProto) {
        let (Some(x), Some(y)) = (node.input.first(), node.output.first()) else {
            return self.nodes.push(node);
        };
        let axis = node.int("axis").unwrap_or(-1);
        let op = if node.int("p") == Some(1) { "ReduceL1" } else { "ReduceL2" };
        let norm = format!("{y}#norm");
        if self.opset < 18 {
            self.push(op, &[x], &norm, vec![ints("axes", vec![axis])]);
        } else {
            let axes = self.constant(format!("{y}#axes"), Data::I64(vec![axis]));
            self.push(op, &[x, &axes], &norm, Vec::new());
        }
        self.push("Div", &[x, &norm], y, Vec::new());
    }

    /// The float runtime has it for an alpha of one only.
    fn swish(&mut self, node: NodeProto) {
        let (Some(x), Some(y)) = (node.input.first(), node.output.first()) else {
            return self.nodes.push(node);
        };
        let alpha = node.float("alpha").unwrap_or(1.0);
        let alpha = self.constant(format!("{y}#alpha"), Data::F32(vec![alpha]));
        self.push("Mul", &[x, &alpha], &format!("{y}#scaled"), Vec::new());
        self.push("Sigmoid", &[&format!("{y}#scaled")], &format!("{y}#sigmoid"), Vec::new());
        self.push("Mul", &[x, &format!("{y}#sigmoid")], y, Vec::new());
    }

    /// A recurrence from the last step to the first is one from the first to the last of a turned
    /// sequence, whose result is turned back.
    fn backwards(&mut self, mut node: NodeProto) {
        let own = label(&node).to_owned();
        let axis = i64::from(node.int("layout").unwrap_or(0) != 0);
        let ends = [("starts", -1), ("ends", i64::from(i32::MIN)), ("axes", axis), ("steps", -1)];
        let ends = ends.map(|(part, v)| self.constant(format!("{own}#{part}"), Data::I64(vec![v])));
        let slice = |made: &mut Self, from: &str, to: &str| {
            let [starts, ends, axes, steps] = &ends;
            made.push("Slice", &[from, starts, ends, axes, steps], to, Vec::new());
        };
        node.attribute.retain(|a| a.name != "direction");
        if let Some(x) = node.input.first_mut() {
            let turned = format!("{own}#turned");
            slice(self, x, &turned);
            *x = turned;
        }
        let y = node.output.first_mut().filter(|y| !y.is_empty()).map(|y| {
            let forward = format!("{own}#forward");
            (std::mem::replace(y, forward.clone()), forward)
        });
        self.nodes.push(node);
        if let Some((y, forward)) = y {
            slice(self, &forward, &y);
        }
    }
}

fn ints(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values,
        ..AttributeProto::default()
    }
}
