//! The one matrix product behind dense layers, convolutions and run-time products.
use super::isa::Isa;
use super::lane::Lane;
use super::pack::{Offsets, PANEL, View};
use super::requant::Out;

/// Where the rows of the left-hand side start in the staged activations: a grid of positions,
/// `width` of them per line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) origin: usize,
    pub(super) count: usize,
    pub(super) width: usize,
    pub(super) step_x: usize,
    pub(super) step_y: usize,
}

impl Grid {
    /// `rows` rows of `stride` elements.
    pub(super) fn rows(rows: usize, stride: usize) -> Self {
        Self { origin: 0, count: rows, width: rows.max(1), step_x: stride, step_y: 0 }
    }

    /// The bases of all rows, one after the other.
    #[inline(always)]
    pub(super) fn bases(&self) -> Bases {
        Bases { next: self.origin, line: self.origin, x: 0, grid: *self }
    }

    /// The largest base of all rows.
    pub(super) fn last(&self) -> usize {
        let (lines, rest) =
            ((self.count.max(1) - 1) / self.width, self.count.min(self.width).max(1) - 1);
        self.origin + lines * self.step_y + rest * self.step_x
    }
}

/// Walks over the bases of a [`Grid`] without a division; never ends.
pub(super) struct Bases {
    next: usize,
    line: usize,
    x: usize,
    grid: Grid,
}

impl Bases {
    #[inline(always)]
    pub(super) fn step(&mut self) -> usize {
        let base = self.next;
        self.x += 1;
        self.next += self.grid.step_x;
        if self.x == self.grid.width {
            self.x = 0;
            self.line += self.grid.step_y;
            self.next = self.line;
        }
        base
    }

    /// The next `R`.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        expect(dead_code, reason = "for kernels that take several rows")
    )]
    #[inline(always)]
    pub(super) fn take<const R: usize>(&mut self) -> [usize; R] {
        std::array::from_fn(|_| self.step())
    }
}

/// The left-hand side and where it meets the weights: row r, group g starts at
/// `stage[base(r) + offsets[g]]`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a, T> {
    pub(super) stage: &'a [T],
    pub(super) grid: Grid,
    pub(super) offsets: &'a Offsets,
    /// Sum of each row's activations; needed where the weights' zero points are not zero.
    pub(super) row_sums: &'a [i32],
}

/// The place of a product's result in the whole output, which has `width` columns.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) width: usize,
}

impl<T> Left<'_, T> {
    /// # Panics
    /// Where an element would be read outside the stage; kernels rely on this check.
    pub(super) fn check(&self, right: &View<'_>) {
        let reach = self.offsets.reach();
        assert!(self.grid.last() + reach <= self.stage.len(), "stage too small");
        assert_eq!(self.offsets.each().len(), right.groups, "one offset per group");
        assert!(right.values.len() >= right.panels() * right.groups * right.depth * PANEL);
        assert!(right.zeros.is_none() || self.row_sums.len() >= self.grid.count, "row sums");
    }
}

/// The definition: 16 columns of one row after the other.
pub(super) fn scalar(left: &Left<'_, i8>, right: &View<'_>, place: Place, out: &mut Out<'_>) {
    left.check(right);
    let mut bases = left.grid.bases();
    for row in 0..left.grid.count {
        let activations = &left.stage[bases.step()..];
        for panel in 0..right.panels() {
            let first = panel * PANEL;
            let columns = PANEL.min(right.columns - first);
            let mut acc: [i32; PANEL] = [0; PANEL];
            acc.copy_from_slice(&right.start[first..first + PANEL]);
            for (&offset, weights) in
                left.offsets.each().iter().zip(right.panel(panel).chunks_exact(PANEL))
            {
                let a = i16::from(activations[offset as usize]);
                for (acc, &w) in acc.iter_mut().zip(weights) {
                    // The product of two s8 fits 16 bits.
                    *acc = acc.wrapping_add(i32::from(a * i16::from(w)));
                }
            }
            if let Some(zeros) = right.zeros {
                let sum = left.row_sums[row];
                for (acc, &zero) in acc.iter_mut().zip(&zeros[first..]) {
                    *acc = acc.wrapping_sub(zero.wrapping_mul(sum));
                }
            }
            let at = (place.row + row) * place.width + place.column + first;
            out.finish(&acc[..columns], at, place.column + first);
        }
    }
}

/// Sums each row's activations: `starts` are those of its runs, each `len` long.
#[inline(always)]
pub(super) fn sum_rows<T: Lane>(
    isa: Isa,
    stage: &[T],
    grid: &Grid,
    starts: &[u32],
    len: usize,
    sums: &mut [i32],
) {
    let mut bases = grid.bases();
    for sum in sums.iter_mut().take(grid.count) {
        let base = bases.step();
        let run = |&s: &u32| T::sum(isa, &stage[base + s as usize..][..len]);
        *sum = starts.iter().map(run).sum();
    }
}
