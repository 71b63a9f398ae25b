//! The powers of a real series of `2^k` samples.
//!
//! Radix 2 after Cooley and Tukey (1965) on half as many complex numbers, as in Numerical Recipes
//! (3rd edition, 12.3). All arithmetic is in f64, in one order, and the factors are those of the
//! crate `libm`: the same bits on every processor.

use std::f64::consts::PI;
use std::iter::once;

use super::numeric::real;

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Complex {
    pub(super) re: f64,
    pub(super) im: f64,
}

impl Complex {
    /// `exp(i angle)`
    pub(super) fn unit(angle: f64) -> Self {
        let (im, re) = libm::sincos(angle);
        Self { re, im }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    pub(super) fn scaled(self, by: f64) -> Self {
        Self { re: self.re * by, im: self.im * by }
    }

    pub(super) fn conjugate(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    /// The square of its absolute value.
    pub(super) fn power(self) -> f64 {
        self.re * self.re + self.im * self.im
    }
}

/// The tables of one length.
#[derive(Clone, Debug)]
pub(super) struct Fft {
    /// Half the length: complex numbers that are transformed.
    half: usize,
    /// Where the number at each place comes from.
    order: Vec<usize>,
    /// `exp(-2 pi i t / half)` for t below `half / 2`.
    inner: Vec<Complex>,
    /// `exp(-2 pi i k / length)` for k up to `half`.
    outer: Vec<Complex>,
}

impl Fft {
    /// For `length` samples, a power of two from 4.
    pub(super) fn new(length: usize) -> Self {
        let half = length / 2;
        let bits = half.trailing_zeros();
        let reversed = |place: usize| place.reverse_bits() >> (usize::BITS - bits);
        let turn = |t: usize, of: usize| Complex::unit(-2.0 * PI * real(t) / real(of));
        Self {
            half,
            order: (0..half).map(reversed).collect(),
            inner: (0..half / 2).map(|t| turn(t, half)).collect(),
            outer: (0..=half).map(|k| turn(k, length)).collect(),
        }
    }

    /// Appends `|X[k]|^2` for k from 0 to half the length. Samples that `frame` lacks are zeros, and
    /// those that it has too many are left out.
    pub(super) fn powers(&self, frame: &[f64], work: &mut Vec<Complex>, out: &mut Vec<f64>) {
        let at = |place: usize| frame.get(place).copied().unwrap_or(0.0);
        work.clear();
        work.extend(
            self.order.iter().map(|from| Complex { re: at(2 * from), im: at(2 * from + 1) }),
        );
        let mut size = 2;
        while size <= self.half {
            for part in work.chunks_exact_mut(size) {
                let (low, high) = part.split_at_mut(size / 2);
                let factors = self.inner.iter().step_by(self.half / size);
                for ((low, high), factor) in low.iter_mut().zip(high).zip(factors) {
                    let turned = high.times(*factor);
                    (*low, *high) = (low.plus(turned), low.minus(turned));
                }
            }
            size *= 2;
        }
        let first = work.first().copied().unwrap_or_default();
        let forward = work.iter().copied().chain(once(first));
        let backward = once(first).chain(work.iter().rev().copied());
        out.extend(forward.zip(backward).zip(&self.outer).map(|((z, mirrored), factor)| {
            let mirrored = mirrored.conjugate();
            let even = z.plus(mirrored).scaled(0.5);
            let difference = z.minus(mirrored).scaled(0.5);
            // Divided by i.
            let odd = Complex { re: difference.im, im: -difference.re };
            even.plus(odd.times(*factor)).power()
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of the transform.
    fn slow(x: &[f64], length: usize) -> Vec<f64> {
        let bin = |k: usize| {
            let turn =
                |t: usize| Complex::unit(-2.0 * PI * ((t * k) % length) as f64 / length as f64);
            let terms = x.iter().take(length).enumerate().map(|(t, x)| turn(t).scaled(*x));
            terms.fold(Complex::default(), Complex::plus).power()
        };
        (0..=length / 2).map(bin).collect()
    }

    #[test]
    fn powers_are_those_of_the_definition() {
        let mut random = fastrand::Rng::with_seed(7);
        for bits in 2..=10 {
            let length = 1 << bits;
            for samples in [1, length / 2 + 1, length, length + 3] {
                let x: Vec<f64> = (0..samples).map(|_| random.f64() * 2.0 - 1.0).collect();
                let mut fast = Vec::new();
                Fft::new(length).powers(&x, &mut Vec::new(), &mut fast);
                let slow = slow(&x, length);
                assert_eq!(fast.len(), length / 2 + 1);
                for (fast, slow) in fast.iter().zip(&slow) {
                    assert!((fast - slow).abs() < 1e-12 * length as f64, "{length}: {fast} {slow}");
                }
            }
        }
    }
}
