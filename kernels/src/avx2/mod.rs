//! The kernels for x86-64 with AVX2.
//!
//! Activations are widened to 16 bits when they are staged, weights when they are loaded. Pairs of
//! products are summed by `vpmaddwd`, which is exact for them.
mod depthwise;
mod epilogue;
mod gemm;
mod gemv;

pub(super) use depthwise::depthwise;
pub(super) use gemm::gemm;
pub(super) use gemv::gemv;
