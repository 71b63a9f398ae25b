//! Nodes whose inputs are all known: computed at load.

use super::value::Value;
use super::{Lower, Lowering, float};
use crate::engine::constant::{read, write};
use crate::engine::explain::Fate;
use crate::engine::float::{self, FloatGraph};
use crate::engine::proto::{declare, reads};
use crate::engine::qoperator::Node;
use crate::tensor::{Data, Tensor};
use std::rc::Rc;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

impl Lowering<'_> {
    pub(super) fn fold(&mut self, node: &Node) -> Lower {
        let values = match constant_of(&node.proto) {
            Some(Attribute::Tensor(proto)) => match read(proto)? {
                Some(tensor) => vec![tensor],
                None => return float("its value is of a type that is not supported"),
            },
            Some(Attribute::Made(tensor)) => vec![tensor],
            None => self.evaluate(node)?,
        };
        for (i, value) in values.into_iter().enumerate() {
            self.set_output(node, i, Value::Constant(Rc::new(value)));
        }
        self.note(node, Fate::Folded);
        Ok(())
    }

    /// The node's outputs, by the float runtime.
    fn evaluate(&self, node: &Node) -> Lower<Vec<Tensor>> {
        let proto = &node.proto;
        let initializer = |name: &str| match self.values.get(name) {
            Some(Value::Constant(tensor)) => Some(write(name, tensor)),
            _ => None,
        };
        let output = proto.output.iter().filter(|o| !o.is_empty()).map(|o| declare(o, 0, &[]));
        let graph = GraphProto {
            name: "constant".into(),
            initializer: reads(proto).into_iter().filter_map(initializer).collect(),
            node: vec![proto.clone()],
            output: output.collect(),
            ..GraphProto::default()
        };
        let run = || -> Result<Vec<Tensor>, String> {
            let graph =
                FloatGraph::new(self.header, graph, self.onnx).map_err(|e| e.to_string())?;
            let mut state = graph.state().map_err(|e| e.to_string())?;
            let results = float::run(&mut state, Default::default()).map_err(|e| e.to_string())?;
            let pairs = results.iter().zip(&graph.outputs);
            let tensor = |(value, (dtype, shape)): (&_, &(_, Vec<usize>))| {
                let mut tensor = Tensor::zeros(*dtype, shape);
                float::copy_out(value, &mut tensor.data).map_err(|e| e.to_string())?;
                Ok(tensor)
            };
            pairs.map(tensor).collect()
        };
        run().or_else(|reason| float(format!("it could not be computed at load: {reason}")))
    }
}

enum Attribute<'a> {
    Tensor(&'a TensorProto),
    Made(Tensor),
}

/// The value of a Constant node, in any of its forms.
fn constant_of(proto: &NodeProto) -> Option<Attribute<'_>> {
    if proto.op_type != "Constant" {
        return None;
    }
    proto.attribute.iter().find_map(|a| {
        Some(match a.name.as_str() {
            "value" => Attribute::Tensor(a.t.as_ref()?),
            "value_float" => Attribute::Made(scalar(Data::F32(vec![a.f]))),
            "value_int" => Attribute::Made(scalar(Data::I64(vec![a.i]))),
            "value_floats" => Attribute::Made(row(Data::F32(a.floats.clone()))),
            "value_ints" => Attribute::Made(row(Data::I64(a.ints.clone()))),
            _ => return None,
        })
    })
}

fn scalar(data: Data) -> Tensor {
    Tensor { shape: vec![], data }
}

fn row(data: Data) -> Tensor {
    Tensor { shape: vec![data.len()], data }
}
