//! The plain Rust kernels: the definition of every product and depthwise convolution.
use super::operands::{DepthwiseJob, Left, OutputOffset, PANEL, PackedView};
use super::requant::{OVERREAD, OutputBuffer};

/// Multiplies staged rows by packed columns: 16 columns of one row after the other.
pub(super) fn gemm(
    left: &Left<'_, i8>,
    right: &PackedView<'_>,
    output: OutputOffset,
    out: &mut OutputBuffer<'_>,
) {
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
            let at = (output.row + row) * output.width + output.column + first;
            out.finish(&acc[..columns], at, output.column + first);
        }
    }
}

/// Convolves one staged tile: up to 16 channels of one position after the other.
pub(super) fn depthwise(job: &DepthwiseJob<'_, i8>, out: &mut OutputBuffer<'_>) {
    let channels = job.channels;
    let mut bases = job.grid.bases();
    for position in 0..job.grid.count {
        let base = bases.step();
        let row = (job.row + position) * channels;
        for c in (0..channels).step_by(OVERREAD) {
            let n = OVERREAD.min(channels - c);
            let mut acc = [0; OVERREAD];
            acc.copy_from_slice(&job.start[c..c + OVERREAD]);
            for (&tap, weights) in job.taps.iter().zip(job.weights.chunks(channels)) {
                let at = base + tap as usize + c;
                for ((acc, &a), &w) in acc.iter_mut().zip(&job.stage[at..at + n]).zip(&weights[c..])
                {
                    *acc = acc.wrapping_add(i32::from(a) * i32::from(w));
                }
            }
            out.finish(&acc[..n], row + c, c);
        }
    }
}
