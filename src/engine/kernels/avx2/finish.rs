//! The tails of the products: accumulators of 16 columns to results.
use super::super::requant::{Fit, Out, Requant};
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

/// What a product does with its accumulators.
pub(super) trait Tail {
    /// What is the same for all rows of a panel of columns.
    type Panel: Copy;

    /// For 16 columns from `column` of the output on.
    ///
    /// # Safety
    /// The machine must have AVX2.
    unsafe fn panel(&self, column: usize) -> Self::Panel;

    /// Finishes `acc`, the accumulators from element `at` on; only `columns` of them exist.
    ///
    /// # Safety
    /// The machine must have AVX2.
    ///
    /// # Panics
    /// When the place lies outside the output.
    unsafe fn finish(&mut self, panel: Self::Panel, acc: Columns, columns: usize, at: usize);

    /// As [`Tail::panel`], for [`Tail::finish_halves`].
    ///
    /// # Safety
    /// The machine must have AVX2.
    unsafe fn panel_halves(&self, column: usize) -> Self::Panel;

    /// As [`Tail::finish`], for accumulators in the order 0-3, 8-11, 4-7, 12-15.
    ///
    /// # Safety
    /// The machine must have AVX2.
    ///
    /// # Panics
    /// When the place lies outside the output.
    unsafe fn finish_halves(&mut self, panel: Self::Panel, acc: Columns, columns: usize, at: usize);
}

/// From column order (0-7, 8-15) to the order of halves (0-3 8-11, 4-7 12-15) and back.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn exchange([a, b]: Columns) -> Columns {
    [_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31)]
}

/// To s8.
pub(super) struct ToS8<'a> {
    out: &'a mut [i8],
    multipliers: &'a [f32],
    fitter: Fitter,
}

impl<'a> ToS8<'a> {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn new(out: &'a mut [i8], requant: &'a Requant) -> Self {
        Self { out, multipliers: requant.multipliers(), fitter: Fitter::new(&requant.fit) }
    }

    /// Writes the first `columns` of 16 results to element `at` and those behind it.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn write(&mut self, bytes: __m128i, columns: usize, at: usize) {
        if columns == 16 {
            let out = self.out[at..][..16].as_mut_ptr();
            // SAFETY: 16 elements were just sliced.
            unsafe { _mm_storeu_si128(out.cast(), bytes) };
        } else {
            let mut all = [0i8; 16];
            // SAFETY: 16 bytes of the array.
            unsafe { _mm_storeu_si128(all.as_mut_ptr().cast(), bytes) };
            self.out[at..at + columns].copy_from_slice(&all[..columns]);
        }
    }
}

impl Tail for ToS8<'_> {
    type Panel = [__m256; 2];

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn panel(&self, column: usize) -> Self::Panel {
        let at = self.multipliers[column..][..16].as_ptr();
        // SAFETY: 16 elements were just sliced.
        unsafe { [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))] }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn finish(&mut self, m: Self::Panel, acc: Columns, columns: usize, at: usize) {
        let bytes = _mm_shuffle_epi32(self.fitter.fit16(acc, m), 0b11_01_10_00);
        self.write(bytes, columns, at);
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn panel_halves(&self, column: usize) -> Self::Panel {
        // SAFETY: the caller's.
        let [a, b] = unsafe { self.panel(column) };
        [_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)]
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn finish_halves(&mut self, m: Self::Panel, acc: Columns, columns: usize, at: usize) {
        self.write(self.fitter.fit16(acc, m), columns, at);
    }
}

/// To floats or raw sums, by the plain definition.
impl Tail for Out<'_> {
    type Panel = usize;

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn panel(&self, column: usize) -> usize {
        column
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn finish(&mut self, column: usize, acc: Columns, columns: usize, at: usize) {
        let mut all = [0i32; 16];
        // SAFETY: two halves of the array.
        unsafe {
            _mm256_storeu_si256(all.as_mut_ptr().cast(), acc[0]);
            _mm256_storeu_si256(all.as_mut_ptr().add(8).cast(), acc[1]);
        }
        self.finish(&all[..columns], at, column);
    }
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn panel_halves(&self, column: usize) -> usize {
        column
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn finish_halves(&mut self, column: usize, acc: Columns, columns: usize, at: usize) {
        // SAFETY: the caller's.
        unsafe { Tail::finish(self, column, exchange(acc), columns, at) };
    }
}

/// 16 elements from `at` on.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn load(values: &[i32], at: usize) -> Columns {
    let values = values[at..][..16].as_ptr();
    // SAFETY: 16 elements were just sliced.
    unsafe { [_mm256_loadu_si256(values.cast()), _mm256_loadu_si256(values.add(8).cast())] }
}

/// Takes (weight zero point x row sum) off.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn unskew(acc: &mut Columns, zeros: Columns, sum: i32) {
    let sum = _mm256_set1_epi32(sum);
    acc[0] = _mm256_sub_epi32(acc[0], _mm256_mullo_epi32(zeros[0], sum));
    acc[1] = _mm256_sub_epi32(acc[1], _mm256_mullo_epi32(zeros[1], sum));
}
