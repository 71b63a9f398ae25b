//! Functions of one operand.
use super::super::isa::Isa;
use super::activation::bound;
use super::math::{erf, exp, expm1_of_negative, fma, gelu, log, sigmoid, softplus, tanh};

/// A function of one operand; the names and attributes are those of ONNX.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnaryOp {
    Abs,
    Neg,
    Relu,
    /// Below zero `alpha * x`.
    LeakyRelu {
        alpha: f32,
    },
    /// At or below `alpha` zero.
    ThresholdedRelu {
        alpha: f32,
    },
    Clip {
        low: f32,
        high: f32,
    },
    /// `alpha * x + beta`, rounded once.
    Affine {
        alpha: f32,
        beta: f32,
    },
    Sigmoid,
    /// clip(alpha * x + beta, 0, 1).
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    /// x * clip(x / 6 + 1/2, 0, 1).
    HardSwish,
    /// x * sigmoid(x) (Swish).
    Silu,
    /// x * (1 + erf(x / sqrt 2)) / 2.
    Gelu,
    /// The approximation of Gelu by tanh.
    GeluTanh,
    Tanh,
    /// alpha * tanh(beta * x).
    ScaledTanh {
        alpha: f32,
        beta: f32,
    },
    /// x * tanh(softplus(x)).
    Mish,
    Exp,
    /// The natural logarithm.
    Log,
    Sqrt,
    Reciprocal,
    Erf,
    /// Below zero `alpha * (e^x - 1)`.
    Elu {
        alpha: f32,
    },
    /// `gamma` times Elu.
    Selu {
        alpha: f32,
        gamma: f32,
    },
    /// Below zero `alpha * (e^(x / alpha) - 1)`; `alpha` is positive.
    Celu {
        alpha: f32,
    },
    /// log(1 + e^x).
    Softplus,
    /// x / (1 + |x|).
    Softsign,
    Floor,
    Ceil,
    /// To the nearest integer, halves to even.
    Round,
    /// -1, 0 or 1.
    Sign,
    /// x * x.
    Square,
}

/// Applies a function to every element.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn unary(isa: Isa, op: UnaryOp, input: &[f32], out: &mut [f32]) {
    /// Elements copied at a time: they stay in the first-level cache.
    const BLOCK: usize = 2048;
    assert_eq!(input.len(), out.len(), "input and output");
    for (out, input) in out.chunks_mut(BLOCK).zip(input.chunks(BLOCK)) {
        out.copy_from_slice(input);
        unary_in_place(isa, op, out);
    }
}

/// Applies `$body` to every element, compiled for the instruction set.
macro_rules! each {
    ($isa:ident, $values:ident, $x:ident => $body:expr) => {
        $isa.run(
            #[inline(always)]
            || {
                for value in $values.iter_mut() {
                    let $x = *value;
                    *value = $body;
                }
            },
        )
    };
}

/// Applies a function to every element, in place.
#[inline(never)]
pub fn unary_in_place(isa: Isa, op: UnaryOp, values: &mut [f32]) {
    match op {
        UnaryOp::Abs => each!(isa, values, x => x.abs()),
        UnaryOp::Neg => each!(isa, values, x => -x),
        UnaryOp::Relu => each!(isa, values, x => bound(x, [0.0, f32::INFINITY])),
        UnaryOp::LeakyRelu { alpha } => {
            each!(isa, values, x => if x < 0.0 { alpha * x } else { x });
        }
        UnaryOp::ThresholdedRelu { alpha } => {
            each!(isa, values, x => if x <= alpha { 0.0 } else { x });
        }
        UnaryOp::Clip { low, high } => each!(isa, values, x => bound(x, [low, high])),
        UnaryOp::Affine { alpha, beta } => each!(isa, values, x => fma(alpha, x, beta)),
        UnaryOp::HardSigmoid { alpha, beta } => {
            each!(isa, values, x => hard_sigmoid(x, alpha, beta));
        }
        UnaryOp::HardSwish => each!(isa, values, x => x * hard_sigmoid(x, 1.0 / 6.0, 0.5)),
        UnaryOp::Sqrt => each!(isa, values, x => x.sqrt()),
        UnaryOp::Reciprocal => each!(isa, values, x => 1.0 / x),
        UnaryOp::Softsign => each!(isa, values, x => x / (1.0 + x.abs())),
        UnaryOp::Floor => each!(isa, values, x => x.floor()),
        UnaryOp::Ceil => each!(isa, values, x => x.ceil()),
        UnaryOp::Round => each!(isa, values, x => x.round_ties_even()),
        UnaryOp::Square => each!(isa, values, x => x * x),
        UnaryOp::Sign => each!(isa, values, x => sign(x)),
        op => transcendental_in_place(isa, op, values),
    }
}

/// The functions that need an exponential or a logarithm.
fn transcendental_in_place(isa: Isa, op: UnaryOp, values: &mut [f32]) {
    match op {
        UnaryOp::Sigmoid => each!(isa, values, x => sigmoid(x)),
        UnaryOp::Silu => each!(isa, values, x => x * sigmoid(x)),
        UnaryOp::Gelu => each!(isa, values, x => gelu(x)),
        UnaryOp::GeluTanh => each!(isa, values, x => gelu_tanh(x)),
        UnaryOp::Tanh => each!(isa, values, x => tanh(x)),
        UnaryOp::ScaledTanh { alpha, beta } => each!(isa, values, x => alpha * tanh(beta * x)),
        UnaryOp::Mish => each!(isa, values, x => x * tanh(softplus(x))),
        UnaryOp::Exp => each!(isa, values, x => exp(x)),
        UnaryOp::Log => each!(isa, values, x => log(x)),
        UnaryOp::Erf => each!(isa, values, x => erf(x)),
        UnaryOp::Elu { alpha } => each!(isa, values, x => elu(x, alpha)),
        UnaryOp::Selu { alpha, gamma } => each!(isa, values, x => gamma * elu(x, alpha)),
        UnaryOp::Celu { alpha } => {
            each!(isa, values, x => {
                if x < 0.0 { alpha * expm1_of_negative(x / alpha) } else { x }
            });
        }
        UnaryOp::Softplus => each!(isa, values, x => softplus(x)),
        // `unary_in_place` has the others.
        _ => {}
    }
}

#[inline(always)]
fn hard_sigmoid(x: f32, alpha: f32, beta: f32) -> f32 {
    bound(fma(alpha, x, beta), [0.0, 1.0])
}

#[inline(always)]
fn elu(x: f32, alpha: f32) -> f32 {
    if x < 0.0 { alpha * expm1_of_negative(x) } else { x }
}

/// x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    let inner = SQRT_2_OVER_PI * fma(0.044_715 * x * x, x, x);
    0.5 * x * (1.0 + tanh(inner))
}

#[inline(always)]
fn sign(x: f32) -> f32 {
    let y = if x > 0.0 { 1.0 } else { x };
    if x < 0.0 { -1.0 } else { y }
}
