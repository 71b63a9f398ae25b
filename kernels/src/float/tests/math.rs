//! Functions of one and two operands, with their errors.
use super::super::math::{
    erf, exp, exp_of_negative, expm1_of_negative, gelu, log, sigmoid, softplus, tanh,
};
use super::super::pow::pow;
use super::*;
use crate::StridedView;

/// Units in the last place of `expected` that `found` is off.
fn ulps(found: f32, expected: f64) -> f64 {
    let scale = (expected.abs() as f32).max(f32::MIN_POSITIVE);
    let unit = f64::from(scale.next_up()) - f64::from(scale);
    (f64::from(found) - expected).abs() / unit
}

/// The largest error over many arguments in `low..high`, dense near zero.
fn worst(low: f32, high: f32, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
    let count = cases(60_000);
    let mut most: (f64, f32) = (0.0, 0.0);
    for i in 0..=count {
        let x = low + (high - low) * (i as f32 / count as f32);
        for x in [x, x * 1e-3, x * 1e-7] {
            if x < low || x > high {
                continue;
            }
            let error = ulps(f(x), exact(f64::from(x)));
            if error > most.0 {
                most = (error, x);
            }
        }
    }
    println!("{} ulp at {}", most.0, most.1);
    most.0
}

/// erf in double precision by its series, and for large arguments by a continued fraction
/// (Abramowitz and Stegun 7.1.6 and 7.1.14).
fn exact_erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 2.5 {
        let (mut term, mut sum) = (a, a);
        for n in 1..80 {
            term *= 2.0 * a * a / f64::from(2 * n + 1);
            sum += term;
        }
        return x.signum() * sum * (-a * a).exp() * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let mut fraction = a;
    for n in (1..120).rev() {
        fraction = a + f64::from(n) / 2.0 / fraction;
    }
    x.signum() * (1.0 - (-a * a).exp() / fraction / std::f64::consts::PI.sqrt())
}

#[test]
fn errors_of_the_elementary_functions() {
    assert!(worst(-87.3, 88.7, exp, f64::exp) < 1.1);
    assert!(worst(-87.0, 0.0, exp_of_negative, f64::exp) < 1.1);
    assert!(worst(-80.0, 0.0, expm1_of_negative, f64::exp_m1) < 1.6);
    assert!(worst(-87.0, 80.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 2.6);
    assert!(worst(-12.0, 12.0, tanh, f64::tanh) < 5.5);
    assert!(worst(1e-38, 1e38, log, f64::ln) < 1.1);
    assert!(worst(1e-4, 20.0, log, f64::ln) < 1.1);
    assert!(worst(-80.0, 80.0, softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()) < 3.0);
    assert!(worst(-6.0, 6.0, erf, exact_erf) < 2.5);
    assert!(worst(0.0, 6.0, gelu, |x| x * (1.0 + exact_erf(x / 2f64.sqrt())) / 2.0) < 4.5);
    assert!(worst(0.0, 40.0, |x| pow(x, 2.7), |x| x.powf(f64::from(2.7_f32))) < 0.51);
    assert!(worst(-40.0, 40.0, |x| pow(3.3, x), |x| f64::from(3.3_f32).powf(x)) < 0.51);
}

#[test]
fn special_values_of_the_elementary_functions() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    assert_eq!([exp(-inf), exp(inf), exp(0.0), exp(-104.2)], [0.0, inf, 1.0, 0.0]);
    assert_eq!([exp(-103.5), exp(89.0), exp(1e30)], [f32::from_bits(1), inf, inf]);
    assert_eq!([sigmoid(-inf), sigmoid(inf), sigmoid(0.0)], [0.0, 1.0, 0.5]);
    assert_eq!(tanh(0.0), 0.0);
    assert!(tanh(inf) <= 1.0 && tanh(inf) > 0.999_999_7 && tanh(-inf) == -tanh(inf));
    assert_eq!([exp_of_negative(-inf), exp_of_negative(0.0)], [0.0, 1.0]);
    assert_eq!([erf(-inf), erf(inf), erf(5.0)], [-1.0, 1.0, 1.0]);
    assert_eq!([log(0.0), log(inf), log(1.0)], [-inf, inf, 0.0]);
    assert_eq!([softplus(-inf), softplus(inf)], [0.0, inf]);
    assert!((log(1e-40) + 92.103_4).abs() < 1e-4);
    assert!(tanh(-0.0).is_sign_negative() && erf(-0.0).is_sign_negative());
    for f in [exp, sigmoid, tanh, erf, log, softplus, gelu, exp_of_negative] {
        assert!(f(nan).is_nan());
    }
    assert!(log(-1.0).is_nan() && log(-inf).is_nan());
}

/// The error of the negative side relative to the result, which is close to zero.
#[test]
fn gelu_of_negative_arguments_is_relative() {
    for i in 1..=cases(5_000) {
        let x = -5.0 * i as f32 / cases(5_000) as f32;
        // The tail of the normal distribution as a continued fraction, or its complement.
        let a = f64::from(-x) / 2f64.sqrt();
        let mut fraction = a;
        for n in (1..400).rev() {
            fraction = a + f64::from(n) / 2.0 / fraction;
        }
        let tail = (-a * a).exp() / fraction / std::f64::consts::PI.sqrt();
        let exact = if a < 1.0 { 1.0 - exact_erf(a) } else { tail } * f64::from(x) / 2.0;
        let error = (f64::from(gelu(x)) - exact).abs();
        assert!(error < 3e-6 * exact.abs(), "{x}: {} and {exact}", gelu(x));
    }
}

#[test]
fn special_values_of_powers() {
    let special = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 2.5, -2.5];
    let special = special.into_iter().chain([f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e30]);
    let special: Vec<f32> = special.collect();
    for &x in &special {
        for &y in &special {
            let (found, expected) = (pow(x, y), x.powf(y));
            assert!(
                found.to_bits() == expected.to_bits()
                    || found.is_nan() && expected.is_nan()
                    || (found - expected).abs() <= expected.abs() * 1e-7,
                "{x}^{y}: {found}, expected {expected}"
            );
        }
    }
}

pub(super) fn operations(dice: &mut Dice) -> Vec<UnaryOp> {
    let alpha = dice.f32s(1, 0.1, 2.0)[0];
    let beta = dice.f32s(1, -1.0, 1.0)[0];
    use UnaryOp::*;
    vec![
        Abs,
        Neg,
        Relu,
        LeakyRelu { alpha },
        ThresholdedRelu { alpha },
        Clip { low: beta, high: beta + alpha },
        Affine { alpha, beta },
        Sigmoid,
        HardSigmoid { alpha, beta },
        HardSwish,
        Silu,
        Gelu,
        GeluTanh,
        Tanh,
        ScaledTanh { alpha, beta },
        Mish,
        Exp,
        Log,
        Sqrt,
        Reciprocal,
        Erf,
        Elu { alpha },
        Selu { alpha, gamma: beta },
        Celu { alpha },
        Softplus,
        Softsign,
        Floor,
        Ceil,
        Round,
        Sign,
        Square,
    ]
}

/// The operation in double precision; for some also the magnitude that its error is relative to.
fn exact(op: UnaryOp, x: f64) -> f64 {
    use UnaryOp::*;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let wide = f64::from;
    match op {
        Abs => x.abs(),
        Neg => -x,
        Relu => x.max(0.0),
        LeakyRelu { alpha } => x.max(0.0) + wide(alpha) * x.min(0.0),
        ThresholdedRelu { alpha } => {
            if x > wide(alpha) {
                x
            } else {
                0.0
            }
        }
        Clip { low, high } => x.clamp(wide(low), wide(high)),
        Affine { alpha, beta } => x * wide(alpha) + wide(beta),
        Sigmoid => sigmoid(x),
        HardSigmoid { alpha, beta } => (x * wide(alpha) + wide(beta)).clamp(0.0, 1.0),
        HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Silu => x * sigmoid(x),
        Gelu => x * (1.0 + exact_erf(x / 2f64.sqrt())) / 2.0,
        GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            x / 2.0 * (1.0 + inner.tanh())
        }
        Tanh => x.tanh(),
        ScaledTanh { alpha, beta } => wide(alpha) * (wide(beta) * x).tanh(),
        Mish => x * x.exp().ln_1p().tanh(),
        Exp => x.exp(),
        Log => x.ln(),
        Sqrt => x.sqrt(),
        Reciprocal => 1.0 / x,
        Erf => exact_erf(x),
        Elu { alpha } => x.max(0.0) + wide(alpha) * x.min(0.0).exp_m1(),
        Selu { alpha, gamma } => wide(gamma) * (x.max(0.0) + wide(alpha) * x.min(0.0).exp_m1()),
        Celu { alpha } => x.max(0.0) + wide(alpha) * (x.min(0.0) / wide(alpha)).exp_m1(),
        Softplus => x.exp().ln_1p(),
        Softsign => x / (1.0 + x.abs()),
        Floor => x.floor(),
        Ceil => x.ceil(),
        Round => x.round_ties_even(),
        Sign => {
            if x == 0.0 {
                0.0
            } else {
                x.signum()
            }
        }
        Square => x * x,
    }
}

#[test]
fn unary_operations_are_their_definition() {
    let mut dice = Dice::new(21);
    for _ in 0..cases(60) {
        let n = dice.pick(1, 100);
        let x = dice.f32s(n, -6.0, 6.0);
        for op in operations(&mut dice) {
            let positive = matches!(op, UnaryOp::Log | UnaryOp::Sqrt);
            let x: Vec<f32> =
                if positive { x.iter().map(|x| x.abs()).collect() } else { x.clone() };
            let what = format!("{op:?}");
            let found = same_bits(&what, |isa| {
                let mut out = vec![7.0; x.len()];
                unary(isa, op, &x, &mut out);
                out
            });
            let expected = x.iter().map(|&x| {
                let y = exact(op, f64::from(x));
                (y, y.abs().max(f64::from(x).abs().min(1.0)))
            });
            close(&what, &found, &expected.collect::<Vec<_>>(), 1e-6);
        }
    }
}

#[test]
fn every_instruction_set_agrees_on_any_bits() {
    let mut dice = Dice::new(22);
    for _ in 0..cases(30) {
        let x = dice.any_floats(500);
        for op in operations(&mut dice) {
            same_bits(&format!("{op:?}"), |isa| {
                let mut out = x.clone();
                unary_in_place(isa, op, &mut out);
                out
            });
        }
    }
}

#[test]
fn binary_operations_broadcast() {
    let mut dice = Dice::new(23);
    use BinaryOp::*;
    for case in 0..cases(400) {
        let op = [Add, Sub, Mul, Div, Min, Max, Pow, PRelu][case % 8];
        let shape: Vec<usize> = (0..dice.pick(0, 4)).map(|_| dice.pick(1, 9)).collect();
        // Each operand is a dense tensor in which some axes are 1.
        let mut operand = || {
            let own: Vec<usize> =
                shape.iter().map(|&s| if dice.pick(0, 3) == 0 { 1 } else { s }).collect();
            let mut strides = vec![0; own.len()];
            let mut len = 1;
            for i in (0..own.len()).rev() {
                strides[i] = if own[i] == 1 { 0 } else { len as isize };
                len *= own[i];
            }
            let start = dice.pick(0, 2);
            let values = dice.f32s(start + len, if op == Pow { 0.1 } else { -2.0 }, 2.0);
            (StridedView { start, strides }, values)
        };
        let ((view_a, a), (view_b, b)) = (operand(), operand());
        let activation = activation(&mut dice);
        let what = format!("{op:?} {shape:?} {view_a:?} {view_b:?}");
        let found = same_bits(&what, |isa| {
            let binary = Binary::new(isa, op, activation, &shape, [&view_a, &view_b]);
            let mut out = vec![7.0; binary.output_len()];
            binary.run(&a, &b, &mut out);
            out
        });
        let expected: Vec<_> = (0..found.len())
            .map(|at| {
                let (mut rest, mut i, mut j) = (at, view_a.start, view_b.start);
                for axis in (0..shape.len()).rev() {
                    let index = rest % shape[axis];
                    rest /= shape[axis];
                    i += index * view_a.strides[axis] as usize;
                    j += index * view_b.strides[axis] as usize;
                }
                let (a, b) = (f64::from(a[i]), f64::from(b[j]));
                let y = match op {
                    Add => a + b,
                    Sub => a - b,
                    Mul => a * b,
                    Div => a / b,
                    Min => a.min(b),
                    Max => a.max(b),
                    Pow => a.powf(b),
                    PRelu => a.max(0.0) + b * a.min(0.0),
                };
                Sum(y, y.abs()).activated(activation)
            })
            .collect();
        close(&what, &found, &expected, 1e-6);
    }
}
