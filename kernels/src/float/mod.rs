//! Float kernels: channels last, weights packed once, the same bits on every instruction set.
//!
//! # Layouts
//!
//! Pictures are NHWC, one picture per run; a one-dimensional signal has height 1. Weights are taken
//! in the order of ONNX and packed inside:
//!
//! | layer | weights | activations |
//! |---|---|---|
//! | [`Conv`], also grouped and depthwise | `[output][channel of the group][kernel row][kernel column]` | `[h][w][channel]` |
//! | [`ConvTranspose`] | `[channel][output of the group][kernel row][kernel column]` | `[h][w][channel]` |
//! | [`Dense`] | `[k][n]` ([`Layout::RowMajor`], `MatMul`) or `[n][k]` ([`Layout::Transposed`], `Gemm` with `transB`) | `[m][k]` |
//! | [`Matmul`] | none: both sides are computed | `[m][k]`, `[k][n]` or `[n][k]` |
//! | [`Recurrent`] | `W [gate * hidden][input]`, `R [gate * hidden][hidden]`, one direction of ONNX's | see there |
//!
//! # Entry points
//!
//! - [`Conv`], [`Dense`]: `new` packs weights, bias and [`Activation`]; `run` takes an optional
//!   residual, which is added before the activation.
//! - [`ConvTranspose`], without a residual.
//! - [`Pool`]: average and maximum, also global ones (a kernel as large as the picture).
//! - [`Binary`]: two operands with broadcasting; [`unary()`] and [`unary_in_place`]: see
//!   [`UnaryOp`]; [`affine`]: one factor and one summand per channel (batch normalisation that was
//!   not folded).
//! - [`softmax()`], [`log_softmax`] and [`Normalize`] over the last axis; [`reduce()`] over
//!   adjacent axes.
//! - [`Recurrent`]: LSTM, GRU and RNN, any number of steps, state as a value; [`DynamicLstm`]: an
//!   LSTM with products of integers.
//!
//! Transpositions, slices and concatenations are copies: [`super::Strided::floats`].
//!
//! Kernels that need working memory report it by `scratch_bytes`. Lengths are checked at the start
//! of a run and panic if they are wrong, as those of the integer kernels.
//!
//! # Order of operations
//!
//! Each output of a product is one chain of fused multiply-adds: the accumulator starts at the bias
//! (or at zero) and takes the products with ascending k; for a convolution that is (kernel row,
//! kernel column, channel), and taps on the padding add `0 * w`. The residual is added next, and
//! then the activation applies. Vectors run over outputs, never over k, so neither the tile nor the
//! instruction set changes a bit. Sums over adjacent elements ([`reduce()`], [`softmax()`],
//! [`Normalize`]) are taken in [`LANES`] partial sums (element i belongs to sum `i % LANES`) that
//! are added in halves. `exp`, `tanh` and their kin are polynomials (`math`), not the platform's.
//!
//! NEON of 32-bit ARM flushes subnormal numbers to zero, so results it did that to are computed
//! again by other instructions. A processor without fused multiply-adds computes them in software;
//! [`super::Isa::has_fma`] tells. Only the sign and payload of a NaN may differ between machines.
mod activation;
mod binary;
mod columns;
mod conv;
mod conv_transpose;
mod dense;
mod depthwise;
mod dispatch;
mod gemm;
mod math;
mod normalize;
mod operands;
mod pack;
mod pool;
mod pow;
mod recurrent;
mod reduce;
mod softmax;
mod unary;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_arch = "arm", target_feature = "neon"))]
mod neon_armv7;

pub use super::dense::Layout;
pub use activation::Activation;
pub use binary::{Binary, BinaryOp};
pub use conv::{Conv, ConvWeights};
pub use conv_transpose::ConvTranspose;
pub use dense::{Dense, Matmul};
pub use normalize::{Normalize, affine};
pub use pool::{Pool, PoolKind};
pub use recurrent::{
    Cell, DynamicLstm, DynamicRun, DynamicWeights, Recurrent, RecurrentWeights, Steps,
};
pub use reduce::{LANES, ReduceOp, reduce};
pub use softmax::{log_softmax, softmax};
pub use unary::{UnaryOp, unary, unary_in_place};

#[cfg(test)]
mod tests;
