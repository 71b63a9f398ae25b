//! The kernels for aarch64: `smull`, `smlal` and `sadalp` on bytes everywhere, `sdot` where the CPU
//! has it. Activations are staged as they are, in 8 bits.
mod depthwise;
mod elementwise;
mod finish;
mod gemm;

pub(super) use depthwise::depthwise;
pub(super) use elementwise::{add, dequantize, mul, quantize};
pub(super) use gemm::{gemm, gemm_dot};
