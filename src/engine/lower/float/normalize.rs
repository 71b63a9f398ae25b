//! Batch normalisation.

use super::emit::single;
use super::operands::floats;
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::conv::channels_last_order;
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::value::Value;
use crate::engine::plan::{FloatStep, Operation};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::float::{Activation, BinaryOp, UnaryOp};

impl Lowering<'_> {
    /// A batch normalisation by constants joins the product before it, or becomes a factor and a
    /// summand per channel.
    pub(super) fn float_batch_norm(&mut self, node: &ExpandedNode) -> LowerResult {
        let mut parameters = Vec::new();
        for i in 1..5 {
            match self.float_constant(node, i) {
                Some(tensor) if tensor.shape.len() == 1 => parameters.push(tensor),
                Some(_) => return run_in_float("its scale, bias, mean or variance has many axes"),
                None => return self.computed_batch_norm(node),
            }
        }
        let [scale, bias, mean, variance] = parameters.as_slice() else {
            return run_in_float("it has too few inputs");
        };
        let channels = scale.data.len();
        if [bias, mean, variance].iter().any(|t| t.data.len() != channels) || channels == 0 {
            return run_in_float("its scale, bias, mean and variance differ in length");
        }
        let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
        let root = floats(variance).iter().map(|&v| (f64::from(v) + epsilon).sqrt());
        let factors: Vec<f64> =
            floats(scale).iter().zip(root).map(|(&s, root)| f64::from(s) / root).collect();
        let means = floats(mean).iter().zip(&factors).map(|(&m, f)| f64::from(m) * f);
        let shifts: Vec<f64> =
            floats(bias).iter().zip(means).map(|(&b, m)| f64::from(b) - m).collect();
        if self.join_affine(node, &factors, &shifts)? {
            return Ok(());
        }
        let input = self.float_view(node, 0)?;
        let rank = input.shape.len();
        if rank < 2 || input.shape.get(1) != Some(&channels) {
            return run_in_float("its input does not have its number of channels");
        }
        let view = self.builder.ordered(&input, &channels_last_order(rank), ElementKind::Floats);
        let step = FloatStep::Affine {
            scale: factors.iter().map(|&x| single(x)).collect(),
            shift: shifts.iter().map(|&x| single(x)).collect(),
            activation: Activation::None,
        };
        let operation = Operation::Float(Box::new(step));
        let made = self.builder.emit_step_like(operation, &[&view], ElementKind::Floats);
        self.set(node, Value::Float(made));
        Ok(())
    }
    /// A batch normalisation by computed values: tf2onnx writes Keras' `LayerNormalization` so, with
    /// the mean and variance of every row.
    fn computed_batch_norm(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.float_view(node, 0)?;
        let Some(spatial) = input.shape.len().checked_sub(2) else {
            return run_in_float("its input has no channels");
        };
        let channels = input.shape.get(1).copied().unwrap_or(0);
        let mut parameters = Vec::new();
        for i in 1..5 {
            let view = self.float_view(node, i)?;
            if view.shape != [channels] {
                return run_in_float("its input does not have its number of channels");
            }
            let shape = [&[channels], &*vec![1; spatial]].concat();
            parameters.push(self.builder.reshaped(&view, &shape, ElementKind::Floats));
        }
        let [scale, bias, mean, variance] = parameters.as_slice() else {
            return run_in_float("it has too few inputs");
        };
        let epsilon = self.builder.float_constant(vec![node.float("epsilon").unwrap_or(1e-5)]);
        let epsilon = TensorView::plain(epsilon, &[]);
        let variance = self.emit_binary(BinaryOp::Add, variance, &epsilon)?;
        let root = self.emit_unary(UnaryOp::Sqrt, &variance);
        let centred = self.emit_binary(BinaryOp::Sub, &input, mean)?;
        let normal = self.emit_binary(BinaryOp::Div, &centred, &root)?;
        let scaled = self.emit_binary(BinaryOp::Mul, &normal, scale)?;
        let made = self.emit_binary(BinaryOp::Add, &scaled, bias)?;
        self.set(node, Value::Float(made));
        Ok(())
    }
}
