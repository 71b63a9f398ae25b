//! Fourier transforms of any length, small rather than fast: the part of rustfft's interface that tract uses, over two
//! textbook algorithms in doubles. A transform of `n` values takes time in proportion to `n log n`.
//!
//! Sources: J. W. Cooley and J. W. Tukey, "An algorithm for the machine calculation of complex Fourier series" (1965), for
//! powers of two; L. I. Bluestein, "A linear filtering approach to the computation of discrete Fourier transform" (1970),
//! for all others.

pub use num_complex;
pub use num_traits;

use num_complex::Complex;
use num_traits::{FromPrimitive, Signed, ToPrimitive};
use std::f64::consts::PI;
use std::fmt::Debug;

#[cfg(test)]
mod tests;

/// What can be transformed: `f32` and `f64`.
pub trait FftNum:
    Copy + FromPrimitive + ToPrimitive + Signed + Sync + Send + Debug + 'static
{
}

impl<T> FftNum for T where
    T: Copy + FromPrimitive + ToPrimitive + Signed + Sync + Send + Debug + 'static
{
}

/// The sign of the exponent. Neither direction divides by the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FftDirection {
    /// `exp(-2πi jk/n)`.
    Forward,
    /// `exp(+2πi jk/n)`.
    Inverse,
}

/// Makes transforms. It keeps nothing: making one costs about as much as running it.
#[derive(Debug, Default)]
pub struct FftPlanner;

impl FftPlanner {
    pub fn new() -> FftPlanner {
        FftPlanner
    }

    /// The transform of `len` values.
    pub fn plan_fft(&mut self, len: usize, direction: FftDirection) -> Fft {
        let sign = match direction {
            FftDirection::Forward => -1.0,
            FftDirection::Inverse => 1.0,
        };
        let way = if len.is_power_of_two() || len == 0 {
            Way::Halves(Halves::new(len, sign))
        } else {
            Way::Chirp(Chirp::new(len, sign))
        };
        Fft { len, way }
    }

    /// [`FftPlanner::plan_fft`] of [`FftDirection::Forward`].
    pub fn plan_fft_forward(&mut self, len: usize) -> Fft {
        self.plan_fft(len, FftDirection::Forward)
    }
}

/// The transform of one length in one direction.
#[derive(Debug)]
pub struct Fft {
    len: usize,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Halves(Halves),
    Chirp(Chirp),
}

impl Fft {
    /// Transforms every `len` values in their place. What is left over at the end stays as it is.
    pub fn process<T: FftNum>(&self, buffer: &mut [Complex<T>]) {
        if self.len == 0 {
            return;
        }
        let mut values = vec![Complex::default(); self.len];
        for chunk in buffer.chunks_exact_mut(self.len) {
            for (value, given) in values.iter_mut().zip(&*chunk) {
                *value = Complex::new(double(given.re), double(given.im));
            }
            match &self.way {
                Way::Halves(way) => way.run(&mut values),
                Way::Chirp(way) => way.run(&mut values),
            }
            for (taken, value) in chunk.iter_mut().zip(&values) {
                *taken = Complex::new(single(value.re, taken.re), single(value.im, taken.im));
            }
        }
    }
}

fn double<T: ToPrimitive>(value: T) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

/// `fallback` is for types that cannot hold every double; `f32` and `f64` hold them, if as an infinity.
fn single<T: FromPrimitive>(value: f64, fallback: T) -> T {
    T::from_f64(value).unwrap_or(fallback)
}

/// `exp(πi · halves / of)`.
fn turn(halves: f64, of: usize) -> Complex<f64> {
    let (sin, cos) = (PI * halves / of as f64).sin_cos();
    Complex::new(cos, sin)
}

/// A power of two: the transforms of the halves, put together.
#[derive(Debug)]
struct Halves {
    /// `exp(±2πi k/n)` of the first half of the circle.
    turns: Vec<Complex<f64>>,
}

impl Halves {
    fn new(len: usize, sign: f64) -> Halves {
        Halves { turns: (0..len / 2).map(|k| turn(sign * 2.0 * k as f64, len)).collect() }
    }

    fn run(&self, values: &mut [Complex<f64>]) {
        let len = values.len();
        if len < 2 {
            return;
        }
        let unused = usize::BITS - len.trailing_zeros();
        for i in 0..len {
            let j = i.reverse_bits() >> unused;
            if i < j {
                values.swap(i, j);
            }
        }
        let mut half = 1;
        while half < len {
            let turns = self.turns.iter().step_by(self.turns.len() / half);
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((low, high), turn) in low.iter_mut().zip(high).zip(turns.clone()) {
                    let turned = *high * turn;
                    *high = *low - turned;
                    *low += turned;
                }
            }
            half *= 2;
        }
    }
}

/// Any other length: with `jk = (j² + k² - (k - j)²) / 2` it is a convolution with a chirp, which is made by transforms
/// of a power of two.
#[derive(Debug)]
struct Chirp {
    /// `exp(±πi k²/n)`.
    chirp: Vec<Complex<f64>>,
    /// The transform of the conjugated chirp, over its length.
    filter: Vec<Complex<f64>>,
    ahead: Halves,
    back: Halves,
}

impl Chirp {
    fn new(len: usize, sign: f64) -> Chirp {
        // A whole turn is taken away while the number is whole: a large square would lose its last digits.
        let square = |k: usize| ((k as u128 * k as u128) % (2 * len as u128)) as f64;
        let chirp: Vec<_> = (0..len).map(|k| turn(sign * square(k), len)).collect();
        let size = (2 * len).next_power_of_two();
        let (ahead, back) = (Halves::new(size, -1.0), Halves::new(size, 1.0));
        let mut filter = vec![Complex::default(); size];
        for (k, value) in chirp.iter().enumerate() {
            let value = value.conj() / size as f64;
            for place in [k, (size - k) % size] {
                if let Some(place) = filter.get_mut(place) {
                    *place = value;
                }
            }
        }
        ahead.run(&mut filter);
        Chirp { chirp, filter, ahead, back }
    }

    fn run(&self, values: &mut [Complex<f64>]) {
        let mut long = vec![Complex::default(); self.filter.len()];
        for ((place, value), chirp) in long.iter_mut().zip(&*values).zip(&self.chirp) {
            *place = value * chirp;
        }
        self.ahead.run(&mut long);
        for (value, filter) in long.iter_mut().zip(&self.filter) {
            *value *= filter;
        }
        self.back.run(&mut long);
        for ((value, place), chirp) in values.iter_mut().zip(&long).zip(&self.chirp) {
            *value = place * chirp;
        }
    }
}
