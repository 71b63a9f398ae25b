//! Memory of programs for boards: large pieces come from the kernel, and go back to it.
//!
//! sled asks for half a megabyte of zeros for every buffer and for two for its table of pages, and touches little of
//! it. Pages fresh from the kernel are zero already and take nothing until they are touched; glibc and musl leave
//! them so. Zig's C library, which links the static programs, writes the zeros: a daemon at rest took 29 MB for what
//! is 2 MB elsewhere. Its heap also keeps what is given back, and models are loaded by way of many times their size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;

/// The smallest size that comes from the kernel, as in glibc and musl.
const LARGE: usize = 128 << 10;
/// No smaller on any target; what wants to be aligned to more goes to the heap.
const PAGE: usize = 4096;

/// The C library's heap, but for large pieces.
#[derive(Debug)]
pub(crate) struct Heap;

#[cfg(target_env = "musl")]
#[global_allocator]
static HEAP: Heap = Heap;

fn is_large(size: usize, align: usize) -> bool {
    size >= LARGE && align <= PAGE
}

#[expect(unsafe_code, reason = "an allocator is unsafe by nature")]
// SAFETY: whether a piece is the kernel's or the heap's follows from its layout alone, which the caller gives back
// unchanged; both give memory of at least that size and alignment, or null.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout.size(), layout.align()) {
            return map(layout.size());
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout.size(), layout.align()) {
            return map(layout.size());
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if !is_large(layout.size(), layout.align()) {
            // SAFETY: the caller's promise, and the heap gave it.
            return unsafe { System.dealloc(piece, layout) };
        }
        // SAFETY: it was mapped with this length, and nothing looks at it any more.
        let result = unsafe { libc::munmap(piece.cast(), layout.size()) };
        debug_assert_eq!(result, 0, "what was mapped can be unmapped");
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match (is_large(layout.size(), layout.align()), is_large(size, layout.align())) {
            // SAFETY: the caller's promise, and the heap gave it.
            (false, false) => unsafe { System.realloc(piece, layout, size) },
            // SAFETY: it was mapped with this length; it moves whole, or stays as it was.
            (true, true) => unsafe { remap(piece, layout.size(), size) },
            // SAFETY: the caller's promise.
            _ => unsafe { self.move_over(piece, layout, size) },
        }
    }
}

impl Heap {
    /// Between the kernel's pieces and the heap's.
    ///
    /// # Safety
    /// As of [`GlobalAlloc::realloc`].
    #[expect(unsafe_code, reason = "an allocator is unsafe by nature")]
    unsafe fn move_over(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return null_mut() };
        // SAFETY: the caller promises a size over zero.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both have that many bytes, and a new piece overlaps with none.
            unsafe { moved.copy_from_nonoverlapping(piece, size.min(layout.size())) };
            // SAFETY: the caller's promise.
            unsafe { self.dealloc(piece, layout) };
        }
        moved
    }
}

#[expect(unsafe_code, reason = "memory from the kernel")]
fn map(size: usize) -> *mut u8 {
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, where the kernel has room, touches no other.
    let piece = unsafe { libc::mmap(null_mut(), size, access, kind, -1, 0) };
    if piece == libc::MAP_FAILED { null_mut() } else { piece.cast() }
}

/// # Safety
/// `piece` must have been mapped with the length `from`.
#[expect(unsafe_code, reason = "memory from the kernel")]
unsafe fn remap(piece: *mut u8, from: usize, to: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    let piece = unsafe { libc::mremap(piece.cast(), from, to, libc::MREMAP_MAYMOVE) };
    if piece == libc::MAP_FAILED { null_mut() } else { piece.cast() }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "the allocator under test")]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_all_sizes_keep_their_bytes_and_begin_as_zeros() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut held: Vec<(*mut u8, Layout, u8)> = Vec::new();
        for round in 0..2000_u32 {
            let sizes = [1, 100, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 5];
            let size = sizes[random.usize(..sizes.len())];
            let align = [1, 8, 64, PAGE, 2 * PAGE][random.usize(..5)];
            let mark = u8::try_from(round % 251).unwrap() + 1;
            if held.len() < 20 {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the size is over zero; what is read and written is inside of it.
                unsafe {
                    let piece = Heap.alloc_zeroed(layout);
                    assert!(!piece.is_null() && piece.addr().is_multiple_of(align));
                    assert!((0..size).step_by(61).all(|at| *piece.add(at) == 0));
                    piece.write_bytes(mark, size);
                    held.push((piece, layout, mark));
                }
                continue;
            }
            let (piece, layout, mark) = held.swap_remove(random.usize(..held.len()));
            // SAFETY: it is this allocator's, with this layout, and not used again.
            unsafe {
                let moved = Heap.realloc(piece, layout, size);
                let kept = size.min(layout.size());
                assert!((0..kept).step_by(61).all(|at| *moved.add(at) == mark));
                Heap.dealloc(moved, Layout::from_size_align(size, layout.align()).unwrap());
            }
        }
        for (piece, layout, _) in held {
            // SAFETY: as above.
            unsafe { Heap.dealloc(piece, layout) };
        }
    }

    // A 32-bit processor may well have half of what it can name.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn what_the_kernel_has_no_room_for_is_null() {
        let layout = Layout::from_size_align(isize::MAX.unsigned_abs() / 2, 8).unwrap();
        // SAFETY: the size is over zero.
        assert!(unsafe { Heap.alloc(layout) }.is_null());
    }
}
