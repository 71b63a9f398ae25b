//! Kernels of the engine, which give the same bits on every instruction set.
//!
//! Integer kernels compute exact sums of s8 products in 32 bits, rounded once at the end; they are
//! the modules of the root. [`float`] has the kernels in single precision, with one order of fused
//! multiply-adds per output.
//!
//! Integer activations are s8 in NHWC order (u8 is stored minus 128, and so is its zero point). Weights
//! take one byte each and are packed once at load. The plain Rust version of every kernel
//! (`scalar`) is the definition. The vector versions give the same bits, because the sums are exact
//! and the rounding consists of the same float operations in the same order ([`OutputQuant`],
//! [`Requant`]).
//!
//! No kernel allocates during a run: each reports how much [`Scratch`] it needs. Lengths are
//! checked at the start of a run. A wrong length is an error of the caller, not of a model, and
//! panics.
//!
//! Imports of the integer kernels point one way: `isa`, `scratch` and `requant` at the bottom, then `operands`, the
//! kernels of each instruction set (`scalar`, `avx2`, `neon`), `dispatch`, which selects one, and
//! the layers on top.
//!
//! This is a separate crate so that board builds can optimise it for speed and the rest for size,
//! and so that it can be tested alone on other processors and under memory checkers (`cross/test`,
//! `scripts/check-kernels`). Entry points of a run are `#[inline(never)]`, because code inlined into
//! a caller is compiled for size like the caller.
#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "inner loops over lengths checked at the start of a run; two's complement on purpose"
)]
#![expect(unsafe_code, reason = "vector instructions and aligned scratch memory")]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod conv;
mod conv_geometry;
mod dense;
mod depthwise;
mod dispatch;
mod elementwise;
pub mod float;
mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_arch = "arm", target_feature = "neon"))]
mod neon_armv7;
#[cfg(all(target_arch = "arm", target_feature = "neon"))]
use neon_armv7 as neon;
mod operands;
mod pack;
mod pool;
mod quantize;
mod requant;
mod scalar;
mod scratch;
mod softmax;
mod strided;
mod tiles;
#[cfg(all(target_arch = "arm", target_feature = "neon"))]
mod vfp4;

pub use conv::Conv;
pub use conv_geometry::ConvGeometry;
pub use dense::{Dense, Layout, Matmul};
pub use depthwise::Depthwise;
pub use elementwise::{Table, add, clamp, look_up, mul, mul_scalar};
pub use isa::Isa;
pub use operands::Term;
pub use pack::{MAX_SAFE_DEPTH, Weights, WeightsError};
pub use pool::{AveragePool, max_pool};
pub use quantize::{dequantize, quantize, quantize_dynamic, s8_from_u8, u8_from_s8};
pub use requant::{OutputBuffer, OutputQuant, Requant, Scale};
pub use scratch::Scratch;
pub use softmax::Softmax;
pub use strided::{Strided, StridedView};

#[cfg(test)]
mod tests;
