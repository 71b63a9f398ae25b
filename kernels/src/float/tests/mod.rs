//! The float kernels against plain evaluations in double precision, and every instruction set
//! against the scalar one, bit for bit, on random shapes.
mod bits;
mod dynamic_lstm;
mod layers;
mod math;
mod recurrent;
mod rows;

use super::super::tests::{Dice, cases, random_window};
use super::super::{ConvGeometry, Isa, Scratch};
use super::*;

/// Results of every instruction set, which must be the same to the bit; returns them.
fn same_bits(what: &str, mut run: impl FnMut(Isa) -> Vec<f32>) -> Vec<f32> {
    let expected = run(Isa::SCALAR);
    for isa in Isa::available() {
        for again in 0..2 {
            let found = run(isa);
            assert_eq!(found.len(), expected.len());
            for (i, (a, b)) in expected.iter().zip(&found).enumerate() {
                let same = a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                assert!(same, "{what}: {isa:?}, run {again}, element {i}: {a:e} and {b:e}");
            }
        }
    }
    expected
}

/// Compares with a reference, within `relative` of the sum of magnitudes.
fn close(what: &str, found: &[f32], expected: &[(f64, f64)], relative: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&y, &(value, magnitude))) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(y) - value).abs();
        assert!(
            error <= relative * magnitude + 1e-38,
            "{what}: element {i}: {y:e}, expected {value:e} (magnitude {magnitude:e})"
        );
    }
}

fn activation(dice: &mut Dice) -> Activation {
    match dice.pick(0, 3) {
        0 => Activation::Relu,
        1 => Activation::Clip { low: -0.25, high: 0.5 },
        _ => Activation::None,
    }
}

/// The value and the magnitude of a sum.
#[derive(Clone, Copy)]
struct Sum(f64, f64);

impl Sum {
    fn of(start: f32) -> Self {
        Self(f64::from(start), f64::from(start).abs())
    }

    fn add(&mut self, x: f64) {
        self.0 += x;
        self.1 += x.abs();
    }

    fn activated(self, activation: Activation) -> (f64, f64) {
        let [low, high] = activation.bounds().map(f64::from);
        (self.0.clamp(low, high), self.1)
    }
}
