//! The last steps of `mfcc`: the cosine transform of a frame, and the normalization over frames.

use std::f64::consts::PI;

use super::numeric::{mean_of, real};

/// The rows of the orthonormal DCT-II of `inputs` numbers (`scipy.fft.dct(norm = "ortho")`), the
/// first `outputs` of them.
pub(super) fn cosines(inputs: usize, outputs: usize) -> Vec<Vec<f64>> {
    let row = |k: usize| {
        let gain = (if k == 0 { 1.0 } else { 2.0 } / real(inputs)).sqrt();
        let angle = |n: usize| PI * real((2 * n + 1) * k) / real(2 * inputs);
        (0..inputs).map(|n| gain * libm::cos(angle(n))).collect()
    };
    (0..outputs).map(row).collect()
}

/// Normalizes each of `width` coefficients by the mean and then by the standard deviation over
/// `window` frames around each frame: speechpy's `cmvnw`. Frames beyond the ends are mirrored. A
/// standard deviation of 0 counts as 1e-10.
pub(super) fn normalize(frames: &mut [f64], width: usize, window: usize, spare: &mut Vec<f64>) {
    let count = frames.len() / width.max(1);
    for coefficient in 0..width {
        let of = |frames: &[f64], out: &mut Vec<f64>| {
            out.clear();
            out.extend(frames.iter().skip(coefficient).step_by(width));
        };
        of(frames, spare);
        let own = frames.iter_mut().skip(coefficient).step_by(width);
        for (place, x) in own.enumerate() {
            *x -= mean_of(around(spare, place, window), window);
        }
        of(frames, spare);
        let own = frames.iter_mut().skip(coefficient).step_by(width).take(count);
        for (place, x) in own.enumerate() {
            let mean = mean_of(around(spare, place, window), window);
            let squares = around(spare, place, window).map(|x| (x - mean) * (x - mean));
            *x /= mean_of(squares, window).sqrt() + 1e-10;
        }
    }
}

/// The `window` numbers around a place, mirrored at the ends (the first is its own neighbour).
fn around(values: &[f64], place: usize, window: usize) -> impl Iterator<Item = f64> {
    let (count, half) = (values.len().max(1), window / 2);
    // Whole periods are added, so that no place is below zero.
    let begin = place + 2 * count * half.div_ceil(2 * count) - half;
    (begin..begin + window).map(move |at| {
        let at = at % (2 * count);
        let at = if at < count { at } else { 2 * count - 1 - at };
        values.get(at).copied().unwrap_or(0.0)
    })
}
