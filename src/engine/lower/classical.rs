//! Operators of classical models, and casts and reshapes of numbers that are not floats around
//! them.

use super::context::{LowerResult, Lowering};
use super::float_region::region_input;
use super::plan_builder::ElementKind;
use super::shape_ops::shape;
use super::value::{Deferred, OpaqueLocation, OpaqueTensor, ShapeOp, Value};
use crate::engine::classical::{Classical, Operand, is_classical};
use crate::engine::explain::NodePlacement;
use crate::engine::graph::ElementType;
use crate::engine::plan::{
    BufferSlice, ClassicalInput, ClassicalStep, Operation, RegionInput, Step,
};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::BufferRef;
use crate::tensor::Dtype;

/// Why the node does not run in integers.
const REASON: &str = "it is part of a classical model";

impl Lowering<'_> {
    /// Whether a node is left to this file, which reads values in memory only.
    pub(super) fn reads_memory(node: &ExpandedNode) -> bool {
        is_classical(node)
    }

    /// Lowers a node to an operator of classical models. False if it is none.
    pub(super) fn classical(&mut self, node: &ExpandedNode) -> LowerResult<bool> {
        if !is_classical(node) {
            return if self.has_classical { self.conversion(node) } else { Ok(false) };
        }
        let mut inputs = Vec::new();
        for name in &node.inputs {
            match self.operand(name)? {
                Some(input) => inputs.push(input),
                None => {
                    let reason = format!("it reads {name:?}, which is not a tensor of numbers");
                    return Err(self.refuse(node, reason).into());
                }
            }
        }
        let (inputs, operands): (Vec<_>, Vec<_>) = inputs.into_iter().unzip();
        let classical = Classical::of(node, &operands).map_err(|r| self.refuse(node, r))?;
        self.push_classical(node, classical, inputs);
        Ok(true)
    }

    /// Lowers a cast or a new shape of numbers that are not floats. False for other nodes.
    fn conversion(&mut self, node: &ExpandedNode) -> LowerResult<bool> {
        let Some(value) = self.optional(node, 0).cloned() else { return Ok(false) };
        let (from, shape) = match &value {
            Value::OpaqueTensor(OpaqueTensor { dtype, shape, .. }) => (*dtype, shape.clone()),
            Value::Float(_) | Value::Deferred(Deferred::Float(_)) => match shape(&value) {
                Some(shape) => (Dtype::F32, shape),
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        let to = match node.op.as_str() {
            "Cast" => {
                let code = node.int("to").and_then(|to| i32::try_from(to).ok()).unwrap_or(0);
                let Ok(dtype) = ElementType::from_code(code).dtype() else { return Ok(false) };
                if matches!(dtype, Dtype::I8 | Dtype::U8 | Dtype::I16 | Dtype::U16) {
                    return Ok(false);
                }
                Operand { dtype, shape }
            }
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" if from != Dtype::F32 => {
                match self.movement_of(node, &shape)? {
                    Some(ShapeOp::Reshape(shape)) => Operand { dtype: from, shape },
                    _ => return Ok(false),
                }
            }
            _ => return Ok(false),
        };
        if node.op == "Cast" && to.dtype == from {
            self.set(node, value);
            self.record_placement(node, NodePlacement::float(REASON));
            return Ok(true);
        }
        let name = node.input(0).to_owned();
        let Some((input, _)) = self.operand(&name)? else { return Ok(false) };
        self.push_classical(node, Classical::convert(to), vec![input]);
        Ok(true)
    }

    /// A value in memory; none if it is not there.
    fn operand(&mut self, name: &str) -> LowerResult<Option<(ClassicalInput, Operand)>> {
        let input = match self.values.get(name).cloned() {
            Some(Value::Constant(tensor)) => {
                let operand = Operand { dtype: tensor.dtype(), shape: tensor.shape.clone() };
                return Ok(Some((ClassicalInput::Constant(tensor.data.clone()), operand)));
            }
            Some(Value::OpaqueTensor(OpaqueTensor { dtype, shape, at })) => {
                let (buffer, opaque) = match at {
                    OpaqueLocation::Input(i) => (BufferRef::Input(i), None),
                    OpaqueLocation::Kept(i) => (BufferRef::Constant(usize::MAX), Some(i)),
                };
                RegionInput { slice: BufferSlice { buffer, len: 0 }, dtype, shape, opaque }
            }
            Some(Value::Deferred(Deferred::Weights(_))) => return Ok(None),
            Some(Value::Float(_) | Value::Deferred(_)) => {
                let Some(view) = self.in_float(name)? else { return Ok(None) };
                let view = self.builder.plain(&view, ElementKind::Floats);
                region_input(&view, Dtype::F32)
            }
            Some(Value::Quantized(stored)) => {
                let view = self.builder.plain(&stored.view, ElementKind::Bytes);
                region_input(&view, if stored.unsigned { Dtype::U8 } else { Dtype::I8 })
            }
            _ => return Ok(None),
        };
        let operand = Operand { dtype: input.dtype, shape: input.shape.clone() };
        Ok(Some((ClassicalInput::Buffer(input), operand)))
    }

    fn push_classical(
        &mut self,
        node: &ExpandedNode,
        operator: Classical,
        inputs: Vec<ClassicalInput>,
    ) {
        let results = operator.outputs().to_vec();
        let mut outputs = Vec::new();
        for (i, result) in results.iter().enumerate() {
            outputs.push(match node.outputs.get(i).filter(|name| !name.is_empty()) {
                Some(name) => self.bind_output(name, result.dtype, &result.shape),
                None => Vec::new(),
            });
        }
        let before = self.builder.steps.iter();
        let slot = before.filter(|s| matches!(s.operation, Operation::Classical(_))).count();
        let step = ClassicalStep { operator, inputs, outputs, slot };
        let nowhere = BufferSlice { buffer: BufferRef::Constant(usize::MAX), len: 0 };
        let operation = Operation::Classical(Box::new(step));
        self.builder.steps.push(Step { operation, from: Vec::new(), to: nowhere });
        self.record_placement(node, NodePlacement::float(REASON));
    }
}
