//! The activations of recurrent layers.

use crate::engine::graph::Node;
use crate::engine::lower::context::{LowerResult, run_in_float};
use inferd_kernels::float::UnaryOp;

/// The activations of all directions, whose parameters were checked, `count` for each, one direction
/// after the other.
pub(super) fn activations(
    node: &Node,
    count: usize,
    directions: usize,
) -> LowerResult<Vec<UnaryOp>> {
    let defaults: &[UnaryOp] = match count {
        1 => &[UnaryOp::Tanh],
        2 => &[UnaryOp::Sigmoid, UnaryOp::Tanh],
        _ => &[UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Tanh],
    };
    let values = |name: &str| node.floats(name).unwrap_or_default().iter().copied();
    let [mut alpha, mut beta] = ["activation_alpha", "activation_beta"].map(values);
    let known: Option<Vec<UnaryOp>> = match node.texts("activations") {
        Some(names) if !names.is_empty() => {
            names.iter().map(|name| activation(name, &mut alpha, &mut beta)).collect()
        }
        _ => Some(defaults.repeat(directions)),
    };
    match known {
        Some(known) if known.len() == count * directions => Ok(known),
        _ => run_in_float("its activations are not known, or of another number than it needs"),
    }
}

/// The activation of this name, whose case does not matter. Those with parameters take the next
/// ones, or else those of the ONNX operator of this name.
fn activation(
    name: &[u8],
    alpha: &mut impl Iterator<Item = f32>,
    beta: &mut impl Iterator<Item = f32>,
) -> Option<UnaryOp> {
    let mut alpha = |default| alpha.next().unwrap_or(default);
    let mut beta = |default| beta.next().unwrap_or(default);
    Some(match name.to_ascii_lowercase().as_slice() {
        b"relu" => UnaryOp::Relu,
        b"tanh" => UnaryOp::Tanh,
        b"sigmoid" => UnaryOp::Sigmoid,
        b"affine" => UnaryOp::Affine { alpha: alpha(1.0), beta: beta(0.0) },
        b"leakyrelu" => UnaryOp::LeakyRelu { alpha: alpha(0.01) },
        b"thresholdedrelu" => UnaryOp::ThresholdedRelu { alpha: alpha(1.0) },
        b"scaledtanh" => UnaryOp::ScaledTanh { alpha: alpha(1.0), beta: beta(1.0) },
        b"hardsigmoid" => UnaryOp::HardSigmoid { alpha: alpha(0.2), beta: beta(0.5) },
        b"elu" => UnaryOp::Elu { alpha: alpha(1.0) },
        b"softsign" => UnaryOp::Softsign,
        b"softplus" => UnaryOp::Softplus,
        _ => return None,
    })
}
