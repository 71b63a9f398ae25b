//! Adjacent columns of a result, held in vector registers: the only operations that products and
//! convolutions are made of, and their definition in plain Rust.
use super::activation::bound;
use super::math::fma;

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
