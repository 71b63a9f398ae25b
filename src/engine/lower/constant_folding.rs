//! Nodes whose inputs are all constants are computed at load.

use super::context::{LowerResult, Lowering, run_in_float};
use super::value::Value;
use crate::engine::explain::NodePlacement;
use crate::engine::graph::{AttributeValue, Graph, Node, TensorData, ValueInfo};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tract;
use crate::tensor::{Data, Tensor};
use std::rc::Rc;

impl Lowering<'_> {
    pub(super) fn fold(&mut self, node: &ExpandedNode) -> LowerResult {
        let values = match constant_value(node) {
            Some(Some(tensor)) => vec![tensor],
            Some(None) => return run_in_float("its value is of a type that is not supported"),
            None => self.evaluate(node)?,
        };
        for (i, value) in values.into_iter().enumerate() {
            self.set_output(node, i, Value::Constant(Rc::new(value)));
        }
        self.record_placement(node, NodePlacement::Folded);
        Ok(())
    }

    /// Computes the node's outputs with the float runtime.
    fn evaluate(&self, node: &ExpandedNode) -> LowerResult<Vec<Tensor>> {
        let initializer = |name: &str| match self.values.get(name) {
            Some(Value::Constant(tensor)) => Some(TensorData::from_tensor(name.to_owned(), tensor)),
            _ => None,
        };
        let outputs = node.outputs.iter().filter(|o| !o.is_empty());
        let graph = Graph {
            initializers: node.reads().into_iter().filter_map(initializer).collect(),
            nodes: vec![Node::clone(node)],
            inputs: Vec::new(),
            outputs: outputs.map(|name| ValueInfo::untyped(name)).collect(),
        };
        let run = || -> Result<Vec<Tensor>, String> {
            let graph = self.float.compile(graph).map_err(|e| e.to_string())?;
            let mut state = graph.state().map_err(|e| e.to_string())?;
            let results = tract::run(&mut state, Default::default()).map_err(|e| e.to_string())?;
            let pairs = results.iter().zip(&graph.outputs);
            let tensor = |(value, (dtype, shape)): (&_, &(_, Vec<usize>))| {
                let mut tensor = Tensor::zeros(*dtype, shape);
                tract::copy_to_data(value, &mut tensor.data).map_err(|e| e.to_string())?;
                Ok(tensor)
            };
            pairs.map(tensor).collect()
        };
        run().or_else(|reason| run_in_float(format!("it could not be computed at load: {reason}")))
    }
}

/// The value of a Constant node in any of its forms, or an inner none if its type is unsupported.
/// None for other nodes.
fn constant_value(node: &Node) -> Option<Option<Tensor>> {
    if node.op != "Constant" {
        return None;
    }
    node.attributes.iter().find_map(|a| match (a.name.as_str(), &a.value) {
        ("value", AttributeValue::Tensor(tensor)) => Some(tensor.to_tensor()),
        ("value_float", AttributeValue::Float(x)) => Some(Some(scalar(Data::F32(vec![*x])))),
        ("value_int", AttributeValue::Int(x)) => Some(Some(scalar(Data::I64(vec![*x])))),
        ("value_floats", AttributeValue::Floats(x)) => Some(Some(row(Data::F32(x.clone())))),
        ("value_ints", AttributeValue::Ints(x)) => Some(Some(row(Data::I64(x.clone())))),
        _ => None,
    })
}

fn scalar(data: Data) -> Tensor {
    Tensor { shape: vec![], data }
}

fn row(data: Data) -> Tensor {
    Tensor { shape: vec![data.len()], data }
}
