//! Working memory of the kernels: allocated once by the caller and divided up by every run.

/// One cache line; a vector of these is aligned for every vector register.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
#[expect(dead_code, reason = "read and written through the pieces handed out")]
struct Line([u8; CACHE_LINE]);

/// Bytes of one cache line.
const CACHE_LINE: usize = 64;

/// Working memory for one kernel run at a time.
#[derive(Debug)]
pub struct Scratch {
    lines: Vec<Line>,
}

impl Scratch {
    /// Allocates memory for kernels that need up to `bytes` (their `scratch_bytes`).
    #[must_use]
    pub fn with_bytes(bytes: usize) -> Self {
        Self { lines: vec![Line([0; CACHE_LINE]); bytes.div_ceil(CACHE_LINE)] }
    }

    /// Returns an allocator over the whole memory, for one run.
    pub(super) fn arena(&mut self) -> ScratchArena<'_> {
        ScratchArena { rest: &mut self.lines }
    }
}

/// An allocator of consecutive pieces of a [`Scratch`], each aligned to a cache line.
pub(super) struct ScratchArena<'a> {
    rest: &'a mut [Line],
}

/// An element type of scratch memory: any bit pattern is a value, no padding, alignment up to 64.
///
/// # Safety
/// Implement only for the plain integers and floats.
pub(super) unsafe trait Pod: Copy {}
// SAFETY: plain integers and floats.
unsafe impl Pod for i8 {}
// SAFETY: as above.
unsafe impl Pod for i16 {}
// SAFETY: as above.
unsafe impl Pod for i32 {}
// SAFETY: as above.
unsafe impl Pod for f32 {}

impl<'a> ScratchArena<'a> {
    /// Returns an allocator over the rest of the memory, for a run inside of this one.
    pub(super) fn nested(&mut self) -> ScratchArena<'_> {
        ScratchArena { rest: &mut *self.rest }
    }

    /// Returns the next `len` elements. Their values are those an earlier run left there.
    ///
    /// # Panics
    /// If the scratch memory is smaller than the kernel's `scratch_bytes`.
    pub(super) fn allocate<T: Pod>(&mut self, len: usize) -> &'a mut [T] {
        let lines = bytes_for::<T>(len) / CACHE_LINE;
        let rest = std::mem::take(&mut self.rest);
        assert!(lines <= rest.len(), "scratch memory too small: {lines} lines of {}", rest.len());
        let (piece, rest) = rest.split_at_mut(lines);
        self.rest = rest;
        // SAFETY: `piece` is initialised memory of at least `len * size_of::<T>()` bytes, aligned
        // to 64, borrowed mutably for 'a; every bit pattern is a valid `T` (Pod).
        unsafe { std::slice::from_raw_parts_mut(piece.as_mut_ptr().cast::<T>(), len) }
    }
}

/// Returns how many bytes [`ScratchArena::allocate`] uses for `len` elements.
pub(super) fn bytes_for<T>(len: usize) -> usize {
    (len * size_of::<T>()).div_ceil(CACHE_LINE) * CACHE_LINE
}
