//! The kernels for aarch64: `smull`, `smlal` and `sadalp` on bytes everywhere, `sdot` where the CPU
//! has it. Activations are staged as they are, in 8 bits.
mod depthwise;
mod elementwise;
mod finish;
mod gemm;

pub(super) use depthwise::depthwise;
pub(super) use elementwise::{
    add, clamp, dequantize, fold, largest, mul, quantize, range, sum, times, total,
};
pub(super) use gemm::{gemm, gemm_dot};
