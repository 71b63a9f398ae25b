//! Columns in AVX2 registers.
#![expect(clippy::needless_range_loop, reason = "closures would hide the instruction set")]
use super::columns::Columns;
use super::operands::{DepthwiseJob, Left, Output, PackedView};
use std::arch::x86_64::*;

/// Elements of a vector.
const VECTOR: usize = 8;

/// `8 * V` columns.
#[derive(Clone, Copy)]
struct Vectors<const V: usize>([__m256; V]);

/// Multiplies rows by packed columns.
///
/// # Panics
/// If an operand is shorter than the shapes require.
#[target_feature(enable = "avx2,fma")]
pub(super) fn product(left: &Left<'_>, right: &PackedView<'_>, output: &mut Output<'_>) {
    // SAFETY: this function runs on AVX2 and FMA.
    unsafe { super::gemm::product::<Vectors<2>, Vectors<1>>(left, right, output) }
}

/// Convolves one staged tile.
///
/// # Panics
/// If an operand is shorter than the shapes require.
#[target_feature(enable = "avx2,fma")]
pub(super) fn depthwise(job: &DepthwiseJob<'_>, output: &mut Output<'_>) {
    // SAFETY: this function runs on AVX2 and FMA.
    unsafe { super::depthwise::depthwise::<Vectors<2>, Vectors<1>>(job, output) }
}

/// Masks of the first n of a vector's elements start at `VECTOR - n`.
const MASKS: [i32; 2 * VECTOR] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Returns the mask of those of the first `n` columns that lie in vector `v`.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn mask(n: usize, v: usize) -> __m256i {
    let n = n.saturating_sub(v * VECTOR).min(VECTOR);
    // SAFETY: `n` is at most `VECTOR`, so eight masks are readable.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(VECTOR - n).cast()) }
}

impl<const V: usize> Columns for Vectors<V> {
    const WIDTH: usize = VECTOR * V;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let mut all = [_mm256_setzero_ps(); V];
            for v in 0..V {
                all[v] = _mm256_loadu_ps(from.add(v * VECTOR));
            }
            Self(all)
        }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        // SAFETY: the caller's; masked elements are not read.
        unsafe {
            let mut all = [_mm256_setzero_ps(); V];
            for v in 0..V {
                all[v] = _mm256_maskload_ps(from.wrapping_add(v * VECTOR), mask(n, v));
            }
            Self(all)
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller's.
        unsafe { Self([_mm256_set1_ps(x); V]) }
    }

    #[inline(always)]
    unsafe fn fma(mut self, a: Self, b: Self) -> Self {
        for v in 0..V {
            // SAFETY: the caller's.
            self.0[v] = unsafe { _mm256_fmadd_ps(a.0[v], b.0[v], self.0[v]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for v in 0..V {
            // SAFETY: the caller's.
            self.0[v] = unsafe { _mm256_add_ps(self.0[v], other.0[v]) };
        }
        self
    }

    #[inline(always)]
    unsafe fn bound(mut self, [low, high]: [Self; 2]) -> Self {
        for v in 0..V {
            // These instructions return the second operand if one is a NaN or both are zero.
            // SAFETY: the caller's.
            self.0[v] = unsafe { _mm256_min_ps(high.0[v], _mm256_max_ps(low.0[v], self.0[v])) };
        }
        self
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for v in 0..V {
            // SAFETY: the caller's.
            unsafe { _mm256_storeu_ps(to.add(v * VECTOR), self.0[v]) };
        }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        for v in 0..V {
            // SAFETY: the caller's; masked elements are not written.
            unsafe { _mm256_maskstore_ps(to.wrapping_add(v * VECTOR), mask(n, v), self.0[v]) };
        }
    }
}
