//! The matrix product: blocks of up to 6 rows by 16 columns, each output one chain of fused
//! multiply-adds over ascending k.
//!
//! A fused multiply-add takes about four cycles, and two begin per cycle, so at least eight
//! independent chains of vectors are needed: 6 rows by 16 columns are twelve vectors of AVX2, and
//! fewer rows take several panels at once.
#![expect(clippy::needless_range_loop, reason = "closures would hide the instruction set")]
use super::columns::Columns;
use super::operands::{Left, Output, PANEL, PackedView};

/// Rows of a block.
const ROWS: usize = 6;

/// Bytes of packed weights that are multiplied by all rows before the next: they stay in the
/// second-level cache of small cores.
const MAX_WEIGHT_BYTES: usize = 96 << 10;

/// Multiplies rows by packed columns. `F` is a panel, `H` half of one, for few remaining columns.
///
/// # Safety
/// The CPU must have the instructions of `F` and `H`.
#[inline(always)]
pub(super) unsafe fn product<F: Columns, H: Columns>(
    left: &Left<'_>,
    right: &PackedView<'_>,
    output: &mut Output<'_>,
) {
    left.check(right);
    output.check(left.grid.count, right.columns);
    let at_once = (MAX_WEIGHT_BYTES / (right.k * PANEL * size_of::<f32>()).max(1)).max(4);
    for first in (0..right.panels()).step_by(at_once) {
        let panels = [first, (first + at_once).min(right.panels())];
        // SAFETY: the caller's; the operands were checked.
        unsafe { all_rows::<F, H>(left, right, panels, output) };
    }
}

/// Multiplies all rows by some panels.
///
/// # Safety
/// As [`product`], with checked operands.
#[inline(always)]
unsafe fn all_rows<F: Columns, H: Columns>(
    left: &Left<'_>,
    right: &PackedView<'_>,
    panels: [usize; 2],
    output: &mut Output<'_>,
) {
    let count = left.grid.count;
    let mut bases = left.grid.bases();
    let mut row = 0;
    // SAFETY: the caller's.
    unsafe {
        while row + ROWS <= count {
            rows::<F, H, ROWS, 1>(left, right, row, bases.take(), panels, output);
            row += ROWS;
        }
        match count - row {
            0 => (),
            1 => rows::<F, H, 1, 4>(left, right, row, bases.take(), panels, output),
            2 => rows::<F, H, 2, 2>(left, right, row, bases.take(), panels, output),
            3 => rows::<F, H, 3, 2>(left, right, row, bases.take(), panels, output),
            4 => rows::<F, H, 4, 1>(left, right, row, bases.take(), panels, output),
            _ => rows::<F, H, 5, 1>(left, right, row, bases.take(), panels, output),
        }
    }
}

/// Computes `R` rows from `row` on, `P` whole panels at a time.
///
/// # Safety
/// As [`product`], with checked operands.
#[inline(always)]
unsafe fn rows<F: Columns, H: Columns, const R: usize, const P: usize>(
    left: &Left<'_>,
    right: &PackedView<'_>,
    row: usize,
    bases: [usize; R],
    [mut panel, end]: [usize; 2],
    output: &mut Output<'_>,
) {
    let whole = end.min(right.columns / PANEL);
    let mut block = Block { left, right, row, bases, output };
    // SAFETY: the caller's.
    unsafe {
        while panel + P <= whole {
            block.run::<F, P>(panel, PANEL);
            panel += P;
        }
        while panel < whole {
            block.run::<F, 1>(panel, PANEL);
            panel += 1;
        }
        if panel < end {
            let columns = right.columns - panel * PANEL;
            if columns > H::WIDTH {
                block.run::<F, 1>(panel, columns);
            } else {
                block.run::<H, 1>(panel, columns);
            }
        }
    }
}

/// `R` rows of a product.
struct Block<'a, 'o, const R: usize> {
    left: &'a Left<'a>,
    right: &'a PackedView<'a>,
    row: usize,
    bases: [usize; R],
    output: &'a mut Output<'o>,
}

impl<const R: usize> Block<'_, '_, R> {
    /// Computes `P` panels, of which `columns` columns each count.
    ///
    /// # Safety
    /// As [`product`], with checked operands.
    #[inline(always)]
    unsafe fn run<C: Columns, const P: usize>(&mut self, panel: usize, columns: usize) {
        let right = self.right;
        // SAFETY: `Left::check` found every row's elements inside the stage, and the panels inside
        // the weights.
        unsafe {
            let mut a = [self.left.stage.as_ptr(); R];
            for r in 0..R {
                a[r] = a[r].add(self.bases[r]);
            }
            let mut weights = [right.values.as_ptr(); P];
            let mut start = [C::splat(0.0); P];
            for p in 0..P {
                weights[p] = weights[p].add((panel + p) * right.k * PANEL);
                start[p] = C::load(right.start.as_ptr().add((panel + p) * PANEL));
            }
            let acc = C::accumulate(&a, self.left.runs, weights, [start; R]);
            for r in 0..R {
                for p in 0..P {
                    self.finish(acc[r][p], r, (panel + p) * PANEL, columns);
                }
            }
        }
    }

    /// Adds the residual, applies the activation and stores the first `columns` results.
    ///
    /// # Safety
    /// As [`product`], with checked operands.
    #[inline(always)]
    unsafe fn finish<C: Columns>(&mut self, mut acc: C, r: usize, column: usize, columns: usize) {
        let o = &mut *self.output;
        let at = (o.row + self.row + r) * o.width + o.column + column;
        // SAFETY: `Output::check` found the columns of every row inside the output.
        unsafe { finish(&mut acc, o, at, columns) }
    }
}

/// Adds the residual at `at`, applies the activation and stores the first `columns` results.
///
/// # Safety
/// They must lie inside the output, and the CPU must have the instructions.
#[inline(always)]
pub(super) unsafe fn finish<C: Columns>(
    acc: &mut C,
    output: &mut Output<'_>,
    at: usize,
    columns: usize,
) {
    let whole = columns >= C::WIDTH;
    // SAFETY: the caller's; the residual is as long as the output.
    unsafe {
        if let Some(residual) = output.residual {
            let from = residual.as_ptr().add(at);
            *acc = acc.add(if whole { C::load(from) } else { C::load_part(from, columns) });
        }
        let [low, high] = output.bounds;
        let result = acc.bound([C::splat(low), C::splat(high)]);
        let to = output.out.as_mut_ptr().add(at);
        if whole {
            result.store(to);
        } else {
            result.store_part(to, columns);
        }
    }
}
