//! Deltas: a new file as the difference to an old one.
//!
//! A retrain leaves the graph as it is and nudges weights everywhere, so no chunk survives, but
//! bytes at the same distance from the start belong to the same weight. The delta of
//! [`Algo::SubtractDeflate`](super::manifest::Algo) is the new file, each byte less the old file's
//! byte at the same place (modulo 256; beyond the old file's end the byte itself), deflated (zlib,
//! RFC 1950). Where a length has changed, the places no longer agree and the delta does not pay;
//! the packer then leaves it out.

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// A delta pays where it is under this share of the file.
const MAX_SIZE_PERCENT: usize = 70;

/// Why a delta did not make a file.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    #[error("the delta is damaged: {0}")]
    Damaged(#[from] io::Error),
    #[error("the delta unpacks to more than the {0} bytes of its file")]
    TooLong(u64),
}

/// The delta from `old` to `new`, where there is one that pays.
#[must_use]
pub fn between(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let mut differences = new.to_vec();
    for (byte, old) in differences.iter_mut().zip(old) {
        *byte = byte.wrapping_sub(*old);
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail; a delta that were not whole would be refused by its user.
    packed.write_all(&differences).ok()?;
    let packed = packed.finish().ok()?;
    (packed.len() * 100 < new.len() * MAX_SIZE_PERCENT).then_some(packed)
}

/// The file of `len` bytes that `delta` makes of `old`. Whether it is the right one says its
/// digest, which the caller compares. No more than `len` bytes are ever unpacked.
///
/// # Errors
/// A delta that is damaged or unpacks beyond `len`.
pub fn apply(old: &[u8], delta: &[u8], len: u64) -> Result<Vec<u8>, DeltaError> {
    let mut new = Vec::new();
    ZlibDecoder::new(delta).take(len.saturating_add(1)).read_to_end(&mut new)?;
    if u64::try_from(new.len()).unwrap_or(u64::MAX) > len {
        return Err(DeltaError::TooLong(len));
    }
    for (byte, old) in new.iter_mut().zip(old) {
        *byte = byte.wrapping_add(*old);
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..len).map(|_| random.u8(..)).collect()
    }

    #[test]
    fn nudged_weights_make_a_small_delta_that_gives_them_back() {
        let old = noise(100_000, 1);
        let mut new = old.clone();
        for byte in new.iter_mut().step_by(20) {
            *byte = byte.wrapping_add(1);
        }
        new.extend(b"longer");
        let delta = between(&old, &new).unwrap();
        assert!(delta.len() * 10 < new.len(), "{} of {}", delta.len(), new.len());
        let len = new.len().try_into().unwrap();
        assert_eq!(apply(&old, &delta, len).unwrap(), new);
        new.truncate(50_000);
        let delta = between(&old, &new).unwrap();
        assert_eq!(apply(&old, &delta, 50_000).unwrap(), new);
    }

    #[test]
    fn a_delta_that_does_not_pay_is_left_out() {
        assert_eq!(between(&noise(10_000, 1), &noise(10_000, 2)), None);
        assert_eq!(between(&[], &[]), None);
    }

    #[test]
    fn a_bomb_is_unpacked_no_further_than_its_file_is_long() {
        let mut bomb = ZlibEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![0; 32 << 20]).unwrap();
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 100_000);
        assert!(matches!(apply(&[], &bomb, 1000), Err(DeltaError::TooLong(1000))));
        assert!(matches!(apply(&[], b"no delta at all", 1000), Err(DeltaError::Damaged(_))));
    }
}
