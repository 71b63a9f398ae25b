//! Dispatch by instruction set: the one module of the float kernels that selects one.
use super::super::isa::{Isa, Set};
#[cfg(all(target_arch = "arm", target_feature = "neon"))]
use super::super::vfp4;
#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(all(target_arch = "arm", target_feature = "neon"))]
use super::neon_armv7;
use super::operands::{DepthwiseJob, Left, Output, PANEL, PackedView};

/// Multiplies rows by packed columns.
///
/// # Panics
/// If an operand is shorter than the shapes require.
pub(super) fn product(isa: Isa, left: &Left<'_>, right: &PackedView<'_>, output: &mut Output<'_>) {
    match isa.set() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this value exists only where AVX2 and FMA were detected.
        Set::Avx2 => unsafe { avx2::product(left, right, output) },
        #[cfg(target_arch = "aarch64")]
        Set::Neon | Set::NeonDot => neon::product(left, right, output),
        #[cfg(all(target_arch = "arm", target_feature = "neon"))]
        // SAFETY: the processor has VFPv4, as just asked.
        Set::Neon if vfp4::available() && unsafe { neon_armv7::product(left, right, output) } => {}
        // SAFETY: plain Rust.
        _ => unsafe {
            super::gemm::product::<[f32; PANEL], [f32; PANEL / 2]>(left, right, output);
        },
    }
}

/// Convolves one staged tile.
///
/// # Panics
/// If an operand is shorter than the shapes require.
pub(super) fn depthwise(isa: Isa, job: &DepthwiseJob<'_>, output: &mut Output<'_>) {
    match isa.set() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this value exists only where AVX2 and FMA were detected.
        Set::Avx2 => unsafe { avx2::depthwise(job, output) },
        #[cfg(target_arch = "aarch64")]
        Set::Neon | Set::NeonDot => neon::depthwise(job, output),
        #[cfg(all(target_arch = "arm", target_feature = "neon"))]
        // SAFETY: the processor has VFPv4, as just asked.
        Set::Neon if vfp4::available() && unsafe { neon_armv7::depthwise(job, output) } => {}
        // SAFETY: plain Rust.
        _ => unsafe {
            super::depthwise::depthwise::<[f32; PANEL], [f32; PANEL / 2]>(job, output);
        },
    }
}
