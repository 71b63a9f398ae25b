//! Quantization in float regions, decomposed into arithmetic.
//!
//! The float runtime replaces everything between a DequantizeLinear and the next QuantizeLinear
//! with a table over the 256 inputs if the shapes look element-wise. A softmax looks so too, and
//! becomes a softmax over the table: every class saturates. Separate nodes for division, rounding
//! and bounds leave it nothing to replace.

use crate::engine::graph::{Attribute, ElementType, Graph, Node, TensorData};
use crate::tensor::{Data, Dtype, Tensor};

/// Rewrites the quantizations and dequantizations by one scale in `graph`, and in the graphs inside
/// it. `known` finds scales and zero points outside of the graph by name.
pub(super) fn decompose(graph: &mut Graph, known: &dyn Fn(&str) -> Option<QuantConstant>) {
    let own: Vec<(String, QuantConstant)> = graph.initializers.iter().map(named).collect();
    let find = |name: &str| {
        let own = own.iter().find(|(n, _)| n == name).map(|(_, a)| *a);
        own.or_else(|| known(name))
    };
    let mut nodes = Vec::new();
    let mut constants = Vec::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        node.subgraphs_mut().for_each(|inner| decompose(inner, &find));
        match rewritten(&node, &find) {
            Some((made, values)) => {
                nodes.extend(made);
                constants.extend(values);
            }
            None => nodes.push(node),
        }
    }
    graph.nodes = nodes;
    graph.initializers.extend(constants);
}

/// Type of a scale or zero point, and whether it has one element.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuantConstant {
    pub element: ElementType,
    pub single: bool,
}

fn named(data: &TensorData) -> (String, QuantConstant) {
    (data.name.clone(), QuantConstant { element: data.element, single: data.is_single() })
}

type Rewritten = (Vec<Node>, Vec<TensorData>);

/// The nodes that replace a (de)quantization by one scale. Those with scales per channel stay: the
/// float runtime has no table for them.
fn rewritten(node: &Node, find: &dyn Fn(&str) -> Option<QuantConstant>) -> Option<Rewritten> {
    let quantizes = match node.op.as_str() {
        "QuantizeLinear" => true,
        "DequantizeLinear" => false,
        _ => return None,
    };
    let [input, scale, rest @ ..] = node.inputs.as_slice() else { return None };
    let output = node.outputs.first()?;
    let zero = rest.first().filter(|z| !z.is_empty());
    let element = match zero {
        Some(zero) => find(zero).filter(|a| a.single)?.element,
        None => ElementType::U8,
    };
    // A computed scale has as many elements as its zero point.
    let single = find(scale).map_or(zero.is_some(), |a| a.single);
    if !single {
        return None;
    }
    let mut chain = Chain { node, output, made: Vec::new(), last: input.clone() };
    let mut constants = Vec::new();
    if quantizes {
        let (low, high) = range(element)?;
        for (name, value) in [("low", low), ("high", high)] {
            let tensor = Tensor { shape: vec![], data: Data::F32(vec![value]) };
            constants.push(TensorData::from_tensor(format!("{output}#{name}"), &tensor));
        }
        chain.then("Div", Some(scale.clone()), "divided");
        chain.then("Round", None, "rounded");
        if let Some(zero) = zero {
            let zero = chain.cast(zero, "zero");
            chain.then("Add", Some(zero), "moved");
        }
        chain.then("Max", Some(format!("{output}#low")), "raised");
        chain.then("Min", Some(format!("{output}#high")), "lowered");
        chain.finish("Cast", None, Some(element));
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
    node: &'a Node,
    output: &'a str,
    made: Vec<Node>,
    last: String,
}

impl Chain<'_> {
    fn push(&mut self, op: &str, inputs: Vec<String>, output: String, to: Option<ElementType>) {
        let cast = to.map(|to| Attribute::int("to", i64::from(to.code())));
        self.made.push(Node {
            name: output.clone(),
            op: op.into(),
            inputs,
            outputs: vec![output],
            attributes: cast.into_iter().collect(),
            original: self.node.name.clone(),
            ..Node::default()
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
        self.push("Cast", vec![name.to_owned()], output.clone(), Some(ElementType::F32));
        output
    }

    fn finish(&mut self, op: &str, other: Option<String>, to: Option<ElementType>) {
        let input = std::iter::once(self.last.clone()).chain(other).collect();
        self.push(op, input, self.output.to_owned(), to);
    }
}

fn range(element: ElementType) -> Option<(f32, f32)> {
    Some(match element.dtype().ok()? {
        Dtype::I8 => (-128.0, 127.0),
        Dtype::U8 => (0.0, 255.0),
        Dtype::I16 => (-32768.0, 32767.0),
        Dtype::U16 => (0.0, 65535.0),
        _ => return None,
    })
}
