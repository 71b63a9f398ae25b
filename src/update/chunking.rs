//! Where a file is cut: at places that its content chooses, so that bytes inserted in one place
//! move no cut elsewhere and a gateway finds most chunks of a new version among those it has.
//!
//! The rolling "gear" hash of FastCDC (Xia et al., USENIX ATC 2016). Cuts are written in the
//! manifest, so a gateway never computes them and another packer may cut otherwise.

use super::manifest::{Blob, Chunk, MAX_CHUNK_SIZE};
use crate::ids::Digest;

const MIN_CHUNK_LEN: usize = 4 << 10;
const MAX_CHUNK_LEN: usize = MAX_CHUNK_SIZE as usize;
/// A cut every 16 KiB beyond the minimum, on average. The topmost bits depend on the most bytes.
const MASK: u64 = ((1 << 14) - 1) << 50;

/// Cuts and hashes a file.
#[must_use]
pub fn blob(bytes: &[u8]) -> Blob {
    Blob {
        len: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        sha256: Digest::of(bytes),
        chunks: cut(bytes)
            .map(|piece| Chunk {
                // At most MAX, which is a u32.
                len: u32::try_from(piece.len()).unwrap_or(MAX_CHUNK_SIZE),
                sha256: Digest::of(piece),
            })
            .collect(),
    }
}

/// The pieces of the file, in order.
fn cut(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let gear = gear();
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at_checked(first_cut(rest, &gear))?;
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

fn first_cut(bytes: &[u8], gear: &[u64; 256]) -> usize {
    let longest = bytes.len().min(MAX_CHUNK_LEN);
    let mut hash = 0_u64;
    for (at, &byte) in bytes.iter().enumerate().take(longest) {
        let step = gear.get(usize::from(byte)).copied().unwrap_or_default();
        hash = (hash << 1).wrapping_add(step);
        if at >= MIN_CHUNK_LEN && hash & MASK == 0 {
            return at;
        }
    }
    longest
}

/// A random number for each byte, from SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn gear() -> [u64; 256] {
    let mut state = 0_u64;
    std::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(3);
        (0..len).map(|_| random.u8(..)).collect()
    }

    #[test]
    fn pieces_are_the_file_and_fit_a_message() {
        for len in [0, 1, MIN_CHUNK_LEN, MAX_CHUNK_LEN, MAX_CHUNK_LEN + 1, 1 << 20] {
            for bytes in [noise(len), vec![0; len]] {
                assert_eq!(cut(&bytes).collect::<Vec<_>>().concat(), bytes);
                let blob = blob(&bytes);
                assert!(blob.chunks.iter().all(|c| (1..=MAX_CHUNK_SIZE).contains(&c.len)));
                assert_eq!(blob.chunks.iter().map(|c| u64::from(c.len)).sum::<u64>(), blob.len);
            }
        }
    }

    #[test]
    fn bytes_put_in_leave_the_other_chunks_as_they_were() {
        let old = noise(1 << 20);
        let mut new = old.clone();
        new.splice(300_000..300_000, *b"a few more bytes");
        let chunks = |bytes: &[u8]| blob(bytes).chunks.into_iter().collect::<BTreeSet<_>>();
        let (old, new) = (chunks(&old), chunks(&new));
        assert!(new.difference(&old).count() <= 2, "only what was touched is new");
        assert!(old.len() > 20);
    }
}
