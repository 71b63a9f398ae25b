//! The epilogues of the products: accumulators of 16 columns to results.
use super::super::requant::{OutputBuffer, OutputQuant, Requant};
use std::arch::x86_64::*;

/// 16 accumulators in column order.
pub(super) type Columns = [__m256i; 2];

/// An [`OutputQuant`] in registers.
#[derive(Clone, Copy)]
pub(super) struct Rounding {
    low: __m256,
    high: __m256,
    zero: __m256i,
}

impl Rounding {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn new(quant: &OutputQuant) -> Self {
        let (low, high) = quant.bounds();
        Self {
            low: _mm256_set1_ps(low),
            high: _mm256_set1_ps(high),
            zero: _mm256_set1_epi16(i16::from(quant.zero)),
        }
    }

    /// Scales and rounds eight accumulators, before the zero point is added.
    ///
    /// `vmaxps` returns its second operand if the first is NaN, like [`OutputQuant::store`], and
    /// `vcvtps2dq` rounds half to even in the mode Rust code runs in.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn round(&self, acc: __m256i, multipliers: __m256) -> __m256i {
        let x = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multipliers);
        let x = _mm256_min_ps(_mm256_max_ps(x, self.low), self.high);
        _mm256_cvtps_epi32(x)
    }

    /// Makes 16 results in words of 16 accumulators: 0-3 and 8-11 before the others, or in order if
    /// the accumulators (and multipliers) are in halves.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn words(&self, acc: Columns, multipliers: [__m256; 2]) -> __m256i {
        let [a, b] = [0, 1].map(|i| self.round(acc[i], multipliers[i]));
        _mm256_add_epi16(_mm256_packs_epi32(a, b), self.zero)
    }
}

/// The conversion of a product's accumulators to results.
///
/// `HALVES` means that the 16 of a row are in the order 0-3, 8-11, 4-7, 12-15 of interleaving, not
/// in column order.
pub(super) trait Epilogue {
    /// Data shared by all rows of a panel of columns.
    type Panel: Copy;

    /// Loads the shared data of 16 columns from `column` of the output on.
    ///
    /// # Safety
    /// The machine must have AVX2.
    unsafe fn panel<const HALVES: bool>(&self, column: usize) -> Self::Panel;

    /// Writes the first `columns` results of each of `R` rows. The first row starts at element `at`
    /// of the output, each further one `stride` elements later.
    ///
    /// # Safety
    /// The machine must have AVX2.
    ///
    /// # Panics
    /// If the results lie outside the output.
    unsafe fn finish<const R: usize, const HALVES: bool>(
        &mut self,
        panel: Self::Panel,
        acc: [Columns; R],
        columns: usize,
        at: usize,
        stride: usize,
    );
}

/// Converts column order (0-7, 8-15) to the order of halves (0-3 8-11, 4-7 12-15) and back.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn exchange([a, b]: Columns) -> Columns {
    [_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31)]
}

/// The epilogue that writes s8.
pub(super) struct ToS8<'a> {
    out: &'a mut [i8],
    multipliers: &'a [f32],
    rounding: Rounding,
}

impl<'a> ToS8<'a> {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn new(out: &'a mut [i8], requant: &'a Requant) -> Self {
        Self { out, multipliers: requant.multipliers(), rounding: Rounding::new(&requant.quant) }
    }
}

/// Packs two rows of words into two rows of bytes, in column order.
#[target_feature(enable = "avx2")]
#[inline]
fn bytes<const HALVES: bool>(first: __m256i, second: __m256i) -> [__m128i; 2] {
    let packed = _mm256_packs_epi16(first, second);
    let sorted = if HALVES {
        _mm256_permute4x64_epi64(packed, 0b11_01_10_00)
    } else {
        _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
    };
    [_mm256_castsi256_si128(sorted), _mm256_extracti128_si256(sorted, 1)]
}

impl Epilogue for ToS8<'_> {
    type Panel = [__m256; 2];

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn panel<const HALVES: bool>(&self, column: usize) -> Self::Panel {
        let at = self.multipliers[column..][..16].as_ptr();
        // SAFETY: 16 elements were just sliced.
        let [a, b] = unsafe { [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))] };
        if HALVES {
            [_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)]
        } else {
            [a, b]
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn finish<const R: usize, const HALVES: bool>(
        &mut self,
        m: Self::Panel,
        acc: [Columns; R],
        columns: usize,
        at: usize,
        stride: usize,
    ) {
        let out = &mut self.out[at..][..(R - 1) * stride + columns];
        for i in (0..R).step_by(2) {
            let first = self.rounding.words(acc[i], m);
            let second = if i + 1 < R { self.rounding.words(acc[i + 1], m) } else { first };
            for (j, row) in bytes::<HALVES>(first, second).into_iter().take(R - i).enumerate() {
                let at = (i + j) * stride;
                if columns == 16 {
                    // SAFETY: the last row's last element is inside `out`.
                    unsafe { _mm_storeu_si128(out.as_mut_ptr().add(at).cast(), row) };
                } else {
                    let mut all = [0i8; 16];
                    // SAFETY: 16 bytes of the array.
                    unsafe { _mm_storeu_si128(all.as_mut_ptr().cast(), row) };
                    out[at..at + columns].copy_from_slice(&all[..columns]);
                }
            }
        }
    }
}

/// Floats or raw sums, by the scalar definition.
impl Epilogue for OutputBuffer<'_> {
    type Panel = usize;

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn panel<const HALVES: bool>(&self, column: usize) -> usize {
        column
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn finish<const R: usize, const HALVES: bool>(
        &mut self,
        column: usize,
        acc: [Columns; R],
        columns: usize,
        at: usize,
        stride: usize,
    ) {
        for (i, acc) in acc.into_iter().enumerate() {
            let [a, b] = if HALVES { exchange(acc) } else { acc };
            let mut all = [0i32; 16];
            // SAFETY: two halves of the array.
            unsafe {
                _mm256_storeu_si256(all.as_mut_ptr().cast(), a);
                _mm256_storeu_si256(all.as_mut_ptr().add(8).cast(), b);
            }
            OutputBuffer::finish(self, &all[..columns], at + i * stride, column);
        }
    }
}

/// Loads 16 elements from `at` on.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn load(values: &[i32], at: usize) -> Columns {
    let values = values[at..][..16].as_ptr();
    // SAFETY: 16 elements were just sliced.
    unsafe { [_mm256_loadu_si256(values.cast()), _mm256_loadu_si256(values.add(8).cast())] }
}

/// Subtracts (weight zero point x row sum).
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn subtract_zero_points(acc: &mut Columns, zeros: Columns, sum: i32) {
    let sum = _mm256_set1_epi32(sum);
    acc[0] = _mm256_sub_epi32(acc[0], _mm256_mullo_epi32(zeros[0], sum));
    acc[1] = _mm256_sub_epi32(acc[1], _mm256_mullo_epi32(zeros[1], sum));
}
