//! Quantization spelled out for the float runtime.
//!
//! Its own DequantizeLinear looks for the next QuantizeLinear and replaces all between them by a
//! table over the 256 inputs whenever the shapes look element-wise. A softmax looks so too, and is
//! then a softmax over the table: every class saturates. Division, rounding and bounds as nodes of
//! their own give it nothing to replace.

use crate::engine::constant::write;
use crate::tensor::{Data, Dtype, Tensor};
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};
use tract_onnx::pb::{attribute_proto::AttributeType, tensor_proto::DataType};

/// Rewrites the quantizations and dequantizations by one scale in `graph`, and in the graphs inside
/// it. `zero_type` tells the element type of a zero point by its name.
pub(super) fn spell_out(graph: &mut GraphProto, known: &dyn Fn(&str) -> Option<Amount>) {
    let own: Vec<(String, Amount)> = graph.initializer.iter().filter_map(amount).collect();
    let find = |name: &str| {
        let own = own.iter().find(|(n, _)| n == name).map(|(_, a)| *a);
        own.or_else(|| known(name))
    };
    let mut nodes = Vec::new();
    let mut constants = Vec::new();
    for mut node in std::mem::take(&mut graph.node) {
        for attribute in &mut node.attribute {
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                spell_out(inner, &find);
            }
        }
        match rewritten(&node, &find) {
            Some((made, values)) => {
                nodes.extend(made);
                constants.extend(values);
            }
            None => nodes.push(node),
        }
    }
    graph.node = nodes;
    graph.initializer.extend(constants);
}

/// What is known of a scale or zero point: its type, and whether it is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    pub data_type: i32,
    pub single: bool,
}

fn amount(proto: &TensorProto) -> Option<(String, Amount)> {
    let single = proto.dims.iter().all(|&d| d == 1);
    Some((proto.name.clone(), Amount { data_type: proto.data_type, single }))
}

type Rewritten = (Vec<NodeProto>, Vec<TensorProto>);

/// The nodes instead of a (de)quantization by one scale. The float runtime has no table for scales
/// per channel, so those stay.
fn rewritten(node: &NodeProto, find: &dyn Fn(&str) -> Option<Amount>) -> Option<Rewritten> {
    let quantizes = match node.op_type.as_str() {
        "QuantizeLinear" => true,
        "DequantizeLinear" => false,
        _ => return None,
    };
    let [input, scale, rest @ ..] = node.input.as_slice() else { return None };
    let output = node.output.first()?;
    let zero = rest.first().filter(|z| !z.is_empty());
    let data_type = match zero {
        Some(zero) => find(zero).filter(|a| a.single)?.data_type,
        None => DataType::Uint8 as i32,
    };
    // A scale that is computed is one where its zero point is one.
    let single = find(scale).map_or(zero.is_some(), |a| a.single);
    if !single {
        return None;
    }
    let mut chain = Chain { node, output, made: Vec::new(), last: input.clone() };
    let mut constants = Vec::new();
    if quantizes {
        let (low, high) = range(data_type)?;
        for (name, value) in [("low", low), ("high", high)] {
            let tensor = Tensor { shape: vec![], data: Data::F32(vec![value]) };
            constants.push(write(&format!("{output}#{name}"), &tensor));
        }
        chain.then("Div", Some(scale.clone()), "divided");
        chain.then("Round", None, "rounded");
        if let Some(zero) = zero {
            let zero = chain.cast(zero, "zero");
            chain.then("Add", Some(zero), "moved");
        }
        chain.then("Max", Some(format!("{output}#low")), "raised");
        chain.then("Min", Some(format!("{output}#high")), "lowered");
        chain.finish("Cast", None, Some(data_type));
    } else {
        chain.last = chain.cast(&input.clone(), "cast");
        if let Some(zero) = zero {
            let zero = chain.cast(zero, "zero");
            chain.then("Sub", Some(zero), "moved");
        }
        chain.finish("Mul", Some(scale.clone()), None);
    }
    Some((chain.made, constants))
}

struct Chain<'a> {
    node: &'a NodeProto,
    output: &'a str,
    made: Vec<NodeProto>,
    last: String,
}

impl Chain<'_> {
    fn push(&mut self, op: &str, input: Vec<String>, output: String, to: Option<i32>) {
        let attribute = to.map(|to| AttributeProto {
            name: "to".into(),
            r#type: AttributeType::Int as i32,
            i: i64::from(to),
            ..AttributeProto::default()
        });
        self.made.push(NodeProto {
            input,
            name: output.clone(),
            output: vec![output],
            op_type: op.into(),
            attribute: attribute.into_iter().collect(),
            doc_string: self.node.name.clone(),
            ..NodeProto::default()
        });
    }

    fn then(&mut self, op: &str, other: Option<String>, name: &str) {
        let output = format!("{}#{name}", self.output);
        let input = std::iter::once(self.last.clone()).chain(other).collect();
        self.push(op, input, output.clone(), None);
        self.last = output;
    }

    /// A float of `name`.
    fn cast(&mut self, name: &str, part: &str) -> String {
        let output = format!("{}#{part}", self.output);
        self.push("Cast", vec![name.to_owned()], output.clone(), Some(DataType::Float as i32));
        output
    }

    fn finish(&mut self, op: &str, other: Option<String>, to: Option<i32>) {
        let input = std::iter::once(self.last.clone()).chain(other).collect();
        self.push(op, input, self.output.to_owned(), to);
    }
}

fn range(data_type: i32) -> Option<(f32, f32)> {
    Some(match crate::engine::spec::dtype(data_type).ok()? {
        Dtype::I8 => (-128.0, 127.0),
        Dtype::U8 => (0.0, 255.0),
        Dtype::I16 => (-32768.0, 32767.0),
        Dtype::U16 => (0.0, 65535.0),
        _ => return None,
    })
}
