//! Products and convolutions.
use super::*;

/// Bits of the mantissa, times the square root of the longest sums here.
const RELATIVE: f64 = 1e-6;

#[test]
fn dense_is_its_defining_sum() {
    let mut dice = Dice::new(11);
    for _ in 0..cases(150) {
        let (m, k, n) = (dice.pick(1, 15), dice.pick(1, 70), dice.pick(1, 150));
        let (x, w) = (dice.f32s(m * k, -1.0, 1.0), dice.f32s(k * n, -1.0, 1.0));
        let bias = (dice.pick(0, 2) > 0).then(|| dice.f32s(n, -1.0, 1.0));
        let residual = (dice.pick(0, 1) > 0).then(|| dice.f32s(m * n, -1.0, 1.0));
        let (bias, residual) = (bias.as_deref(), residual.as_deref());
        let activation = activation(&mut dice);
        let transposed: Vec<f32> =
            (0..n).flat_map(|c| (0..k).map(move |i| (c, i))).map(|(c, i)| w[i * n + c]).collect();
        let what = format!("{m} x {k} x {n}");
        let found = same_bits(&what, |isa| {
            let run = |layout, w: &[f32]| {
                let dense = Dense::new(isa, [k, n], layout, w, bias, activation).unwrap();
                let mut out = vec![7.0; m * n];
                dense.run(m, &x, residual, &mut out);
                out
            };
            let out = run(Layout::RowMajor, &w);
            assert_eq!(out, run(Layout::Transposed, &transposed));
            if bias.is_none() && residual.is_none() && activation == Activation::None {
                for (layout, w) in [(Layout::RowMajor, &w), (Layout::Transposed, &transposed)] {
                    let product = Matmul::new(isa, [m, k, n], layout).unwrap();
                    let mut scratch = Scratch::with_bytes(product.scratch_bytes());
                    let mut other = vec![7.0; m * n];
                    product.run(&x, w, &mut other, &mut scratch);
                    assert_eq!(out, other);
                }
            }
            out
        });
        let expected: Vec<_> = (0..m * n)
            .map(|at| {
                let mut sum = Sum::of(bias.map_or(0.0, |b| b[at % n]));
                for i in 0..k {
                    sum.add(f64::from(x[at / n * k + i]) * f64::from(w[i * n + at % n]));
                }
                sum.add(residual.map_or(0.0, |r| f64::from(r[at])));
                sum.activated(activation)
            })
            .collect();
        close(&what, &found, &expected, RELATIVE);
    }
}

#[test]
fn conv_is_its_defining_sum() {
    let mut dice = Dice::new(12);
    for case in 0..cases(200) {
        let groups = if case % 4 == 0 { dice.pick(1, 4) } else { 1 };
        let (mut per_group, mut columns) = (dice.pick(1, 9), dice.pick(1, 40));
        let mut groups = groups;
        if case % 3 == 0 {
            (per_group, columns, groups) = (1, dice.pick(1, 2).pow(2) / 2 + 1, dice.pick(1, 50));
            columns = if dice.pick(0, 3) > 0 { 1 } else { columns };
        }
        let mut window = random_window(&mut dice, per_group * groups);
        if case % 10 == 1 {
            (window.kernel, window.stride, window.pad) = ([1, 1], [1, 1], [0, 0]);
            window.output = window.input;
        }
        check_conv(&mut dice, &window, groups, columns);
    }
}

#[test]
fn large_pictures_are_convolved_in_tiles() {
    let mut dice = Dice::new(13);
    let side = if cfg!(miri) { 20 } else { 60 };
    for (channels, groups) in [(12, 1), (12, 12)] {
        let window = ConvGeometry {
            input: [side, side],
            channels,
            output: [side, side],
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [1, 1],
        };
        check_conv(&mut dice, &window, groups, if groups == 1 { 5 } else { 1 });
    }
}

fn check_conv(dice: &mut Dice, window: &ConvGeometry, groups: usize, columns: usize) {
    let (per_group, outputs) = (window.channels / groups, columns * groups);
    let k = window.taps() * per_group;
    let values = dice.f32s(outputs * k, -1.0, 1.0);
    let bias = (dice.pick(0, 2) > 0).then(|| dice.f32s(outputs, -1.0, 1.0));
    let x = dice.f32s(window.input_len(), -1.0, 1.0);
    let len = window.positions() * outputs;
    let residual = (dice.pick(0, 2) == 0).then(|| dice.f32s(len, -1.0, 1.0));
    let (bias, residual) = (bias.as_deref(), residual.as_deref());
    let activation = activation(dice);
    let what = format!("{window:?}, {groups} groups of {columns}");
    let found = same_bits(&what, |isa| {
        let weights = ConvWeights { values: &values, bias, outputs, groups };
        let conv = Conv::new(isa, window, &weights, activation).unwrap();
        assert_eq!(conv.output_len(), len);
        let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
        let mut out = vec![7.0; len];
        conv.run(&x, residual, &mut out, &mut scratch);
        out
    });
    let expected: Vec<_> = (0..len)
        .map(|at| {
            let (position, output) = (at / outputs, at % outputs);
            let mut sum = Sum::of(bias.map_or(0.0, |b| b[output]));
            each_tap(window, position, |tap, from| {
                for c in 0..per_group {
                    let w = values[(output * per_group + c) * window.taps() + tap];
                    let x = x[from * window.channels + output / columns * per_group + c];
                    sum.add(f64::from(x) * f64::from(w));
                }
            });
            sum.add(residual.map_or(0.0, |r| f64::from(r[at])));
            sum.activated(activation)
        })
        .collect();
    close(&what, &found, &expected, RELATIVE);
}

#[test]
fn transposed_conv_is_its_defining_sum() {
    let mut dice = Dice::new(15);
    for case in 0..cases(100) {
        let groups = if case % 4 == 0 { dice.pick(1, 4) } else { 1 };
        let (per_group, columns) = (dice.pick(1, 9), dice.pick(1, 20));
        let mut w = random_window(&mut dice, per_group * groups);
        // Its output, at times more or less than what the taps reach.
        let reach = [0, 1].map(|i| {
            let all = (w.input[i] - 1) * w.stride[i] + (w.kernel[i] - 1) * w.dilation[i] + 1;
            (all + dice.pick(0, 2)).saturating_sub(w.pad[i] + dice.pick(0, 2)).max(1)
        });
        w.output = reach;
        let outputs = columns * groups;
        let values = dice.f32s(w.channels * columns * w.taps(), -1.0, 1.0);
        let bias = (dice.pick(0, 2) > 0).then(|| dice.f32s(outputs, -1.0, 1.0));
        let x = dice.f32s(w.input_len(), -1.0, 1.0);
        let activation = activation(&mut dice);
        let bias = bias.as_deref();
        let what = format!("{w:?}, {groups} groups of {columns}");
        let found = same_bits(&what, |isa| {
            let weights = ConvWeights { values: &values, bias, outputs, groups };
            let conv = ConvTranspose::new(isa, &w, &weights, activation).unwrap();
            let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
            let mut out = vec![7.0; conv.output_len()];
            conv.run(&x, &mut out, &mut scratch);
            out
        });
        let mut sums: Vec<Sum> =
            (0..found.len()).map(|at| Sum::of(bias.map_or(0.0, |b| b[at % outputs]))).collect();
        for (i, &x) in x.iter().enumerate() {
            let (position, channel) = (i / w.channels, i % w.channels);
            let from = [position / w.input[1], position % w.input[1]];
            for (tap, column) in (0..w.taps()).flat_map(|t| (0..columns).map(move |c| (t, c))) {
                let tap_at = [tap / w.kernel[1], tap % w.kernel[1]];
                let to = [0, 1].map(|i| {
                    (from[i] * w.stride[i] + tap_at[i] * w.dilation[i]).wrapping_sub(w.pad[i])
                });
                if (0..2).all(|i| to[i] < w.output[i]) {
                    let output = channel / per_group * columns + column;
                    let at = (to[0] * w.output[1] + to[1]) * outputs + output;
                    let weight = values[(channel * columns + column) * w.taps() + tap];
                    sums[at].add(f64::from(x) * f64::from(weight));
                }
            }
        }
        let expected: Vec<_> = sums.into_iter().map(|sum| sum.activated(activation)).collect();
        close(&what, &found, &expected, RELATIVE);
    }
}

/// Shows each tap inside the picture and the position it meets.
fn each_tap(w: &ConvGeometry, position: usize, mut show: impl FnMut(usize, usize)) {
    let at = [position / w.output[1], position % w.output[1]];
    for tap in 0..w.taps() {
        let tap_at = [tap / w.kernel[1], tap % w.kernel[1]];
        let meets = |i: usize| {
            (at[i] * w.stride[i] + tap_at[i] * w.dilation[i])
                .checked_sub(w.pad[i])
                .filter(|&x| x < w.input[i])
        };
        if let (Some(y), Some(x)) = (meets(0), meets(1)) {
            show(tap, y * w.input[1] + x);
        }
    }
}

#[test]
fn pools_are_their_definition() {
    let mut dice = Dice::new(14);
    for _ in 0..cases(300) {
        let channels = dice.pick(1, 20);
        let window = random_window(&mut dice, channels);
        let x = dice.f32s(window.input_len(), -1.0, 1.0);
        let after = [dice.pick(0, 2), dice.pick(0, 2)];
        let kind = [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding { after }]
            [dice.pick(0, 2)];
        if Pool::new(Isa::SCALAR, &window, kind).is_err() {
            let mut empty = false;
            for position in 0..window.positions() {
                let mut taps = 0;
                each_tap(&window, position, |_, _| taps += 1);
                empty |= taps == 0;
            }
            assert!(empty, "{window:?}");
            continue;
        }
        let what = format!("{kind:?} {window:?}");
        let found = same_bits(&what, |isa| {
            let pool = Pool::new(isa, &window, kind).unwrap();
            let mut out = vec![7.0; pool.output_len()];
            pool.run(&x, &mut out);
            out
        });
        let expected: Vec<_> = (0..found.len())
            .map(|at| {
                let mut all = Vec::new();
                each_tap(&window, at / channels, |_, from| {
                    all.push(f64::from(x[from * channels + at % channels]));
                });
                let sum: f64 = all.iter().sum();
                let value = match kind {
                    PoolKind::Max => all.iter().copied().fold(f64::MIN, f64::max),
                    PoolKind::Average => sum / all.len() as f64,
                    PoolKind::AverageWithPadding { after } => {
                        sum / padded_taps(&window, at / channels, after) as f64
                    }
                };
                (value, 1.0)
            })
            .collect();
        close(&what, &found, &expected, RELATIVE);
    }
}

#[test]
fn hostile_pools_are_judged_at_once() {
    let side = (1 << 18) - 1;
    let window = ConvGeometry {
        input: [1, 1],
        channels: 1,
        output: [1, side],
        kernel: [1, side],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0, side - 1],
    };
    assert!(Pool::new(Isa::SCALAR, &window, PoolKind::Max).is_ok());
    let apart = ConvGeometry { stride: [1, 2], ..window };
    assert!(Pool::new(Isa::SCALAR, &apart, PoolKind::Average).is_err());
}

fn padded_taps(w: &ConvGeometry, position: usize, after: [usize; 2]) -> usize {
    let at = [position / w.output[1], position % w.output[1]];
    let count = |i: usize| {
        let end = w.input[i] + w.pad[i] + after[i];
        (0..w.kernel[i]).filter(|t| at[i] * w.stride[i] + t * w.dilation[i] < end).count()
    };
    count(0) * count(1)
}

#[test]
fn unusable_weights_are_rejected() {
    let isa = Isa::SCALAR;
    let dense = |sizes, w: &[f32], bias| {
        Dense::new(isa, sizes, Layout::RowMajor, w, bias, Activation::None)
    };
    assert!(dense([2, 3], &[0.0; 6], Some(&[0.0; 3])).is_ok());
    assert!(dense([2, 3], &[0.0; 5], None).is_err());
    assert!(dense([2, 3], &[0.0; 6], Some(&[0.0; 2])).is_err());
    assert!(dense([0, 3], &[], None).is_err());
    assert!(Matmul::new(isa, [1, 0, 1], Layout::RowMajor).is_err());
    let window = random_window(&mut Dice::new(1), 4);
    let values = vec![0.0; window.taps() * 4 * 6];
    let conv = |groups, outputs, values: &[f32]| {
        let weights = ConvWeights { values, bias: None, outputs, groups };
        Conv::new(isa, &window, &weights, Activation::None)
    };
    assert!(conv(1, 6, &values).is_ok());
    assert!(conv(2, 6, &values[..values.len() / 2]).is_ok());
    assert!(conv(3, 6, &values).is_err());
    assert!(conv(0, 6, &values).is_err());
    assert!(conv(1, 5, &values).is_err());
}
