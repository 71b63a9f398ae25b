//! The tails of the products: accumulators of 16 columns to results.
use super::super::requant::{Fit, Out};
use std::arch::x86_64::*;

/// 16 accumulators in column order.
pub(super) type Columns = [__m256i; 2];

/// A [`Fit`] in registers.
#[derive(Clone, Copy)]
pub(super) struct Fitter {
    low: __m256,
    high: __m256,
    zero: __m256i,
}

impl Fitter {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn new(fit: &Fit) -> Self {
        let (low, high) = fit.bounds();
        Self {
            low: _mm256_set1_ps(low),
            high: _mm256_set1_ps(high),
            zero: _mm256_set1_epi16(i16::from(fit.zero)),
        }
    }

    /// Eight accumulators to rounded integers, the zero point not yet added. `vmaxps` returns its
    /// second operand where the first is not a number, as [`Fit::store`] does, and `vcvtps2dq`
    /// rounds half to even in the mode Rust code runs in.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn round(&self, acc: __m256i, multipliers: __m256) -> __m256i {
        let x = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multipliers);
        let x = _mm256_min_ps(_mm256_max_ps(x, self.low), self.high);
        _mm256_cvtps_epi32(x)
    }

    /// 16 accumulators to 16 results. With `vpackssdw` working within halves, columns in order come
    /// out as 0-3, 8-11, 4-7, 12-15, and columns given in that order come out in order.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn fit16(&self, acc: Columns, multipliers: [__m256; 2]) -> __m128i {
        let [a, b] = [0, 1].map(|i| self.round(acc[i], multipliers[i]));
        let words = _mm256_add_epi16(_mm256_packs_epi32(a, b), self.zero);
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1))
    }
}

/// Finishes `acc`, in column order, the accumulators from element `at` on: `columns` of them, which
/// are the output's columns from `column` on.
///
/// # Panics
/// When the place lies outside the output.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn finish(acc: Columns, columns: usize, out: &mut Out<'_>, at: usize, column: usize) {
    if let Out::S8(out, requant) = out {
        let multipliers = requant.multipliers()[column..][..16].as_ptr();
        // SAFETY: 16 multipliers were just sliced.
        let m = unsafe { [_mm256_loadu_ps(multipliers), _mm256_loadu_ps(multipliers.add(8))] };
        let packed = Fitter::new(&requant.fit).fit16(acc, m);
        let bytes = _mm_shuffle_epi32(packed, 0b11_01_10_00);
        if columns == 16 {
            let out = out[at..at + 16].as_mut_ptr();
            // SAFETY: 16 elements were just sliced.
            unsafe { _mm_storeu_si128(out.cast(), bytes) };
        } else {
            let mut all = [0i8; 16];
            // SAFETY: 16 bytes of the array.
            unsafe { _mm_storeu_si128(all.as_mut_ptr().cast(), bytes) };
            out[at..at + columns].copy_from_slice(&all[..columns]);
        }
    } else {
        let mut all = [0i32; 16];
        // SAFETY: two halves of the array.
        unsafe {
            _mm256_storeu_si256(all.as_mut_ptr().cast(), acc[0]);
            _mm256_storeu_si256(all.as_mut_ptr().add(8).cast(), acc[1]);
        }
        out.finish(&all[..columns], at, column);
    }
}
