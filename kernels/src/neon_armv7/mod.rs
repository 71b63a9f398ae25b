//! The kernels for 32-bit ARM with NEON: `vmull.s8` and `vpadal.s16` on bytes.
//!
//! The Rust intrinsics for this architecture are not stable, but `asm!` is. It takes no vectors
//! here, so each inner loop is one block from its first load to its last store. NEON on ARMv7
//! flushes subnormal floats to zero, so scalar code handles results that stay floats.
mod depthwise;
mod elementwise;
mod epilogue;
mod gemm;

pub(super) use depthwise::depthwise;
pub(super) use elementwise::{clamp, fold, largest, range, sum, total};
pub(super) use gemm::gemm;
