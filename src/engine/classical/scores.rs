//! Transforms of the sums of classifiers and regressors, as ONNX Runtime's CPU kernels compute them
//! (`core/providers/cpu/ml/ml_common.h`).

use crate::engine::graph::Node;

/// The attribute `post_transform`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PostTransform {
    #[default]
    None,
    Logistic,
    Softmax,
    /// A softmax that leaves zeros out.
    SoftmaxZero,
    /// The inverse of the normal distribution function.
    Probit,
}

impl PostTransform {
    /// Reads the attribute of a node; an unknown name is refused before.
    pub(super) fn of(node: &Node) -> Result<Self, String> {
        match node.text("post_transform").unwrap_or("NONE") {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            "SOFTMAX_ZERO" => Ok(Self::SoftmaxZero),
            "PROBIT" => Ok(Self::Probit),
            other => Err(format!("its post_transform = {other:?} is unknown")),
        }
    }

    /// Refuses transforms of a single sum that ONNX Runtime leaves out although ONNX defines them.
    pub(super) fn check_single(self, sums: usize) -> Result<(), String> {
        if sums == 1 && !matches!(self, Self::None | Self::Probit) {
            return Err("its post_transform of one result is left out by ONNX Runtime, although \
                        ONNX defines it: export with post_transform NONE, and put the activation \
                        into the model card"
                .into());
        }
        Ok(())
    }

    /// Transforms the sums of one row.
    pub(super) fn apply(self, sums: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Logistic => sums.iter_mut().for_each(|x| *x = logistic(*x)),
            Self::Softmax => softmax(sums),
            Self::SoftmaxZero => softmax_without_zeros(sums),
            Self::Probit => sums.iter_mut().for_each(|x| *x = probit(*x)),
        }
    }
}

/// The logistic function, without overflow for large arguments.
pub(super) fn logistic(x: f32) -> f32 {
    let of_magnitude = 1.0 / (1.0 + libm::expf(-x.abs()));
    if x < 0.0 { 1.0 - of_magnitude } else { of_magnitude }
}

fn softmax(sums: &mut [f32]) {
    let most = sums.iter().copied().fold(f32::MIN, f32::max);
    let mut total = 0.0;
    for x in sums.iter_mut() {
        *x = libm::expf(*x - most);
        total += *x;
    }
    sums.iter_mut().for_each(|x| *x /= total);
}

fn softmax_without_zeros(sums: &mut [f32]) {
    const ZERO: f32 = 1e-7;
    let most = sums.iter().copied().fold(f32::MIN, f32::max);
    let of_zero = libm::expf(-most);
    let mut total = 0.0;
    for x in sums.iter_mut() {
        if x.abs() > ZERO {
            *x = libm::expf(*x - most);
            total += *x;
        } else {
            *x *= of_zero;
        }
    }
    sums.iter_mut().for_each(|x| *x /= total);
}

/// Winitzki's approximation of the inverse error function.
fn probit(x: f32) -> f32 {
    const A: f32 = 0.147;
    let x = 2.0 * x - 1.0;
    let log = libm::logf((1.0 - x) * (1.0 + x));
    let v = 2.0 / (std::f32::consts::PI * A) + 0.5 * log;
    let root = ((v * v - 1.0 / A * log).sqrt() - v).sqrt();
    std::f32::consts::SQRT_2 * if x < 0.0 { -root } else { root }
}

/// The index of the highest sum; the first one of several.
pub(super) fn highest(sums: impl IntoIterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, x) in sums.into_iter().enumerate() {
        if x > best.1 {
            best = (i, x);
        }
    }
    best.0
}
