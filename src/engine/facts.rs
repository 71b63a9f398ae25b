//! What a graph shows of a model's outputs: how their numbers were made last, and which of them are
//! classes rather than scores.

mod label;
mod range;
mod trace;

use super::proto::Attributes;
use crate::tensor::{Data, Tensor};
use range::Range;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{GraphProto, NodeProto};

/// What is known of an output besides its type and shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputFact {
    pub ending: Ending,
    /// Where the output is the number of a class.
    pub label: Option<Label>,
}

/// What an output's numbers were made by, as far as the graph shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    Softmax,
    LogSoftmax,
    Sigmoid,
    /// Other numbers that are within 0 and 1: means of probabilities, a hard sigmoid, bounds.
    Probabilities,
    /// Sums of products without bounds, such as logits.
    Sums,
    #[default]
    Unknown,
}

/// The number of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The class ids in the order of the scores; empty where they count from 0 or are not known.
    pub ids: Vec<i64>,
    /// The outputs whose highest score is at this class, by the graph.
    pub scores: Vec<usize>,
}

/// The facts of each output of `graph`.
pub(super) fn of(graph: &GraphProto) -> Vec<OutputFact> {
    let known = Known::new(graph);
    let names: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    names
        .iter()
        .map(|name| OutputFact { ending: known.ending(name), label: known.label(name, &names) })
        .collect()
}

/// As many nodes are followed from an output towards the inputs: endings are near the end.
const FARTHEST: usize = 64;

/// A graph, by names.
struct Known<'a> {
    makers: HashMap<&'a str, (&'a NodeProto, usize)>,
    constants: HashMap<&'a str, Tensor>,
    /// Values being looked at: a graph of a file may run in a circle.
    open: RefCell<HashSet<String>>,
    /// What was found already: each value is looked at once.
    endings: RefCell<HashMap<String, Ending>>,
    ranges: RefCell<HashMap<String, Range>>,
}

impl<'a> Known<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let read = |proto| super::constant::read(proto).ok().flatten();
        let small = |tensor: &Tensor| tensor.data.len() <= 1 << 16;
        let mut constants = HashMap::new();
        for proto in &graph.initializer {
            if let Some(tensor) = read(proto).filter(small) {
                constants.insert(proto.name.as_str(), tensor);
            }
        }
        let mut makers = HashMap::new();
        for node in &graph.node {
            for (place, name) in node.output.iter().enumerate() {
                makers.insert(name.as_str(), (node, place));
            }
            if let (Some(name), Some(tensor)) = (node.output.first(), value(node).filter(small)) {
                constants.insert(name, tensor);
            }
        }
        Self {
            makers,
            constants,
            open: RefCell::default(),
            endings: RefCell::default(),
            ranges: RefCell::default(),
        }
    }

    fn maker(&self, name: &str) -> Option<(&'a NodeProto, usize)> {
        self.makers.get(name).copied()
    }

    /// Looks at what makes `name`, unless that is being looked at or too far away.
    fn within<T>(&self, name: &str, look: impl FnOnce(&'a NodeProto, usize) -> T) -> Option<T> {
        let (node, place) = self.maker(name)?;
        let entered = {
            let mut open = self.open.borrow_mut();
            open.len() < FARTHEST && open.insert(name.to_owned())
        };
        entered.then(|| {
            let seen = look(node, place);
            self.open.borrow_mut().remove(name);
            seen
        })
    }

    /// The values of a constant as real numbers.
    fn reals(&self, name: &str) -> Option<Vec<f64>> {
        let tensor = self.constants.get(name)?;
        let reals = super::constant::floats(tensor);
        #[expect(clippy::cast_precision_loss, reason = "bounds and factors are small")]
        let of_integers = || {
            let integers = super::constant::integers(tensor)?;
            Some(integers.into_iter().map(|i| i as f64).collect())
        };
        reals.or_else(of_integers)
    }

    /// The value of a constant whose elements are all the same.
    fn number(&self, name: &str) -> Option<f64> {
        let reals = self.reals(name)?;
        let first = *reals.first()?;
        reals.iter().all(|&x| x.to_bits() == first.to_bits()).then_some(first)
    }
}

/// What a `Constant` node holds.
fn value(node: &NodeProto) -> Option<Tensor> {
    if node.op_type != "Constant" {
        return None;
    }
    let float = |x: f32| Tensor { shape: vec![], data: Data::F32(vec![x]) };
    let tensor = node.attribute("value").and_then(|a| a.t.as_ref());
    tensor
        .and_then(|proto| super::constant::read(proto).ok().flatten())
        .or_else(|| node.float("value_float").map(float))
}

fn input(node: &NodeProto, place: usize) -> &str {
    node.input.get(place).map_or("", String::as_str)
}

/// Operators that move or store numbers and leave them what they are.
fn moves(node: &NodeProto) -> bool {
    matches!(
        node.op_type.as_str(),
        "Identity"
            | "Dropout"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "Transpose"
            | "Slice"
            | "Gather"
            | "GatherElements"
            | "GatherND"
            | "ArrayFeatureExtractor"
            | "Split"
            | "Expand"
            | "Tile"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "QuantizeLinear"
            | "DequantizeLinear"
    ) || node.op_type == "Cast" && casts_to_float(node)
}

fn casts_to_float(node: &NodeProto) -> bool {
    use tract_onnx::pb::tensor_proto::DataType;
    let to = node.int("to").and_then(|to| i32::try_from(to).ok()).map(DataType::try_from);
    let float = [DataType::Float, DataType::Double, DataType::Float16, DataType::Bfloat16];
    matches!(to, Some(Ok(to)) if float.contains(&to))
}
