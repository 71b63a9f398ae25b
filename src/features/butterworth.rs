//! `filter`: Butterworth filters as sections of second order.
//!
//! The poles are those of Butterworth's low pass (1930), moved to the band and by the bilinear
//! transform with pre-warped limits into the unit circle, as `scipy.signal.butter(output = "sos")`
//! makes them. Each section has a gain of 1 in the pass band. Samples go through `sosfilt`'s
//! recurrence, the transposed direct form II.

use std::f64::consts::PI;

use super::block::{Filter, InitialState, PassBand};
use super::fft::Complex;
use super::numeric::real;

const ONE: Complex = Complex { re: 1.0, im: 0.0 };

/// `(b0 + b1 z^-1 + b2 z^-2) / (1 + a1 z^-1 + a2 z^-2)`
#[derive(Clone, Copy, Debug, PartialEq)]
struct Section {
    b: [f64; 3],
    a: [f64; 2],
}

/// The sections of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sections {
    sections: Vec<Section>,
    initial: InitialState,
}

impl Sections {
    /// A filter for `rate` samples a second.
    ///
    /// # Errors
    /// Limits outside of what the rate has, or a filter that rounding makes unstable.
    pub(super) fn new(filter: &Filter, rate: f64) -> Result<Self, String> {
        let nyquist = rate / 2.0;
        let warped = |limit: f64| {
            if limit > 0.0 && limit < nyquist {
                Ok(libm::tan(PI * limit / rate))
            } else {
                Err(format!(
                    "filter_cutoff {limit} Hz is not between 0 and half the rate, {nyquist} Hz"
                ))
            }
        };
        let sections = match filter.band {
            PassBand::Below(limit) => one_sided(filter.order, warped(limit)?, true),
            PassBand::Above(limit) => one_sided(filter.order, warped(limit)?, false),
            PassBand::Between(low, high) if low < high => {
                band_pass(filter.order, warped(low)?, warped(high)?)
            }
            PassBand::Between(low, high) => {
                return Err(format!("filter_cutoff [{low}, {high}] is not in ascending order"));
            }
        };
        if !sections.iter().all(Section::is_stable) {
            return Err(
                "the filter is not stable: move filter_cutoff away from 0 and from half the \
                        rate, or lower filter_order"
                    .to_owned(),
            );
        }
        Ok(Self { sections, initial: filter.initial })
    }

    /// Filters a channel from its first sample to its last.
    pub(super) fn apply(&self, channel: &mut [f64]) {
        let first = channel.first().copied().unwrap_or(0.0);
        let mut steady = match self.initial {
            InitialState::Zero => 0.0,
            InitialState::Steady => first,
        };
        for Section { b: [b0, b1, b2], a: [a1, a2] } in &self.sections {
            // The state that a constant input leaves: scipy's sosfilt_zi.
            let settled = steady * (b0 + b1 + b2) / (1.0 + a1 + a2);
            let mut second = b2 * steady - a2 * settled;
            let mut next = b1 * steady - a1 * settled + second;
            steady = settled;
            for x in channel.iter_mut() {
                let y = b0 * *x + next;
                next = b1 * *x - a1 * y + second;
                second = b2 * *x - a2 * y;
                *x = y;
            }
        }
    }
}

impl Section {
    /// Whether its poles are within the unit circle (the triangle of stability).
    fn is_stable(&self) -> bool {
        let [a1, a2] = self.a;
        let finite = self.b.iter().all(|b| b.is_finite());
        finite && a2 < 1.0 && a1.abs() < 1.0 + a2
    }

    /// Scales it to a gain of 1 at `z`.
    fn normalized(self, z: Complex) -> Self {
        let Self { b: [b0, b1, b2], a: [a1, a2] } = self;
        // Of polynomials in 1 / z, and z is on the unit circle.
        let back = z.conjugate();
        let at = |first: f64, second: f64, third: f64| {
            let square = back.times(back).scaled(third);
            ONE.scaled(first).plus(back.scaled(second)).plus(square).power()
        };
        let gain = (at(1.0, a1, a2) / at(b0, b1, b2)).sqrt();
        Self { b: self.b.map(|b| b * gain), a: self.a }
    }
}

/// The poles of the low pass of `order` with limit 1 that have a positive or no imaginary part.
fn prototype(order: usize) -> impl Iterator<Item = Complex> {
    (0..order.div_ceil(2)).map(move |k| {
        let odd_middle = 2 * k + 1 == order;
        let (sin, cos) = libm::sincos(PI * real(2 * k + 1) / real(2 * order));
        // The pole of an odd order is exactly -1.
        if odd_middle { Complex { re: -1.0, im: 0.0 } } else { Complex { re: -sin, im: cos } }
    })
}

/// `(1 + s) / (1 - s)`
fn bilinear(s: Complex) -> Complex {
    quotient(ONE.plus(s), ONE.minus(s))
}

fn quotient(a: Complex, b: Complex) -> Complex {
    a.times(b.conjugate()).scaled(1.0 / b.power())
}

/// The root with a real part that is not negative.
fn root(z: Complex) -> Complex {
    let size = z.power().sqrt();
    let re = ((size + z.re.abs()) / 2.0).sqrt();
    let im = if re > 0.0 { z.im.abs() / (2.0 * re) } else { 0.0 };
    let (re, im) = if z.re >= 0.0 { (re, im) } else { (im, re) };
    Complex { re, im: if z.im < 0.0 { -im } else { im } }
}

fn one_sided(order: usize, limit: f64, below: bool) -> Vec<Section> {
    // Zeros at half the rate for a low pass, at 0 Hz for a high pass, and full gain at the other.
    let sign = if below { 1.0 } else { -1.0 };
    let section = |pole: Complex| {
        let s = if below { pole.scaled(limit) } else { quotient(ONE.scaled(limit), pole) };
        let z = bilinear(s);
        let section = if pole.im > 0.0 {
            Section { b: [1.0, 2.0 * sign, 1.0], a: [-2.0 * z.re, z.power()] }
        } else {
            Section { b: [1.0, sign, 0.0], a: [-z.re, 0.0] }
        };
        section.normalized(ONE.scaled(sign))
    };
    prototype(order).map(section).collect()
}

fn band_pass(order: usize, low: f64, high: f64) -> Vec<Section> {
    let (half_width, square) = ((high - low) / 2.0, low * high);
    let middle = bilinear(Complex { re: 0.0, im: square.sqrt() });
    let pair = |first: Complex, second: Complex| {
        let (a1, a2) = (-(first.re + second.re), first.times(second).re);
        Section { b: [1.0, 0.0, -1.0], a: [a1, a2] }.normalized(middle)
    };
    let mut sections = Vec::new();
    for pole in prototype(order) {
        let moved = pole.scaled(half_width);
        let apart = root(moved.times(moved).minus(ONE.scaled(square)));
        let (first, second) = (bilinear(moved.plus(apart)), bilinear(moved.minus(apart)));
        if pole.im > 0.0 {
            sections.push(pair(first, first.conjugate()));
            sections.push(pair(second, second.conjugate()));
        } else {
            sections.push(pair(first, second));
        }
    }
    sections
}
