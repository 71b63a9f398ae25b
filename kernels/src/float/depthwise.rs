//! Depthwise convolution: 16 channels of a few positions at a time.
#![expect(clippy::needless_range_loop, reason = "closures would hide the instruction set")]
use super::columns::Columns;
use super::gemm::finish;
use super::operands::{DepthwiseJob, Output};

/// Positions taken together.
const TOGETHER: usize = 4;

/// Convolves one staged tile.
///
/// # Safety
/// The CPU must have the instructions of `F` and `H`.
#[inline(always)]
pub(super) unsafe fn depthwise<F: Columns, H: Columns>(
    job: &DepthwiseJob<'_>,
    output: &mut Output<'_>,
) {
    job.check();
    output.check(job.grid.count, job.channels);
    let (mut bases, mut position) = (job.grid.bases(), 0);
    // SAFETY: the caller's; the operands were checked.
    unsafe {
        while position + TOGETHER <= job.grid.count {
            positions::<F, H, TOGETHER>(job, position, bases.take(), output);
            position += TOGETHER;
        }
        while position < job.grid.count {
            positions::<F, H, 1>(job, position, bases.take(), output);
            position += 1;
        }
    }
}

/// Computes all channels of `P` positions.
///
/// # Safety
/// As [`depthwise`], with checked operands.
#[inline(always)]
unsafe fn positions<F: Columns, H: Columns, const P: usize>(
    job: &DepthwiseJob<'_>,
    position: usize,
    bases: [usize; P],
    output: &mut Output<'_>,
) {
    let mut channel = 0;
    // SAFETY: the caller's.
    unsafe {
        while channel + F::WIDTH <= job.channels {
            block::<F, P, true>(job, position, bases, channel, output);
            channel += F::WIDTH;
        }
        if channel + H::WIDTH <= job.channels {
            block::<H, P, true>(job, position, bases, channel, output);
            channel += H::WIDTH;
        }
        if channel < job.channels {
            block::<H, P, false>(job, position, bases, channel, output);
        }
    }
}

/// Computes the channels from `channel` on; all of a vector if `WHOLE`.
///
/// # Safety
/// As [`depthwise`], with checked operands.
#[inline(always)]
unsafe fn block<C: Columns, const P: usize, const WHOLE: bool>(
    job: &DepthwiseJob<'_>,
    position: usize,
    bases: [usize; P],
    channel: usize,
    output: &mut Output<'_>,
) {
    let n = if WHOLE { C::WIDTH } else { job.channels - channel };
    // SAFETY: `DepthwiseJob::check` found the channels of every window inside the stage, and those
    // of the filters; `Output::check` found the results inside the output.
    unsafe {
        let start = load::<C, WHOLE>(job.start.as_ptr().add(channel), n);
        let weights = job.weights.as_ptr().add(channel);
        let mut x = [job.stage.as_ptr(); P];
        for p in 0..P {
            x[p] = x[p].add(bases[p] + channel);
        }
        let mut acc = if WHOLE {
            C::accumulate_taps(&x, job.taps, weights, job.channels, [start; P])
        } else {
            accumulate_part(&x, job, weights, n, [start; P])
        };
        for p in 0..P {
            let at = (output.row + position + p) * output.width + output.column + channel;
            finish(&mut acc[p], output, at, n);
        }
    }
}

/// [`Columns::accumulate_taps`] of the first `n` channels of a vector.
///
/// # Safety
/// As there, with `n` elements instead.
#[inline(always)]
unsafe fn accumulate_part<C: Columns, const P: usize>(
    bases: &[*const f32; P],
    job: &DepthwiseJob<'_>,
    weights: *const f32,
    n: usize,
    mut acc: [C; P],
) -> [C; P] {
    for (i, &tap) in job.taps.iter().enumerate() {
        // SAFETY: the caller's.
        unsafe {
            let w = C::load_part(weights.add(i * job.channels), n);
            for p in 0..P {
                acc[p] = acc[p].fma(C::load_part(bases[p].add(tap as usize), n), w);
            }
        }
    }
    acc
}

/// Loads a vector, or the first `n` elements of one.
///
/// # Safety
/// They must be readable, and the CPU must have the instructions.
#[inline(always)]
unsafe fn load<C: Columns, const WHOLE: bool>(from: *const f32, n: usize) -> C {
    // SAFETY: the caller's.
    unsafe { if WHOLE { C::load(from) } else { C::load_part(from, n) } }
}
