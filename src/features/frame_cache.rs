//! Frames of overlapping windows are transformed once.
//!
//! A cache entry is the series of a window with its transformed frames. If a later series continues
//! an entry's, `hop` samples further on and with the same bits where they overlap, the frames in both
//! are copied. Samples are compared, so nothing else must be known: not the device, not a gap, not a
//! restored window. The result has the same bits with and without the cache.

/// The most bytes of a cache.
const MAX_BYTES: usize = 2 << 20;
/// The most windows of one.
const MAX_ENTRIES: usize = 64;

/// Which frames of the next window are those of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    /// Samples between the starts of two windows.
    pub(super) hop: usize,
    /// Frames between them.
    pub(super) frames: usize,
    /// The first samples of a window that depend on its end.
    pub(super) dirty: usize,
    /// The first frame without them.
    pub(super) first: usize,
}

/// Windows with their frames, the oldest replaced first.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameCache {
    entries: Vec<Entry>,
    next: usize,
    /// Frames that were copied.
    pub(super) copied: u64,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    series: Vec<f64>,
    frames: Vec<f64>,
}

/// The shape of what is cached.
#[derive(Clone, Copy, Debug)]
pub(super) struct CachedShape {
    /// Samples of a channel.
    pub(super) samples: usize,
    /// Frames of a channel.
    pub(super) count: usize,
    /// Numbers of a frame.
    pub(super) width: usize,
}

impl FrameCache {
    /// The entry that `series` continues.
    pub(super) fn find(&self, series: &[f64], overlap: &Overlap, samples: usize) -> Option<usize> {
        let Overlap { hop, dirty, .. } = *overlap;
        let continues = |entry: &Entry| {
            let old = entry.series.chunks(samples.max(1));
            let mut pairs = old.zip(series.chunks(samples.max(1)));
            entry.series.len() == series.len()
                && pairs.all(|(old, new)| {
                    let old = old.iter().skip(hop.saturating_add(dirty));
                    let new = new.iter().skip(dirty);
                    old.zip(new).all(|(old, new)| old.to_bits() == new.to_bits())
                })
        };
        self.entries.iter().position(continues)
    }

    /// The numbers of a frame of `channel`, if the entry has it.
    pub(super) fn frame(
        &mut self,
        entry: usize,
        overlap: &Overlap,
        shape: CachedShape,
        (channel, place): (usize, usize),
    ) -> Option<&[f64]> {
        let earlier = place.checked_add(overlap.frames)?;
        if place < overlap.first || earlier >= shape.count {
            return None;
        }
        let begin = (channel * shape.count + earlier) * shape.width;
        let found = self.entries.get(entry)?.frames.get(begin..begin + shape.width)?;
        self.copied += 1;
        Some(found)
    }

    /// Remembers a window, in the place of the one that it continues or of the oldest.
    pub(super) fn keep(&mut self, found: Option<usize>, series: &[f64], frames: &[f64]) {
        let bytes = (series.len() + frames.len()).saturating_mul(size_of::<f64>()).max(1);
        let most = (MAX_BYTES / bytes).clamp(1, MAX_ENTRIES);
        let place = found.unwrap_or_else(|| {
            if self.entries.len() < most {
                self.entries.push(Entry::default());
                return self.entries.len() - 1;
            }
            self.next = (self.next + 1) % most;
            self.next
        });
        if let Some(entry) = self.entries.get_mut(place) {
            entry.series.clear();
            entry.series.extend_from_slice(series);
            entry.frames.clear();
            entry.frames.extend_from_slice(frames);
        }
    }
}
