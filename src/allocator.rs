//! The allocator of board builds: large blocks are mapped by the kernel and unmapped when freed.
//!
//! sled allocates half a megabyte of zeros per buffer and two megabytes for its page table, and
//! touches little of it. Pages fresh from the kernel are zero already and take no memory until they
//! are touched; glibc and musl rely on that. The C library of Zig, which links the static programs,
//! writes the zeros: an idle daemon took 29 MB instead of 2 MB. Its heap also keeps freed memory,
//! and loading a model temporarily takes many times the size of the model.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;

/// The smallest block that is mapped by the kernel, in bytes; as in glibc and musl.
const MIN_MAPPED_BYTES: usize = 128 << 10;
/// The smallest page size of any target, in bytes. Blocks with a larger alignment come from the
/// heap.
const MIN_PAGE_BYTES: usize = 4096;

/// The heap of the C library, except for large blocks.
#[derive(Debug)]
pub(crate) struct Heap;

#[cfg(target_env = "musl")]
#[global_allocator]
static HEAP: Heap = Heap;

fn is_large(size: usize, align: usize) -> bool {
    size >= MIN_MAPPED_BYTES && align <= MIN_PAGE_BYTES
}

#[expect(unsafe_code, reason = "an allocator is unsafe by nature")]
// SAFETY: the layout alone decides between kernel and heap, and the caller passes it back
// unchanged. Both return memory of at least that size and alignment, or null.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout.size(), layout.align()) {
            return map(layout.size());
        }
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout.size(), layout.align()) {
            return map(layout.size());
        }
        // SAFETY: the caller upholds the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !is_large(layout.size(), layout.align()) {
            // SAFETY: the caller upholds the contract, and the heap returned the block.
            return unsafe { System.dealloc(block, layout) };
        }
        // SAFETY: it was mapped with this length, and nothing uses it any more.
        let result = unsafe { libc::munmap(block.cast(), layout.size()) };
        debug_assert_eq!(result, 0, "a mapped block can be unmapped");
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match (is_large(layout.size(), layout.align()), is_large(size, layout.align())) {
            // SAFETY: the caller upholds the contract, and the heap returned the block.
            (false, false) => unsafe { System.realloc(block, layout, size) },
            // SAFETY: it was mapped with this length; it moves as a whole, or stays unchanged.
            (true, true) => unsafe { remap(block, layout.size(), size) },
            // SAFETY: the caller upholds the contract.
            _ => unsafe { self.move_between(block, layout, size) },
        }
    }
}

impl Heap {
    /// Moves a block between kernel and heap.
    ///
    /// # Safety
    /// The same as for [`GlobalAlloc::realloc`].
    #[expect(unsafe_code, reason = "an allocator is unsafe by nature")]
    unsafe fn move_between(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return null_mut() };
        // SAFETY: the caller guarantees a size over zero.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both have that many bytes, and a new block overlaps no other.
            unsafe { moved.copy_from_nonoverlapping(block, size.min(layout.size())) };
            // SAFETY: the caller upholds the contract.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

#[expect(unsafe_code, reason = "memory from the kernel")]
fn map(size: usize) -> *mut u8 {
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping does not touch any other.
    let block = unsafe { libc::mmap(null_mut(), size, access, kind, -1, 0) };
    if block == libc::MAP_FAILED { null_mut() } else { block.cast() }
}

/// # Safety
/// `block` must have been mapped with the length `from`.
#[expect(unsafe_code, reason = "memory from the kernel")]
unsafe fn remap(block: *mut u8, from: usize, to: usize) -> *mut u8 {
    // SAFETY: the caller upholds the contract.
    let block = unsafe { libc::mremap(block.cast(), from, to, libc::MREMAP_MAYMOVE) };
    if block == libc::MAP_FAILED { null_mut() } else { block.cast() }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "the allocator under test")]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_all_sizes_start_as_zeros_and_keep_their_bytes() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut held: Vec<(*mut u8, Layout, u8)> = Vec::new();
        for round in 0..2000_u32 {
            let sizes = [
                1,
                100,
                MIN_MAPPED_BYTES - 1,
                MIN_MAPPED_BYTES,
                MIN_MAPPED_BYTES + 1,
                3 * MIN_MAPPED_BYTES + 5,
            ];
            let size = sizes[random.usize(..sizes.len())];
            let align = [1, 8, 64, MIN_PAGE_BYTES, 2 * MIN_PAGE_BYTES][random.usize(..5)];
            let mark = u8::try_from(round % 251).unwrap() + 1;
            if held.len() < 20 {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the size is over zero; what is read and written is inside of it.
                unsafe {
                    let block = Heap.alloc_zeroed(layout);
                    assert!(!block.is_null() && block.addr().is_multiple_of(align));
                    assert!((0..size).step_by(61).all(|at| *block.add(at) == 0));
                    block.write_bytes(mark, size);
                    held.push((block, layout, mark));
                }
                continue;
            }
            let (block, layout, mark) = held.swap_remove(random.usize(..held.len()));
            // SAFETY: it is this allocator's, with this layout, and not used again.
            unsafe {
                let moved = Heap.realloc(block, layout, size);
                let kept = size.min(layout.size());
                assert!((0..kept).step_by(61).all(|at| *moved.add(at) == mark));
                Heap.dealloc(moved, Layout::from_size_align(size, layout.align()).unwrap());
            }
        }
        for (block, layout, _) in held {
            // SAFETY: as above.
            unsafe { Heap.dealloc(block, layout) };
        }
    }

    // A 32-bit processor may have half of its address space free.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn an_impossible_size_is_null() {
        let layout = Layout::from_size_align(isize::MAX.unsigned_abs() / 2, 8).unwrap();
        // SAFETY: the size is over zero.
        assert!(unsafe { Heap.alloc(layout) }.is_null());
    }
}
