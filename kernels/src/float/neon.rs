//! Columns in NEON registers of aarch64.
#![expect(clippy::needless_range_loop, reason = "closures would hide the instruction set")]
use super::columns::Columns;
use super::operands::{DepthwiseJob, Left, Output, PackedView};
use std::arch::aarch64::*;

/// Elements of a vector.
const VECTOR: usize = 4;

/// `4 * V` columns.
#[derive(Clone, Copy)]
struct Vectors<const V: usize>([float32x4_t; V]);

/// Multiplies rows by packed columns.
///
/// # Panics
/// If an operand is shorter than the shapes require.
pub(super) fn product(left: &Left<'_>, right: &PackedView<'_>, output: &mut Output<'_>) {
    // SAFETY: every aarch64 has NEON.
    unsafe { super::gemm::product::<Vectors<4>, Vectors<2>>(left, right, output) }
}

/// Convolves one staged tile.
///
/// # Panics
/// If an operand is shorter than the shapes require.
pub(super) fn depthwise(job: &DepthwiseJob<'_>, output: &mut Output<'_>) {
    // SAFETY: every aarch64 has NEON.
    unsafe { super::depthwise::depthwise::<Vectors<4>, Vectors<2>>(job, output) }
}

impl<const V: usize> Columns for Vectors<V> {
    const WIDTH: usize = VECTOR * V;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let mut all = [vdupq_n_f32(0.0); V];
            for v in 0..V {
                all[v] = vld1q_f32(from.add(v * VECTOR));
            }
            Self(all)
        }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        let mut all = [[0.0; VECTOR]; V];
        // SAFETY: the caller's.
        unsafe {
            all.as_flattened_mut()[..n].copy_from_slice(std::slice::from_raw_parts(from, n));
            Self::load(all.as_ptr().cast())
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller's.
        unsafe { Self([vdupq_n_f32(x); V]) }
    }

    #[inline(always)]
    unsafe fn fma(mut self, a: Self, b: Self) -> Self {
        for v in 0..V {
            // SAFETY: the caller's.
            self.0[v] = unsafe { vfmaq_f32(self.0[v], a.0[v], b.0[v]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for v in 0..V {
            // SAFETY: the caller's.
            self.0[v] = unsafe { vaddq_f32(self.0[v], other.0[v]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn bound(mut self, [low, high]: [Self; 2]) -> Self {
        for v in 0..V {
            let (low, high) = (low.0[v], high.0[v]);
            // SAFETY: the caller's.
            self.0[v] = unsafe {
                let x = vbslq_f32(vcltq_f32(self.0[v], low), low, self.0[v]);
                vbslq_f32(vcgtq_f32(x, high), high, x)
            };
        }
        self
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for v in 0..V {
            // SAFETY: the caller's.
            unsafe { vst1q_f32(to.add(v * VECTOR), self.0[v]) };
        }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        let mut all = [[0.0; VECTOR]; V];
        // SAFETY: the caller's.
        unsafe {
            self.store(all.as_mut_ptr().cast());
            std::slice::from_raw_parts_mut(to, n).copy_from_slice(&all.as_flattened()[..n]);
        }
    }
}
