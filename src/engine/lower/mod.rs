//! From a graph to a plan: quantized parts in integers, the rest as regions of the float runtime.
//!
//! The graph is walked in order, and of every value is noted what it is ([`Value`]). Real numbers
//! between a dequantization and the next quantization are not computed but described, so that the
//! quantization can turn operator, clamp and rounding into one kernel. A node that cannot be
//! described so joins the float region being gathered, together with whatever it needs; what
//! depends on the region waits for the next walk.

mod amounts;
mod concat;
mod conv;
mod draft;
mod dynamic;
mod elementwise;
mod emit;
mod finish;
mod folding;
mod functions;
mod matmul;
mod moves;
mod outputs;
mod parts;
mod pool;
mod primitives;
mod quantization;
mod region;
mod value;
mod walk;
mod weights;

pub(super) use draft::Draft;
use draft::Holds;

use super::classifier;
use super::error::LoadError;
use super::explain::Fate;
use super::float::FloatGraph;
use super::plan::Plan;
use super::proto::{label, operator, reads};
use super::qoperator::{self, Node};
use super::view::{Place, View};
use crate::tensor::{Dtype, Tensor, TensorSpec};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};
use value::{Other, OtherPlace, Scaling, Stored, Value};

/// A lowered model.
pub(super) struct Lowered {
    pub plan: Plan,
    pub outputs: Vec<TensorSpec>,
    /// The model's nodes, and how each is run.
    pub nodes: Vec<NodeProto>,
    pub fates: Vec<Fate>,
}

/// Why a node is not lowered.
enum Stop {
    /// It runs in float, for this reason.
    Float(String),
    /// The model is refused.
    Refuse(LoadError),
}

impl From<LoadError> for Stop {
    fn from(error: LoadError) -> Self {
        Self::Refuse(error)
    }
}

type Lower<T = ()> = Result<T, Stop>;

fn float<T>(reason: impl Into<String>) -> Lower<T> {
    Err(Stop::Float(reason.into()))
}

/// Lowers `graph`, whose inputs are declared with fixed shapes and described in `inputs`, where it
/// notes how they are quantized.
pub(super) fn lower(
    header: &ModelProto,
    mut graph: GraphProto,
    inputs: &mut [TensorSpec],
    onnx: &Onnx,
    draft: Draft,
) -> Result<Lowered, LoadError> {
    if !graph.node.iter().any(|n| is_quantized(&n.op_type)) {
        return whole(header, graph, inputs, onnx, draft);
    }
    let mut lowering = Lowering::new(header, &mut graph, inputs, onnx, draft)?;
    lowering.walk()?;
    lowering.finish(&graph)
}

/// Operators that only quantized models have.
fn is_quantized(op: &str) -> bool {
    walk::starts_integers(op) || op.starts_with("QLinear") || op == "QGemm"
}

/// A model that is not quantized: one region, which gets the graph as it is.
fn whole(
    header: &ModelProto,
    mut graph: GraphProto,
    inputs: &[TensorSpec],
    onnx: &Onnx,
    draft: Draft,
) -> Result<Lowered, LoadError> {
    let nodes = graph.node.clone();
    let names: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    primitives::spell_out(&mut graph, &|_| None);
    classifier::spell_out(&mut graph);
    let region = FloatGraph::new(header, graph, onnx)?;
    let spec = |(name, (dtype, shape)): (String, &(Dtype, Vec<usize>))| TensorSpec {
        name,
        dtype: *dtype,
        shape: shape.clone(),
        quant: None,
    };
    let outputs: Vec<TensorSpec> = names.into_iter().zip(&region.outputs).map(spec).collect();
    let reason = "the model is not quantized".to_owned();
    let fates = vec![Fate::Float { reason, region: Some(0) }; nodes.len()];
    let plan = finish::whole(draft, region, inputs);
    Ok(Lowered { plan, outputs, nodes, fates })
}

struct Lowering<'a> {
    header: &'a ModelProto,
    onnx: &'a Onnx,
    inputs: &'a mut [TensorSpec],
    opset: i64,
    originals: Vec<NodeProto>,
    nodes: Vec<Rc<Node>>,
    /// The node that makes each value.
    makers: HashMap<String, usize>,
    /// What any node reads, and what the graph gives out.
    used: BTreeSet<String>,
    values: HashMap<String, Value>,
    /// Values that were made in float after all.
    floats: HashMap<String, View>,
    opaque: HashMap<String, TensorProto>,
    draft: Draft,
    /// Where u8 inputs are kept as bytes.
    copies: HashMap<Place, usize>,
    regions: Vec<FloatGraph>,
    /// The float region being gathered: its nodes by number.
    gathered: BTreeSet<usize>,
    /// Per original node.
    fates: Vec<Fate>,
}

impl<'a> Lowering<'a> {
    fn new(
        header: &'a ModelProto,
        graph: &mut GraphProto,
        inputs: &'a mut [TensorSpec],
        onnx: &'a Onnx,
        draft: Draft,
    ) -> Result<Self, LoadError> {
        let originals = std::mem::take(&mut graph.node);
        let (mut constants, mut opaque) = (HashMap::new(), HashMap::new());
        for proto in std::mem::take(&mut graph.initializer) {
            match super::constant::read(&proto)? {
                Some(tensor) => drop(constants.insert(proto.name, Rc::new(tensor))),
                None => drop(opaque.insert(proto.name.clone(), proto)),
            }
        }
        let nodes = qoperator::expand(&originals, &mut constants)?;
        let nodes: Vec<_> = nodes.into_iter().map(Rc::new).collect();
        let standard = |d: &str| d.is_empty() || d == "ai.onnx";
        let opset =
            header.opset_import.iter().find(|o| standard(&o.domain)).map_or(13, |o| o.version);
        let mut values: HashMap<String, Value> =
            constants.into_iter().map(|(name, tensor)| (name, Value::Constant(tensor))).collect();
        values.extend(opaque.keys().map(|name| (name.clone(), Value::Opaque)));
        let used = nodes.iter().flat_map(|n| reads(&n.proto)).map(str::to_owned);
        let used = used.chain(graph.output.iter().map(|o| o.name.clone())).collect();
        let fates = vec![Fate::Folded; originals.len()];
        let mut lowering = Self {
            header,
            onnx,
            inputs,
            opset,
            originals,
            nodes,
            makers: HashMap::new(),
            used,
            values,
            floats: HashMap::new(),
            opaque,
            draft,
            copies: HashMap::new(),
            regions: Vec::new(),
            gathered: BTreeSet::new(),
            fates,
        };
        lowering.place_inputs();
        lowering.note_makers()?;
        Ok(lowering)
    }

    fn place_inputs(&mut self) {
        for (i, spec) in self.inputs.iter().enumerate() {
            let view = View::plain(Place::Input(i), &spec.shape);
            let stored = |view, unsigned| Stored { view, unsigned, scale: Scaling::Unknown };
            let value = match spec.dtype {
                Dtype::F32 => Value::Float(view),
                Dtype::I8 => Value::Stored(stored(view, false)),
                Dtype::U8 => {
                    let (shape, order) = (&view.shape, &view.order);
                    let action = super::plan::Action::FromUnsigned;
                    let view = self.draft.make(action, &[&view], Holds::Bytes, shape, order);
                    self.copies.insert(view.place, i);
                    Value::Stored(stored(view, true))
                }
                dtype => Value::Other(Other {
                    dtype,
                    shape: spec.shape.clone(),
                    at: OtherPlace::Input(i),
                }),
            };
            self.values.insert(spec.name.clone(), value);
        }
    }

    /// Every value is made once, and before it is read.
    fn note_makers(&mut self) -> Result<(), LoadError> {
        for (i, node) in self.nodes.iter().enumerate() {
            let known =
                |name: &&str| self.values.contains_key(*name) || self.makers.contains_key(*name);
            if let Some(name) = reads(&node.proto).into_iter().find(|n| !known(n)) {
                return Err(
                    self.refuse(node, format!("it reads {name:?}, which nothing before it makes"))
                );
            }
            for name in node.proto.output.iter().filter(|n| !n.is_empty()) {
                let again = self.values.contains_key(name);
                if again || self.makers.insert(name.clone(), i).is_some() {
                    return Err(self.refuse(node, format!("{name:?} is made a second time")));
                }
            }
        }
        Ok(())
    }

    /// Whether everything the node reads is known.
    fn all_constant(&self, proto: &NodeProto) -> bool {
        let constant = |n: &&str| matches!(self.values.get(*n), Some(Value::Constant(_)));
        !proto.op_type.contains("Random")
            && !matches!(proto.op_type.as_str(), "DequantizeLinear" | "QuantizeLinear")
            && !proto.input.is_empty()
            && reads(proto).iter().all(constant)
    }

    fn value(&self, proto: &NodeProto, i: usize) -> Lower<&Value> {
        match self.optional(proto, i) {
            Some(value) => Ok(value),
            None => float(format!("it has no input {i}")),
        }
    }

    fn optional(&self, proto: &NodeProto, i: usize) -> Option<&Value> {
        let name = proto.input.get(i).filter(|n| !n.is_empty())?;
        self.values.get(name)
    }

    fn constant(&self, proto: &NodeProto, i: usize) -> Option<&Rc<Tensor>> {
        match self.optional(proto, i)? {
            Value::Constant(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Notes what the node's first output is.
    fn set(&mut self, node: &Node, value: Value) {
        self.set_output(node, 0, value);
    }

    fn set_output(&mut self, node: &Node, i: usize, value: Value) {
        if let Some(name) = node.proto.output.get(i).filter(|n| !n.is_empty()) {
            self.values.insert(name.clone(), value);
        }
    }

    fn set_outputs(&mut self, node: &Node, value: &Value) {
        (0..node.proto.output.len()).for_each(|i| self.set_output(node, i, value.clone()));
    }

    /// Float weighs more than integer, and integer more than folded.
    fn note(&mut self, node: &Node, fate: Fate) {
        if let Some(known) = self.fates.get_mut(node.origin) {
            let better = match (&*known, &fate) {
                (Fate::Float { .. }, _) => false,
                (Fate::Integer, Fate::Folded) => false,
                (Fate::Integer | Fate::Folded, _) => true,
            };
            if better {
                *known = fate;
            }
        }
    }

    /// A refusal that names the node as the model has it.
    fn refuse(&self, node: &Node, reason: impl Into<String>) -> LoadError {
        let proto = self.originals.get(node.origin).unwrap_or(&node.proto);
        LoadError::Node {
            node: label(proto).to_owned(),
            operator: operator(proto),
            reason: reason.into(),
        }
    }
}
