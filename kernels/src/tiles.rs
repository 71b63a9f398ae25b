//! Pictures with their padding, copied into working memory one tile of rows at a time.
//!
//! A window over a padded copy touches memory at fixed offsets from its first element at every
//! position, so the kernels need neither bounds checks nor a materialised im2col matrix.
use super::conv_geometry::ConvGeometry;
use super::operands::Grid;

/// Elements after the last window that kernels may read and ignore.
pub(super) const STAGE_OVERREAD: usize = 64;

/// Bytes a tile should fit in: a share of the second-level cache of small cores.
const MAX_TILE_BYTES: usize = 96 << 10;

/// The division of a picture into tiles of `rows` output rows.
#[derive(Clone, Debug)]
pub(super) struct RowTiles {
    window: ConvGeometry,
    /// Elements of one staged row.
    pub(super) line: usize,
    /// Output rows of one tile.
    pub(super) rows: usize,
}

/// One tile: the output rows `first..first + rows`.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowTile {
    pub(super) first: usize,
    pub(super) rows: usize,
}

impl RowTiles {
    /// Divides a picture whose staged elements take `element_bytes` each.
    pub(super) fn new(window: &ConvGeometry, element_bytes: usize) -> Self {
        let extent = window.extent();
        let line = ((window.output[1] - 1) * window.stride[1] + extent[1]) * window.channels;
        let lines = MAX_TILE_BYTES / (line * element_bytes);
        let rows = lines.saturating_sub(extent[0]) / window.stride[0] + 1;
        Self { window: window.clone(), line, rows: rows.min(window.output[0]) }
    }

    /// Returns the number of elements of a staged tile.
    pub(super) fn len(&self) -> usize {
        self.lines(self.rows) * self.line + STAGE_OVERREAD
    }

    pub(super) fn each(&self) -> impl Iterator<Item = RowTile> + use<> {
        let (rows, total) = (self.rows, self.window.output[0]);
        (0..total).step_by(rows).map(move |first| RowTile { first, rows: rows.min(total - first) })
    }

    /// Returns the positions where the windows of a tile start in its stage.
    pub(super) fn grid(&self, tile: RowTile) -> Grid {
        Grid {
            origin: 0,
            count: tile.rows * self.window.output[1],
            width: self.window.output[1],
            step_x: self.window.stride[1] * self.window.channels,
            step_y: self.window.stride[0] * self.line,
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.window.channels
    }

    /// Returns the index of a tile's first position among all positions.
    pub(super) fn first_row(&self, tile: RowTile) -> usize {
        tile.first * self.window.output[1]
    }

    /// Returns the position of each tap relative to its window's first element.
    pub(super) fn taps(&self) -> impl Iterator<Item = usize> {
        let w = &self.window;
        (0..w.kernel[0]).flat_map(move |y| {
            let row = y * w.dilation[0] * self.line;
            (0..w.kernel[1]).map(move |x| row + x * w.dilation[1] * w.channels)
        })
    }

    fn lines(&self, rows: usize) -> usize {
        (rows - 1) * self.window.stride[0] + self.window.extent()[0]
    }

    /// Copies the input that the tile's windows cover, with `fill` as padding.
    #[inline(always)]
    pub(super) fn copy<S: Copy, T: Copy + From<S>>(
        &self,
        tile: RowTile,
        input: &[S],
        fill: S,
        stage: &mut [T],
    ) {
        let w = &self.window;
        let fill = T::from(fill);
        let width = w.input[1] * w.channels;
        let left = (w.pad[1] * w.channels).min(self.line);
        let copied = width.min(self.line - left);
        let lines = self.lines(tile.rows);
        for (i, line) in stage.chunks_exact_mut(self.line).take(lines).enumerate() {
            let y = (tile.first * w.stride[0] + i).checked_sub(w.pad[0]);
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
