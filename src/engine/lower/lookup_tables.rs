//! Element-wise functions between a dequantization and the next quantization: a table of the
//! function of each of the 256 values, computed at load. Doubles and portable code give every board
//! the same table.

use super::context::{LowerResult, Lowering, run_in_float};
use super::value::{Deferred, Value};
use crate::engine::graph::{Node, reals};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use std::rc::Rc;

type Values = Rc<[f64; 256]>;

enum Operand {
    Number(f64),
    Table(TensorView, Values),
}

impl Lowering<'_> {
    /// Lowers a function of one quantized tensor and constants.
    pub(super) fn function(&mut self, node: &ExpandedNode) -> LowerResult {
        let mut operands = Vec::new();
        for i in 0..node.inputs.len() {
            match self.optional(node, i) {
                None => {}
                Some(value) => match operand(value) {
                    Some(operand) => operands.push(operand),
                    None if matches!(value, Value::Constant(_))
                        && self.joins_quantized(node)
                        && binary(&node.op, 1.0, 1.0).is_some() =>
                    {
                        return run_in_float("its constant is not one number");
                    }
                    None => return run_in_float(self.why_not(node)),
                },
            }
        }
        let tables: Vec<&TensorView> = operands
            .iter()
            .filter_map(|o| match o {
                Operand::Table(view, _) => Some(view),
                Operand::Number(_) => None,
            })
            .collect();
        let Some((&view, others)) = tables.split_first() else {
            return run_in_float(self.why_not(node));
        };
        if others.iter().any(|other| *other != view) {
            return run_in_float(
                "it combines two quantized tensors in a way that is not supported",
            );
        }
        let bounds = match node.op.as_str() {
            "Clip" | "Relu" => self.bounds(node)?,
            _ => (0.0, 0.0),
        };
        let mut values = [0.0; 256];
        for (i, value) in values.iter_mut().enumerate() {
            let arguments: Vec<f64> = operands
                .iter()
                .map(|o| match o {
                    Operand::Number(x) => *x,
                    Operand::Table(_, table) => table.get(i).copied().unwrap_or(0.0),
                })
                .collect();
            *value = match evaluate(node, &arguments, bounds) {
                Some(value) => value,
                None => return run_in_float("the operator has no integer form here"),
            };
        }
        let table = Deferred::Table { view: view.clone(), values: Rc::new(values) };
        self.set(node, Value::Deferred(table));
        Ok(())
    }

    fn why_not(&self, node: &ExpandedNode) -> &'static str {
        match self.joins_quantized(node) {
            true => "the operator has no integer form here",
            false => "it works on floats",
        }
    }

    fn joins_quantized(&self, node: &ExpandedNode) -> bool {
        let quantized = |i: usize| matches!(self.optional(node, i), Some(Value::Deferred(_)));
        (0..node.inputs.len()).any(quantized)
    }
}

fn operand(value: &Value) -> Option<Operand> {
    match value {
        Value::Constant(tensor) => match reals(tensor)?.as_slice() {
            [one] => Some(Operand::Number(*one)),
            _ => None,
        },
        Value::Deferred(Deferred::Weights(weights)) => match weights.reals().as_slice() {
            [one] => Some(Operand::Number(*one)),
            _ => None,
        },
        Value::Deferred(Deferred::Affine(affine)) => {
            let mut values = [0.0; 256];
            for x in i8::MIN..=i8::MAX {
                if let Some(value) = values.get_mut(usize::from(x.cast_unsigned())) {
                    *value = affine.real(x);
                }
            }
            Some(Operand::Table(affine.view.clone(), Rc::new(values)))
        }
        Value::Deferred(Deferred::Table { view, values }) => {
            Some(Operand::Table(view.clone(), values.clone()))
        }
        _ => None,
    }
}

/// The operator's value; none if it is not a function of numbers.
fn evaluate(node: &Node, arguments: &[f64], bounds: (f64, f64)) -> Option<f64> {
    let attribute = |name: &str, default: f32| f64::from(node.float(name).unwrap_or(default));
    let op = node.op.as_str();
    if matches!(op, "Relu" | "Clip") {
        return arguments.first().map(|x| x.max(bounds.0).min(bounds.1));
    }
    match *arguments {
        [x] if op == "Gelu" && node.text("approximate") == Some("tanh") => Some(gelu_by_tanh(x)),
        [x] if STEPS.contains(&op) => unary(op, in_float(x), attribute),
        [x] => unary(op, x, attribute),
        [x, y] => binary(op, x, y),
        _ => None,
    }
}

/// Step functions, whose argument is rounded to a float first, as in the model. The twentieth step
/// of a scale of 0.05 is 1 in floats, and a little more in exact arithmetic with that float.
const STEPS: [&str; 4] = ["Ceil", "Floor", "Round", "ThresholdedRelu"];

#[expect(clippy::cast_possible_truncation, reason = "as the argument is a float in the model")]
fn in_float(x: f64) -> f64 {
    f64::from(x as f32)
}

fn gelu_by_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    0.5 * x * (1.0 + libm::tanh(inner))
}

fn unary(op: &str, x: f64, attribute: impl Fn(&str, f32) -> f64) -> Option<f64> {
    let elu = |alpha: f64| if x < 0.0 { alpha * libm::expm1(x) } else { x };
    Some(match op {
        "Abs" => x.abs(),
        "Ceil" => x.ceil(),
        "Cos" => libm::cos(x),
        "Elu" => elu(attribute("alpha", 1.0)),
        "Erf" => libm::erf(x),
        "Exp" => libm::exp(x),
        "Floor" => x.floor(),
        "Gelu" => 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
        "HardSigmoid" => (attribute("alpha", 0.2) * x + attribute("beta", 0.5)).clamp(0.0, 1.0),
        "HardSwish" => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        "LeakyRelu" => {
            if x < 0.0 {
                attribute("alpha", 0.01) * x
            } else {
                x
            }
        }
        "Log" => libm::log(x),
        "Mish" => x * libm::tanh(softplus(x)),
        "Neg" => -x,
        "Reciprocal" => 1.0 / x,
        "Round" => x.round_ties_even(),
        "Selu" => attribute("gamma", 1.050_701) * elu(attribute("alpha", 1.673_263_2)),
        "Sigmoid" => 1.0 / (1.0 + libm::exp(-x)),
        "Sign" => {
            if x == 0.0 {
                0.0
            } else {
                x.signum()
            }
        }
        "Sin" => libm::sin(x),
        "Softplus" => softplus(x),
        "Softsign" => x / (1.0 + x.abs()),
        "Sqrt" => x.sqrt(),
        "Tanh" => libm::tanh(x),
        "ThresholdedRelu" => {
            if x > attribute("alpha", 1.0) {
                x
            } else {
                0.0
            }
        }
        _ => return None,
    })
}

fn binary(op: &str, x: f64, y: f64) -> Option<f64> {
    Some(match op {
        "Add" => x + y,
        "Sub" => x - y,
        "Mul" => x * y,
        "Div" => x / y,
        "Max" => x.max(y),
        "Min" => x.min(y),
        "Pow" => libm::pow(x, y),
        "PRelu" => {
            if x < 0.0 {
                y * x
            } else {
                x
            }
        }
        _ => return None,
    })
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}
