//! Adjacent columns of a result, held in vector registers: the only operations that products and
//! convolutions are made of, and their definition in plain Rust.
#![expect(clippy::needless_range_loop, reason = "closures would hide the instruction set")]
use super::activation::bound;
use super::math::fma;
use super::operands::{PANEL, Run};

/// Some adjacent columns.
///
/// # Safety
/// The functions of an implementation may only be called where the CPU has its instructions.
pub(super) trait Columns: Copy {
    /// How many columns.
    const WIDTH: usize;

    /// # Safety
    /// `WIDTH` elements must be readable, and the CPU must have the instructions.
    unsafe fn load(from: *const f32) -> Self;

    /// Loads the first `n` columns; the others are zero.
    ///
    /// # Safety
    /// `n`, at most `WIDTH`, must be readable, and the CPU must have the instructions.
    unsafe fn load_part(from: *const f32, n: usize) -> Self;

    /// # Safety
    /// The CPU must have the instructions.
    unsafe fn splat(x: f32) -> Self;

    /// Returns `self + a * b`, rounded once.
    ///
    /// # Safety
    /// The CPU must have the instructions.
    unsafe fn fma(self, a: Self, b: Self) -> Self;

    /// # Safety
    /// The CPU must have the instructions.
    unsafe fn add(self, other: Self) -> Self;

    /// [`bound`] of every column; the bounds are splat.
    ///
    /// # Safety
    /// The CPU must have the instructions.
    unsafe fn bound(self, bounds: [Self; 2]) -> Self;

    /// # Safety
    /// `WIDTH` elements must be writable, and the CPU must have the instructions.
    unsafe fn store(self, to: *mut f32);

    /// Stores the first `n` columns.
    ///
    /// # Safety
    /// `n`, at most `WIDTH`, must be writable, and the CPU must have the instructions.
    unsafe fn store_part(self, to: *mut f32, n: usize);

    /// Adds the products of `R` rows and `P` panels, of the first `WIDTH` columns of each.
    ///
    /// # Safety
    /// The elements of all runs must be readable at each base, and as many rows of [`PANEL`]
    /// weights in each panel; the CPU must have the instructions.
    #[inline(always)]
    unsafe fn accumulate<const R: usize, const P: usize>(
        bases: &[*const f32; R],
        runs: &[Run],
        mut weights: [*const f32; P],
        mut acc: [[Self; P]; R],
    ) -> [[Self; P]; R] {
        for run in runs {
            // SAFETY: the caller's.
            unsafe {
                let mut a = *bases;
                for r in 0..R {
                    a[r] = a[r].add(run.start as usize);
                }
                for i in 0..run.len as usize {
                    let mut w = [Self::splat(0.0); P];
                    for p in 0..P {
                        w[p] = Self::load(weights[p]);
                        weights[p] = weights[p].add(PANEL);
                    }
                    for r in 0..R {
                        let x = Self::splat(*a[r].add(i));
                        for p in 0..P {
                            acc[r][p] = acc[r][p].fma(x, w[p]);
                        }
                    }
                }
            }
        }
        acc
    }

    /// Adds the products of all taps of `P` positions; `stride` is that of a tap's weights.
    ///
    /// # Safety
    /// `WIDTH` elements must be readable at each base plus each tap, and as many weights; the CPU
    /// must have the instructions.
    #[inline(always)]
    unsafe fn accumulate_taps<const P: usize>(
        bases: &[*const f32; P],
        taps: &[u32],
        weights: *const f32,
        stride: usize,
        mut acc: [Self; P],
    ) -> [Self; P] {
        for (i, &tap) in taps.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let w = Self::load(weights.add(i * stride));
                for p in 0..P {
                    acc[p] = acc[p].fma(Self::load(bases[p].add(tap as usize)), w);
                }
            }
        }
        acc
    }
}

impl<const N: usize> Columns for [f32; N] {
    const WIDTH: usize = N;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        let mut all = [0.0; N];
        // SAFETY: the caller's.
        all[..n].copy_from_slice(unsafe { std::slice::from_raw_parts(from, n) });
        all
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        [x; N]
    }

    #[inline(always)]
    unsafe fn fma(mut self, a: Self, b: Self) -> Self {
        for i in 0..N {
            self[i] = fma(a[i], b[i], self[i]);
        }
        self
    }

    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for i in 0..N {
            self[i] += other[i];
        }
        self
    }

    #[inline(always)]
    unsafe fn bound(mut self, [low, high]: [Self; 2]) -> Self {
        for i in 0..N {
            self[i] = bound(self[i], [low[i], high[i]]);
        }
        self
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(to, n) }.copy_from_slice(&self[..n]);
    }
}
