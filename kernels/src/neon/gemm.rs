//! The matrix product: blocks of a few rows by 16 columns.
use super::super::operands::{Bases, Left, OutputOffset, PANEL, PackedView};
use super::super::requant::OutputBuffer;
use super::epilogue::{Columns, finish, load};
use std::arch::aarch64::*;
use std::arch::asm;

/// A way to add up the products of `R` rows and the 16 columns of a panel.
trait Block {
    /// Adds the products to `acc`.
    ///
    /// # Safety
    /// `group_size` elements must be readable at each base plus each offset, 16 times as many
    /// weights for each offset, and the CPU must have the instructions.
    unsafe fn add<const R: usize>(
        bases: &[*const i8; R],
        offsets: &[u32],
        weights: *const i8,
        acc: &mut [Columns; R],
    );
}

/// Multiplies staged activations by weights packed in pairs.
///
/// # Panics
/// If the activations, the weights or the output are shorter than the shapes require.
pub(in super::super) fn gemm(
    left: &Left<'_, i8>,
    right: &PackedView<'_>,
    output: OutputOffset,
    out: &mut OutputBuffer<'_>,
) {
    left.check(right);
    assert_eq!(right.group_size, 2);
    if right.no_min {
        product::<Narrow>(left, right, output, out)
    } else {
        product::<Wide>(left, right, output, out)
    }
}

/// Multiplies staged activations by weights packed in fours, by `sdot`.
///
/// # Panics
/// If the activations, the weights or the output are shorter than the shapes require.
#[target_feature(enable = "dotprod")]
pub(in super::super) fn gemm_dot(
    left: &Left<'_, i8>,
    right: &PackedView<'_>,
    output: OutputOffset,
    out: &mut OutputBuffer<'_>,
) {
    left.check(right);
    assert_eq!(right.group_size, 4);
    product::<Dot>(left, right, output, out);
}

#[inline(always)]
fn product<B: Block>(
    left: &Left<'_, i8>,
    right: &PackedView<'_>,
    output: OutputOffset,
    out: &mut OutputBuffer<'_>,
) {
    let mut bases = left.grid.bases();
    let mut row = 0;
    while row + 4 <= left.grid.count {
        rows::<B, 4>(left, right, row, &mut bases, output, out);
        row += 4;
    }
    match left.grid.count - row {
        0 => (),
        1 => rows::<B, 1>(left, right, row, &mut bases, output, out),
        2 => rows::<B, 2>(left, right, row, &mut bases, output, out),
        _ => rows::<B, 3>(left, right, row, &mut bases, output, out),
    }
}

/// Computes all columns of `R` rows from `row` on.
#[inline(always)]
fn rows<B: Block, const R: usize>(
    left: &Left<'_, i8>,
    right: &PackedView<'_>,
    row: usize,
    bases: &mut Bases,
    output: OutputOffset,
    out: &mut OutputBuffer<'_>,
) {
    // SAFETY: `Left::check` found every row's elements inside the stage.
    let bases = bases.take::<R>().map(|base| unsafe { left.stage.as_ptr().add(base) });
    for panel in 0..right.panels() {
        let first = panel * PANEL;
        let mut acc = [load(right.start, first); R];
        // SAFETY: as above; the panel has 16 weights per lane for each offset.
        unsafe { B::add(&bases, left.offsets.each(), right.panel(panel).as_ptr(), &mut acc) };
        if let Some(zeros) = right.zeros {
            let zeros = load(zeros, first);
            acc.iter_mut()
                .zip(&left.row_sums[row..])
                .for_each(|(a, &sum)| subtract_zero_points(a, zeros, sum));
        }
        let columns = PANEL.min(right.columns - first);
        for (i, acc) in acc.into_iter().enumerate() {
            let column = output.column + first;
            finish(acc, columns, out, (output.row + row + i) * output.width + column, column);
        }
    }
}

/// Subtracts (weight zero point x row sum).
#[inline(always)]
fn subtract_zero_points(acc: &mut Columns, zeros: Columns, sum: i32) {
    for (acc, zero) in acc.iter_mut().zip(zeros) {
        // SAFETY: every aarch64 has NEON.
        *acc = unsafe { vmlsq_n_s32(*acc, zero, sum) };
    }
}

/// Weights of -127 to 127: two products, at most 2 x 128 x 127, fit 16 bits together.
struct Narrow;

/// Any weights: each product is widened by itself.
struct Wide;

impl Block for Narrow {
    #[inline(always)]
    unsafe fn add<const R: usize>(
        bases: &[*const i8; R],
        offsets: &[u32],
        weights: *const i8,
        acc: &mut [Columns; R],
    ) {
        let (twos, one) = offsets.as_chunks::<2>();
        for (i, &[first, second]) in twos.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let w = weights.add(i * 64);
                let [a, b] = [vld1q_s8_x2(w), vld1q_s8_x2(w.add(32))];
                for (acc, base) in acc.iter_mut().zip(bases) {
                    let [x, y] = [pair(base.add(first as usize)), pair(base.add(second as usize))];
                    let sums = [
                        vmlal_s8(vmull_s8(vget_low_s8(a.0), x), vget_low_s8(b.0), y),
                        vmlal_s8(vmull_s8(vget_high_s8(a.0), x), vget_high_s8(b.0), y),
                        vmlal_s8(vmull_s8(vget_low_s8(a.1), x), vget_low_s8(b.1), y),
                        vmlal_s8(vmull_s8(vget_high_s8(a.1), x), vget_high_s8(b.1), y),
                    ];
                    acc.iter_mut().zip(sums).for_each(|(acc, s)| *acc = vpadalq_s16(*acc, s));
                }
            }
        }
        // SAFETY: the caller's.
        unsafe { Wide::add(bases, one, weights.add(twos.len() * 64), acc) };
    }
}

impl Block for Wide {
    #[inline(always)]
    unsafe fn add<const R: usize>(
        bases: &[*const i8; R],
        offsets: &[u32],
        weights: *const i8,
        acc: &mut [Columns; R],
    ) {
        for (i, &offset) in offsets.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let w = vld1q_s8_x2(weights.add(i * 32));
                for (acc, base) in acc.iter_mut().zip(bases) {
                    let x = pair(base.add(offset as usize));
                    let products = [
                        vmull_s8(vget_low_s8(w.0), x),
                        vmull_s8(vget_high_s8(w.0), x),
                        vmull_s8(vget_low_s8(w.1), x),
                        vmull_s8(vget_high_s8(w.1), x),
                    ];
                    acc.iter_mut().zip(products).for_each(|(acc, p)| *acc = vpadalq_s16(*acc, p));
                }
            }
        }
    }
}

/// Loads two activations, repeated four times.
///
/// # Safety
/// Two must be readable.
#[inline(always)]
unsafe fn pair(from: *const i8) -> int8x8_t {
    // SAFETY: the caller's; every aarch64 has NEON.
    unsafe { vreinterpret_s8_s16(vdup_n_s16(from.cast::<i16>().read_unaligned())) }
}

/// Four products per column and instruction.
struct Dot;

impl Block for Dot {
    #[inline(always)]
    unsafe fn add<const R: usize>(
        bases: &[*const i8; R],
        offsets: &[u32],
        weights: *const i8,
        acc: &mut [Columns; R],
    ) {
        for (i, &offset) in offsets.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let w = weights.add(i * 64);
                let w = [0, 16, 32, 48].map(|i| vld1q_s8(w.add(i)));
                for (acc, base) in acc.iter_mut().zip(bases) {
                    let four = base.add(offset as usize).cast::<i32>().read_unaligned();
                    let x = vreinterpretq_s8_s32(vdupq_n_s32(four));
                    acc.iter_mut().zip(w).for_each(|(acc, w)| *acc = dot(*acc, w, x));
                }
            }
        }
    }
}

/// `sdot`: adds to each sum the four products of its bytes.
///
/// # Safety
/// The CPU must have the instruction.
#[inline(always)]
unsafe fn dot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: registers only. The directive lets the assembler accept the instruction in code that
    // is compiled for CPUs without it; the caller has detected it.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inout(vreg) sums,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
