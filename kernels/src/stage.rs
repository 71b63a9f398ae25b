//! Pictures with their padding, copied band by band into working memory.
//!
//! A window over a padded copy touches memory at fixed offsets from its first element wherever it
//! stands, so the kernels need neither bounds checks nor a materialised im2col matrix.
use super::gemm::Grid;
use super::isa::Isa;
use super::lane::{depth, staged_bytes, widens};
use super::window::Window;

/// Elements behind the last window's last that kernels may read, and ignore.
pub(super) const SLACK: usize = 64;

/// Bytes a band should fit in: a share of the second-level cache of small cores.
const BAND_BYTES: usize = 96 << 10;

/// How a picture is staged: `rows` output rows at a time.
#[derive(Clone, Debug)]
pub(super) struct Bands {
    window: Window,
    /// Elements of one staged row.
    pub(super) line: usize,
    /// Output rows of one band.
    pub(super) rows: usize,
}

/// One band: the output rows `first..first + rows`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    pub(super) first: usize,
    pub(super) rows: usize,
}

impl Bands {
    pub(super) fn new(isa: Isa, window: &Window) -> Self {
        let reach = window.reach();
        let line = ((window.output[1] - 1) * window.stride[1] + reach[1]) * window.channels;
        let lines = BAND_BYTES / (line * if widens(isa, depth(isa)) { 2 } else { 1 });
        let rows = lines.saturating_sub(reach[0]) / window.stride[0] + 1;
        Self { window: window.clone(), line, rows: rows.min(window.output[0]) }
    }

    /// Elements of the staged band.
    pub(super) fn len(&self) -> usize {
        self.lines(self.rows) * self.line + SLACK
    }

    pub(super) fn scratch_bytes(&self, isa: Isa) -> usize {
        staged_bytes(isa, depth(isa), self.len())
    }

    pub(super) fn each(&self) -> impl Iterator<Item = Band> + use<> {
        let (rows, total) = (self.rows, self.window.output[0]);
        (0..total).step_by(rows).map(move |first| Band { first, rows: rows.min(total - first) })
    }

    /// Where the windows of a band start in its stage.
    pub(super) fn grid(&self, band: Band) -> Grid {
        Grid {
            origin: 0,
            count: band.rows * self.window.output[1],
            width: self.window.output[1],
            step_x: self.window.stride[1] * self.window.channels,
            step_y: self.window.stride[0] * self.line,
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.window.channels
    }

    /// The first position of a band among all positions.
    pub(super) fn first_row(&self, band: Band) -> usize {
        band.first * self.window.output[1]
    }

    /// Where each tap stands relative to its window's first element.
    pub(super) fn taps(&self) -> impl Iterator<Item = usize> {
        let w = &self.window;
        (0..w.kernel[0]).flat_map(move |y| {
            let row = y * w.dilation[0] * self.line;
            (0..w.kernel[1]).map(move |x| row + x * w.dilation[1] * w.channels)
        })
    }

    fn lines(&self, rows: usize) -> usize {
        (rows - 1) * self.window.stride[0] + self.window.reach()[0]
    }

    /// Copies what the band's windows see; `fill` stands where that is padding.
    #[inline(always)]
    pub(super) fn copy<T: Copy + From<i8>>(
        &self,
        band: Band,
        input: &[i8],
        fill: i8,
        stage: &mut [T],
    ) {
        let w = &self.window;
        let fill = T::from(fill);
        let width = w.input[1] * w.channels;
        let left = (w.pad[1] * w.channels).min(self.line);
        let copied = width.min(self.line - left);
        let lines = self.lines(band.rows);
        for (i, line) in stage.chunks_exact_mut(self.line).take(lines).enumerate() {
            let y = (band.first * w.stride[0] + i).checked_sub(w.pad[0]);
            let Some(y) = y.filter(|&y| y < w.input[0]) else {
                line.fill(fill);
                continue;
            };
            let (before, rest) = line.split_at_mut(left);
            let (middle, after) = rest.split_at_mut(copied);
            before.fill(fill);
            for (to, &from) in middle.iter_mut().zip(&input[y * width..y * width + copied]) {
                *to = T::from(from);
            }
            after.fill(fill);
        }
    }
}
