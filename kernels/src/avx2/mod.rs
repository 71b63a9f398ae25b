//! The kernels for x86-64 with AVX2: activations widened to 16 bits when they are staged, weights
//! when they are loaded, pairs of products summed by `vpmaddwd`, which is exact for them.
mod depthwise;
mod finish;
mod gemm;
mod vector;

pub(super) use depthwise::depthwise;
pub(super) use gemm::gemm;
pub(super) use vector::vectors;

/// Runs `f` compiled with AVX2; it must be `#[inline(always)]` to profit.
#[target_feature(enable = "avx2")]
pub(super) fn run<R>(f: impl FnOnce() -> R) -> R {
    f()
}
