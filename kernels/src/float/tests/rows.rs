//! Softmax, normalisations and reductions.
use super::*;

#[test]
fn softmax_is_its_definition() {
    let mut dice = Dice::new(31);
    for _ in 0..cases(200) {
        let (rows, len) = (dice.pick(1, 4), dice.pick(1, 70));
        let wide = dice.f32s(1, 0.1, 40.0)[0];
        let x = dice.f32s(rows * len, -wide, wide);
        let what = format!("{rows} rows of {len}");
        let run = |f: fn(Isa, usize, &[f32], &mut [f32])| {
            same_bits(&what, |isa| {
                let mut out = vec![7.0; x.len()];
                f(isa, len, &x, &mut out);
                out
            })
        };
        let (plain, logarithm) = (run(softmax), run(log_softmax));
        let (mut expected, mut expected_log) = (Vec::new(), Vec::new());
        for row in x.chunks(len) {
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let most = row.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = row.iter().map(|x| (x - most).exp()).sum();
            expected.extend(row.iter().map(|x| ((x - most).exp() / sum, (x - most).exp() / sum)));
            let log = row.iter().map(|x| x - most - sum.ln());
            expected_log.extend(log.map(|y| (y, y.abs().max(1.0))));
        }
        // The difference to the largest element is rounded before the exponential.
        close(&what, &plain, &expected, 6e-6);
        close(&what, &logarithm, &expected_log, 1e-6);
    }
}

#[test]
fn normalisations_are_their_definition() {
    let mut dice = Dice::new(32);
    for case in 0..cases(200) {
        let (rows, len) = (dice.pick(1, 4), dice.pick(1, 70));
        let x = dice.f32s(rows * len, -1.0, 2.0);
        let scale = dice.f32s(len, -1.0, 1.0);
        let bias = if case % 3 == 0 { Vec::new() } else { dice.f32s(len, -1.0, 1.0) };
        let normalize = Normalize { epsilon: 1e-3, center: case % 2 == 0, scale, bias };
        let what = format!("{rows} rows of {len}");
        let found = same_bits(&what, |isa| {
            let mut out = vec![7.0; x.len()];
            normalize.run(isa, &x, &mut out);
            out
        });
        let mut expected = Vec::new();
        for row in x.chunks(len) {
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let mean = if normalize.center { row.iter().sum::<f64>() / len as f64 } else { 0.0 };
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / len as f64;
            expected.extend(row.iter().enumerate().map(|(i, x)| {
                let y = (x - mean) / (variance + f64::from(normalize.epsilon)).sqrt();
                let y = y * f64::from(normalize.scale[i]);
                let y = y + normalize.bias.get(i).map_or(0.0, |&b| f64::from(b));
                (y, 30.0)
            }));
        }
        close(&what, &found, &expected, 1e-6);
    }
}

#[test]
fn affine_maps_have_one_factor_per_channel() {
    let mut dice = Dice::new(33);
    for _ in 0..cases(100) {
        let (rows, len) = (dice.pick(1, 4), dice.pick(1, 40));
        let x = dice.f32s(rows * len, -1.0, 1.0);
        let [scale, shift] = [0; 2].map(|_| dice.f32s(len, -1.0, 1.0));
        let activation = activation(&mut dice);
        let found = same_bits("affine", |isa| {
            let mut out = vec![7.0; x.len()];
            affine(isa, [&scale, &shift], activation, &x, &mut out);
            out
        });
        let expected = x.iter().enumerate().map(|(i, &x)| {
            let mut sum = Sum::of(shift[i % len]);
            sum.add(f64::from(x) * f64::from(scale[i % len]));
            sum.activated(activation)
        });
        close("affine", &found, &expected.collect::<Vec<_>>(), 1e-7);
    }
}

#[test]
fn reductions_are_their_definition() {
    let mut dice = Dice::new(34);
    use ReduceOp::*;
    for case in 0..cases(400) {
        let op = [Sum, Mean, Max, Min, Product, L1, L2, SumSquare][case % 8];
        let (outer, len, inner) = (dice.pick(1, 4), dice.pick(1, 60), dice.pick(1, 3).pow(2));
        let x = dice.f32s(outer * len * inner, -1.2, 1.2);
        let what = format!("{op:?} {outer} {len} {inner}");
        let found = same_bits(&what, |isa| {
            let mut out = vec![7.0; outer * inner];
            reduce(isa, op, [outer, len, inner], &x, &mut out);
            out
        });
        let expected: Vec<_> = (0..outer * inner)
            .map(|at| {
                let all: Vec<f64> = (0..len)
                    .map(|i| f64::from(x[(at / inner * len + i) * inner + at % inner]))
                    .collect();
                let [sum, l1, square] = [|x: f64| x, f64::abs, |x: f64| x * x]
                    .map(|f: fn(f64) -> f64| all.iter().map(|&x| f(x)).sum::<f64>());
                match op {
                    Sum => (sum, l1),
                    Mean => (sum / len as f64, l1 / len as f64),
                    Max => (all.iter().copied().fold(f64::MIN, f64::max), 1.0),
                    Min => (all.iter().copied().fold(f64::MAX, f64::min), 1.0),
                    Product => {
                        let y: f64 = all.iter().product();
                        (y, y.abs())
                    }
                    L1 => (l1, l1),
                    L2 => (square.sqrt(), square.sqrt()),
                    SumSquare => (square, square),
                }
            })
            .collect();
        close(&what, &found, &expected, 4e-6);
    }
}

#[test]
fn a_nan_is_the_largest_and_the_smallest() {
    for isa in Isa::available() {
        let mut x = vec![1.0; 40];
        x[17] = f32::NAN;
        for op in [ReduceOp::Max, ReduceOp::Min] {
            let mut out = [0.0];
            reduce(isa, op, [1, 40, 1], &x, &mut out);
            assert!(out[0].is_nan());
        }
    }
}
