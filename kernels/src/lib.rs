//! Integer kernels: exact sums of s8 products in 32 bits, one rounding at the end.
//!
//! Activations are s8 in NHWC order (u8 is stored with 128 taken off, its zero point likewise),
//! weights one byte each, packed once at load. The plain Rust version of every kernel is the
//! definition; the vector versions give the same bits, for the sums are exact and the float
//! operations of the rounding are the same ones in the same order ([`Fit`], [`Requant`]).
//!
//! Nothing here allocates during a run: every kernel says how much [`Scratch`] it needs. Lengths are
//! checked when a run begins; a wrong one is a mistake of the caller, not of a model, and panics.
//!
//! A crate of its own: boards get it optimised for speed and the rest for size, and it is tested on other
//! processors, and under checkers of memory accesses, without the rest (`cross/test`, `scripts/check-kernels`). What a run
//! enters it by is `#[inline(never)]`: code that is inlined into a caller is compiled for size as that is.
#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "inner loops over lengths checked at the start of a run; two's complement on purpose"
)]
#![expect(unsafe_code, reason = "vector instructions and aligned scratch memory")]

mod arith;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod conv;
mod convert;
mod dense;
mod depthwise;
mod gemm;
mod isa;
mod lane;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_arch = "arm", target_feature = "neon"))]
mod neon32;
#[cfg(all(target_arch = "arm", target_feature = "neon"))]
use neon32 as neon;
mod pack;
mod pool;
mod requant;
mod scratch;
mod softmax;
mod stage;
mod strided;
mod window;

pub use arith::{Table, Term, add, clamp, look_up, mul, times};
pub use conv::Conv;
pub use convert::{dequantize, quantize, quantize_dynamic, s8_from_u8, u8_from_s8};
pub use dense::{Dense, Layout, Matmul};
pub use depthwise::Depthwise;
pub use isa::Isa;
pub use pack::{Weights, WeightsError};
pub use pool::{AveragePool, max_pool};
pub use requant::{Fit, Out, Requant, Scale};
pub use scratch::Scratch;
pub use softmax::Softmax;
pub use strided::{Side, Strided};
pub use window::Window;

#[cfg(test)]
mod tests;
