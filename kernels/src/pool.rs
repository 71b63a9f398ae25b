//! Pools over one NHWC picture.
use super::conv_geometry::ConvGeometry;
use super::isa::Isa;
#[cfg(target_feature = "neon")]
use super::neon;
use super::requant::OutputQuant;
use super::scratch::{Scratch, bytes_for};

/// Computes the maximum of each window, without padding. Scale and zero point do not change.
///
/// # Panics
/// If a buffer does not fit the window.
#[inline(never)]
pub fn max_pool(isa: Isa, window: &ConvGeometry, input: &[i8], out: &mut [i8]) {
    check(window, input, out.len());
    isa.run(
        #[inline(always)]
        || {
            for (position, out) in out.chunks_exact_mut(window.channels).enumerate() {
                out.fill(i8::MIN);
                for at in taps(window, position) {
                    largest(isa, out, &input[at..at + window.channels]);
                }
            }
        },
    );
}

/// An average pool.
#[derive(Clone, Debug)]
pub struct AveragePool {
    pub window: ConvGeometry,
    /// Zero point of the input.
    pub input_zero: i8,
    /// Input scale / output scale.
    pub ratio: f32,
    /// Whether padding counts as zeros (`count_include_pad`); else only inputs are averaged.
    pub include_pad: bool,
    pub quant: OutputQuant,
}

impl AveragePool {
    /// Returns the working memory for a run, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        bytes_for::<i32>(self.window.channels)
    }

    /// Runs one picture: the exact sum of each window, then `quant(sum as f32 * ratio / count)`.
    ///
    /// # Panics
    /// If a buffer does not fit the window or the scratch memory is too small.
    #[inline(never)]
    pub fn run(&self, isa: Isa, input: &[i8], out: &mut [i8], scratch: &mut Scratch) {
        check(&self.window, input, out.len());
        let sums = scratch.arena().allocate::<i32>(self.window.channels);
        isa.run(
            #[inline(always)]
            || self.pool(isa, input, out, sums),
        );
    }

    #[inline(always)]
    fn pool(&self, isa: Isa, input: &[i8], out: &mut [i8], sums: &mut [i32]) {
        let channels = self.window.channels;
        for (position, out) in out.chunks_exact_mut(channels).enumerate() {
            sums.fill(0);
            let mut inside = 0;
            for at in taps(&self.window, position) {
                inside += 1;
                total(isa, sums, &input[at..at + channels]);
            }
            let offset = inside * i32::from(self.input_zero);
            let count =
                if self.include_pad { self.window.taps() as f32 } else { inside.max(1) as f32 };
            for (y, &s) in out.iter_mut().zip(sums.iter()) {
                *y = self.quant.store((s - offset) as f32 * self.ratio / count);
            }
        }
    }
}

/// Writes the maximum of each element of `most` and of `input` to `most`.
#[inline(always)]
#[cfg_attr(
    not(target_feature = "neon"),
    expect(unused_variables, reason = "the compiler's vectors do")
)]
fn largest(isa: Isa, most: &mut [i8], input: &[i8]) {
    #[cfg(target_feature = "neon")]
    let (most, input) = if isa.has_neon() { neon::largest(most, input) } else { (most, input) };
    most.iter_mut().zip(input).for_each(|(y, &x)| *y = if x > *y { x } else { *y });
}

/// Adds each element of `input` to that of `sums`.
#[inline(always)]
#[cfg_attr(
    not(target_feature = "neon"),
    expect(unused_variables, reason = "the compiler's vectors do")
)]
fn total(isa: Isa, sums: &mut [i32], input: &[i8]) {
    #[cfg(target_feature = "neon")]
    let (sums, input) = if isa.has_neon() { neon::total(sums, input) } else { (sums, input) };
    sums.iter_mut().zip(input).for_each(|(s, &x)| *s += i32::from(x));
}

/// Returns where the taps inside the picture start, for one position of the window.
#[inline(always)]
fn taps(w: &ConvGeometry, position: usize) -> impl Iterator<Item = usize> {
    let (y, x) = (position / w.output[1] * w.stride[0], position % w.output[1] * w.stride[1]);
    (0..w.kernel[0])
        .filter_map(move |i| {
            (y + i * w.dilation[0]).checked_sub(w.pad[0]).filter(|&y| y < w.input[0])
        })
        .flat_map(move |y| {
            (0..w.kernel[1])
                .filter_map(move |j| {
                    (x + j * w.dilation[1]).checked_sub(w.pad[1]).filter(|&x| x < w.input[1])
                })
                .map(move |x| (y * w.input[1] + x) * w.channels)
        })
}

fn check(window: &ConvGeometry, input: &[i8], out: usize) {
    assert!(window.is_valid(), "window sizes");
    assert_eq!(input.len(), window.input_len(), "input picture");
    assert_eq!(out, window.positions() * window.channels, "output picture");
}
