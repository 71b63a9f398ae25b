//! Working memory of the kernels: allocated once by the caller, carved up anew by every run.

/// One cache line; a vector of these is aligned for every vector register.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
#[expect(dead_code, reason = "read and written through the pieces handed out")]
struct Line([u8; LINE]);

const LINE: usize = 64;

/// Working memory for one kernel run at a time.
#[derive(Debug)]
pub struct Scratch {
    lines: Vec<Line>,
}

impl Scratch {
    /// Memory for kernels that ask for up to `bytes` (their `scratch_bytes`).
    #[must_use]
    pub fn with_bytes(bytes: usize) -> Self {
        Self { lines: vec![Line([0; LINE]); bytes.div_ceil(LINE)] }
    }

    /// Hands the memory out from its beginning.
    pub(super) fn carve(&mut self) -> Carver<'_> {
        Carver { rest: &mut self.lines }
    }
}

/// Hands out consecutive pieces of a [`Scratch`], each aligned to a cache line.
pub(super) struct Carver<'a> {
    rest: &'a mut [Line],
}

/// An element scratch memory may hold: any bit pattern is a value, no padding, alignment up to 64.
///
/// # Safety
/// Implement only for the plain integers and floats.
pub(super) unsafe trait Plain: Copy {}
// SAFETY: plain integers and floats.
unsafe impl Plain for i8 {}
// SAFETY: as above.
unsafe impl Plain for i16 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}

impl<'a> Carver<'a> {
    /// The next `len` elements, holding whatever an earlier run left there.
    ///
    /// # Panics
    /// When the scratch memory is smaller than the kernel's `scratch_bytes`.
    pub(super) fn take<T: Plain>(&mut self, len: usize) -> &'a mut [T] {
        let lines = bytes_for::<T>(len) / LINE;
        let rest = std::mem::take(&mut self.rest);
        assert!(lines <= rest.len(), "scratch memory too small: {lines} lines of {}", rest.len());
        let (piece, rest) = rest.split_at_mut(lines);
        self.rest = rest;
        // SAFETY: `piece` is initialised memory of at least `len * size_of::<T>()` bytes, aligned to
        // 64, borrowed mutably for 'a; every bit pattern is a valid `T` (Plain).
        unsafe { std::slice::from_raw_parts_mut(piece.as_mut_ptr().cast::<T>(), len) }
    }
}

/// What [`Carver::take`] of `len` elements uses up.
pub(super) fn bytes_for<T>(len: usize) -> usize {
    (len * size_of::<T>()).div_ceil(LINE) * LINE
}
