//! Functions of one and of two tensors of floats.

use super::operands::{broadcast_shape, broadcast_strides, floats};
use crate::engine::graph::{ElementType, Node};
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::shape_ops::shape;
use crate::engine::lower::value::{Deferred, QuantizedTensor, Scaling, Value};
use crate::engine::plan::{FloatStep, Operation};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::StridedView;
use inferd_kernels::float::{Activation, Binary, BinaryOp, UnaryOp};

impl Lowering<'_> {
    /// Any function of one tensor.
    pub(super) fn float_unary(&mut self, node: &ExpandedNode) -> LowerResult {
        let op = match node.op.as_str() {
            "Clip" => self.clip(node)?,
            _ => match unary_op(node) {
                Some(op) => op,
                None => return run_in_float("the operator has no float kernel"),
            },
        };
        if self.join_activation(node, op)? {
            return Ok(());
        }
        let input = self.float_view(node, 0)?;
        let made = self.emit_unary(op, &input);
        self.set(node, Value::Float(made));
        Ok(())
    }

    pub(super) fn emit_unary(&mut self, op: UnaryOp, input: &TensorView) -> TensorView {
        let operation = Operation::Float(Box::new(FloatStep::Unary(op)));
        self.builder.emit_step_like(operation, &[input], ElementKind::Floats)
    }

    #[expect(clippy::cast_possible_truncation, reason = "bounds of floats")]
    fn clip(&self, node: &ExpandedNode) -> LowerResult<UnaryOp> {
        let (low, high) = self.bounds(node)?;
        // If the bounds cross, ONNX takes the upper one.
        Ok(UnaryOp::Clip { low: low.min(high) as f32, high: high as f32 })
    }

    /// Add, Sub, Mul, Div, Pow and `PRelu`.
    pub(super) fn float_binary(&mut self, node: &ExpandedNode) -> LowerResult {
        if node.inputs.len() != 2 {
            return run_in_float("it has other than two inputs");
        }
        if self.join_arithmetic(node)? {
            return Ok(());
        }
        if let Some((op, input)) = self.function_of_one(node) {
            if input == 0 && self.join_activation(node, op)? {
                return Ok(());
            }
            let input = self.float_view(node, input)?;
            let made = self.emit_unary(op, &input);
            self.set(node, Value::Float(made));
            return Ok(());
        }
        let op = match node.op.as_str() {
            "Add" => BinaryOp::Add,
            "Sub" => BinaryOp::Sub,
            "Mul" => BinaryOp::Mul,
            "Div" => BinaryOp::Div,
            "Pow" => BinaryOp::Pow,
            _ => BinaryOp::PRelu,
        };
        let (a, b) = (self.float_view(node, 0)?, self.float_view(node, 1)?);
        if op == BinaryOp::PRelu && broadcast_shape(&a.shape, &b.shape).as_ref() != Some(&a.shape) {
            return run_in_float("its slopes do not fit its input");
        }
        let made = self.emit_binary(op, &a, &b)?;
        self.set(node, Value::Float(made));
        Ok(())
    }

    /// A function of a tensor and one constant number that is cheaper as one of the tensor alone,
    /// with the number of the tensor's input.
    fn function_of_one(&self, node: &Node) -> Option<(UnaryOp, usize)> {
        let rank = |i: usize| self.optional(node, i).and_then(shape).map_or(0, |s| s.len());
        let number = |i: usize| match floats(&*self.float_constant(node, i)?) {
            // More axes than the other has would give the result more.
            [one] if rank(i) <= rank(1 - i) => Some(*one),
            _ => None,
        };
        match (node.op.as_str(), number(0), number(1)) {
            ("Pow", _, Some(2.0)) => Some((UnaryOp::Square, 0)),
            ("Pow", _, Some(0.5)) => Some((UnaryOp::Sqrt, 0)),
            ("Div", Some(1.0), None) => Some((UnaryOp::Reciprocal, 1)),
            ("PRelu", _, Some(alpha)) => Some((UnaryOp::LeakyRelu { alpha }, 0)),
            _ => None,
        }
    }

    /// Min, Max, Sum and Mean of any number of tensors.
    pub(super) fn float_variadic(&mut self, node: &ExpandedNode) -> LowerResult {
        let op = match node.op.as_str() {
            "Min" => BinaryOp::Min,
            "Max" => BinaryOp::Max,
            _ => BinaryOp::Add,
        };
        let mut made = self.float_view(node, 0)?;
        for i in 1..node.inputs.len() {
            let next = self.float_view(node, i)?;
            made = self.emit_binary(op, &made, &next)?;
        }
        if node.op == "Mean" && node.inputs.len() > 1 {
            #[expect(clippy::cast_precision_loss, reason = "a small number of inputs")]
            let count = self.builder.float_constant(vec![node.inputs.len() as f32]);
            made = self.emit_binary(BinaryOp::Div, &made, &TensorView::plain(count, &[]))?;
        }
        self.set(node, Value::Float(made));
        Ok(())
    }

    /// The function of two tensors, in the axis order of the one that is not repeated.
    pub(super) fn emit_binary(
        &mut self,
        op: BinaryOp,
        a: &TensorView,
        b: &TensorView,
    ) -> LowerResult<TensorView> {
        let Some(shape) = broadcast_shape(&a.shape, &b.shape) else {
            // The float runtime takes time that doubles with every such node.
            self.certain = true;
            return run_in_float(format!(
                "shapes {:?} and {:?} do not fit, or make too much",
                a.shape, b.shape
            ));
        };
        let rank = shape.len();
        let order: Vec<usize> = match [a, b].into_iter().find(|v| v.shape == shape) {
            Some(view) => view.order.clone(),
            None => (0..rank).collect(),
        };
        let mut sides = Vec::new();
        for view in [a, b] {
            sides.push(match view.shape == shape {
                true => self.builder.ordered(view, &order, ElementKind::Floats),
                false => view.clone(),
            });
        }
        let in_order = |values: &[usize]| -> Vec<usize> {
            order.iter().filter_map(|&axis| values.get(axis).copied()).collect()
        };
        let strided = |view: &TensorView| {
            let strides = in_order(&broadcast_strides(view, &shape));
            StridedView { start: 0, strides: strides.into_iter().map(usize::cast_signed).collect() }
        };
        let [a, b] = sides.as_slice() else { return run_in_float("it has other than two inputs") };
        let operands = [&strided(a), &strided(b)];
        let isa = self.builder.isa;
        let binary = Binary::new(isa, op, Activation::None, &in_order(&shape), operands);
        let operation = Operation::Float(Box::new(FloatStep::Binary(binary)));
        Ok(self.builder.emit_step(operation, &[a, b], ElementKind::Floats, &shape, &order))
    }

    /// A Cast of bytes or floats to floats.
    pub(super) fn float_cast(&mut self, node: &ExpandedNode) -> LowerResult {
        if node.int("to") != Some(i64::from(ElementType::F32.code())) {
            return run_in_float("it casts to another type than 32-bit floats");
        }
        let value = match self.value(node, 0)?.clone() {
            Value::Float(view) => Value::Float(view),
            Value::Deferred(Deferred::Float(_)) => Value::Float(self.float_view(node, 0)?),
            Value::Quantized(QuantizedTensor { view, unsigned, scale: Scaling::Unknown }) => {
                // u8 is stored minus 128.
                let zero = if unsigned { i8::MIN } else { 0 };
                let operation = Operation::Dequantize { scale: 1.0, zero };
                Value::Float(self.builder.emit_step_like(operation, &[&view], ElementKind::Floats))
            }
            _ => return run_in_float("it casts from another type than bytes"),
        };
        self.set(node, value);
        Ok(())
    }
}

/// The function of a node with one input.
fn unary_op(node: &Node) -> Option<UnaryOp> {
    let attribute = |name: &str, default: f32| node.float(name).unwrap_or(default);
    if node.inputs.len() != 1 {
        return None;
    }
    Some(match node.op.as_str() {
        "Abs" => UnaryOp::Abs,
        "Neg" => UnaryOp::Neg,
        "Relu" => UnaryOp::Relu,
        "LeakyRelu" => UnaryOp::LeakyRelu { alpha: attribute("alpha", 0.01) },
        "ThresholdedRelu" => UnaryOp::ThresholdedRelu { alpha: attribute("alpha", 1.0) },
        "Sigmoid" => UnaryOp::Sigmoid,
        "HardSigmoid" => {
            UnaryOp::HardSigmoid { alpha: attribute("alpha", 0.2), beta: attribute("beta", 0.5) }
        }
        "HardSwish" => UnaryOp::HardSwish,
        "Gelu" => match node.text("approximate") {
            None | Some("none") => UnaryOp::Gelu,
            Some("tanh") => UnaryOp::GeluTanh,
            Some(_) => return None,
        },
        "Tanh" => UnaryOp::Tanh,
        "Mish" => UnaryOp::Mish,
        "Exp" => UnaryOp::Exp,
        "Log" => UnaryOp::Log,
        "Sqrt" => UnaryOp::Sqrt,
        "Reciprocal" => UnaryOp::Reciprocal,
        "Erf" => UnaryOp::Erf,
        "Elu" => UnaryOp::Elu { alpha: attribute("alpha", 1.0) },
        "Selu" => UnaryOp::Selu {
            alpha: attribute("alpha", 1.673_263_2),
            gamma: attribute("gamma", 1.050_701),
        },
        "Celu" => match attribute("alpha", 1.0) {
            alpha if alpha > 0.0 => UnaryOp::Celu { alpha },
            _ => return None,
        },
        "Softplus" => UnaryOp::Softplus,
        "Softsign" => UnaryOp::Softsign,
        "Floor" => UnaryOp::Floor,
        "Ceil" => UnaryOp::Ceil,
        "Round" => UnaryOp::Round,
        "Sign" => UnaryOp::Sign,
        _ => return None,
    })
}
