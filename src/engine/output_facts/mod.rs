//! Facts about a model's outputs that follow from its graph: the function that makes their numbers,
//! and which of them are class labels.

mod label;
mod range;
mod trace;

use crate::engine::classical::Names;
use crate::engine::graph::{ElementType, Graph, Node, TensorData, integers, reals};
use crate::tensor::{Data, Tensor};
use range::Range;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// Facts about an output besides its type and shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputFact {
    pub ending: Ending,
    /// The class label that the output is; none for other outputs.
    pub label: Option<Label>,
    /// The names that the model itself gives to its classes: of the columns of scores, or of the
    /// ids of a label; empty if it has none.
    pub classes: Vec<String>,
}

/// The function that makes an output's numbers, as far as the graph shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    Softmax,
    LogSoftmax,
    Sigmoid,
    /// Other numbers between 0 and 1: means of probabilities, a hard sigmoid, bounds.
    Probabilities,
    /// Unbounded sums of products, such as logits.
    Sums,
    #[default]
    Unknown,
}

/// An output that is the number of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The class ids in the order of the scores; empty if they count from 0 or are unknown.
    pub ids: Vec<i64>,
    /// The outputs whose highest score is that of this class.
    pub scores: Vec<usize>,
    /// The outputs that look like scores, and whose highest score is not that of this class.
    pub against: Vec<usize>,
}

/// The facts about each output of `graph`. `classes` are the names of classes by output.
pub(super) fn analyze(graph: &Graph, classes: &Names) -> Vec<OutputFact> {
    let analysis = Analysis::new(graph);
    let names: Vec<&str> = graph.outputs.iter().map(|o| o.name.as_str()).collect();
    names
        .iter()
        .map(|name| OutputFact {
            ending: analysis.ending(name),
            label: analysis.label(name, &names),
            classes: classes.get(*name).cloned().unwrap_or_default(),
        })
        .collect()
}

/// The largest number of nodes that are followed from an output towards the inputs.
const MAX_DEPTH: usize = 64;

/// A graph indexed by names, with the results so far.
struct Analysis<'a> {
    makers: HashMap<&'a str, (&'a Node, usize)>,
    constants: HashMap<&'a str, Tensor>,
    /// Values on the current path: the graph of a malformed file may have a cycle.
    visiting: RefCell<HashSet<String>>,
    /// Results so far: each value is analysed once.
    endings: RefCell<HashMap<String, Ending>>,
    ranges: RefCell<HashMap<String, Range>>,
}

impl<'a> Analysis<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut constants = HashMap::new();
        for data in &graph.initializers {
            if let Some(tensor) = small_tensor(data) {
                constants.insert(data.name.as_str(), tensor);
            }
        }
        let mut makers = HashMap::new();
        for node in &graph.nodes {
            for (place, name) in node.outputs.iter().enumerate() {
                makers.insert(name.as_str(), (node, place));
            }
            if let (Some(name), Some(tensor)) = (node.outputs.first(), constant_value(node)) {
                constants.insert(name, tensor);
            }
        }
        Self {
            makers,
            constants,
            visiting: RefCell::default(),
            endings: RefCell::default(),
            ranges: RefCell::default(),
        }
    }

    fn maker(&self, name: &str) -> Option<(&'a Node, usize)> {
        self.makers.get(name).copied()
    }

    /// Calls `look` with the node that makes `name`, unless that is on the current path or too far
    /// away.
    fn visit<T>(&self, name: &str, look: impl FnOnce(&'a Node, usize) -> T) -> Option<T> {
        let (node, place) = self.maker(name)?;
        let entered = {
            let mut visiting = self.visiting.borrow_mut();
            visiting.len() < MAX_DEPTH && visiting.insert(name.to_owned())
        };
        entered.then(|| {
            let seen = look(node, place);
            self.visiting.borrow_mut().remove(name);
            seen
        })
    }

    /// The values of a constant as real numbers.
    fn reals(&self, name: &str) -> Option<Vec<f64>> {
        let tensor = self.constants.get(name)?;
        let reals = reals(tensor);
        #[expect(clippy::cast_precision_loss, reason = "bounds and factors are small")]
        let of_integers = || {
            let integers = integers(tensor)?;
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

/// The values of a constant, unless it is large: bounds and factors are small.
fn small_tensor(data: &TensorData) -> Option<Tensor> {
    let small = data.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))? <= 1 << 16;
    small.then(|| data.to_tensor()).flatten()
}

/// The value of a `Constant` node.
fn constant_value(node: &Node) -> Option<Tensor> {
    if node.op != "Constant" {
        return None;
    }
    let float = |x: f32| Tensor { shape: vec![], data: Data::F32(vec![x]) };
    let tensor = node.tensor("value").and_then(small_tensor);
    tensor.or_else(|| node.float("value_float").map(float))
}

/// Operators that move or store numbers without changing them.
fn moves(node: &Node) -> bool {
    matches!(
        node.op.as_str(),
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
    ) || node.op == "Cast" && casts_to_float(node)
}

fn casts_to_float(node: &Node) -> bool {
    let to = node.int("to").and_then(|to| i32::try_from(to).ok()).map(ElementType::from_code);
    to.is_some_and(|to| matches!(to, ElementType::F32 | ElementType::F64) || to.is_half_precision())
}
