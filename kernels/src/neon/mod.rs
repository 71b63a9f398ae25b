//! The kernels for aarch64: `smull`, `smlal` and `sadalp` on bytes, and `sdot` if the CPU has it.
//! Activations are staged in 8 bits.
mod depthwise;
mod elementwise;
mod epilogue;
mod gemm;

pub(super) use depthwise::depthwise;
pub(super) use elementwise::{
    add, clamp, dequantize, fold, largest, mul, mul_scalar, quantize, range, sum, total,
};
pub(super) use gemm::{gemm, gemm_dot};
