//! Pools, rounding, arithmetic, conversions and softmax against their formulas.
use super::*;

/// The maximum, and the exact mean in doubles (ties cannot differ: sums are small).
#[test]
fn pools_match_their_formulas() {
    let mut dice = Dice::new(6);
    for _ in 0..cases(300) {
        let mut window = random_window(&mut dice, 1);
        window.channels = dice.pick(1, 40);
        let input = activations(&mut dice, window.input_len());
        let (zero, ratio) = (dice.zero(), [1.0, 0.5, 1.7][dice.pick(0, 2)]);
        let (include_pad, quant) = (dice.pick(0, 1) == 0, dice.quant());
        let pool =
            AveragePool { window: window.clone(), input_zero: zero, ratio, include_pad, quant };
        let len = window.positions() * window.channels;
        for isa in Isa::available() {
            let (mut most, mut mean) = (vec![0; len], vec![0; len]);
            max_pool(isa, &window, &input, &mut most);
            let mut scratch = Scratch::with_bytes(pool.scratch_bytes());
            pool.run(isa, &input, &mut mean, &mut scratch);
            for at in 0..len {
                let (position, c) = (at / window.channels, at % window.channels);
                let seen = seen_inside(&window, &input, position, c);
                assert_eq!(most[at], seen.iter().copied().max().unwrap_or(-128), "{window:?}");
                let sum: i32 = seen.iter().map(|&x| i32::from(x) - i32::from(zero)).sum();
                let count = if include_pad { window.taps() } else { seen.len().max(1) };
                assert_eq!(mean[at], quant.store(sum as f32 * ratio / count as f32), "{window:?}");
            }
        }
    }
}

fn seen_inside(w: &ConvGeometry, input: &[i8], position: usize, c: usize) -> Vec<i8> {
    let output = (position / w.output[1], position % w.output[1]);
    let taps = (0..w.kernel[0]).flat_map(|i| (0..w.kernel[1]).map(move |j| (i, j)));
    taps.filter_map(|t| tap(w, input, output, t, c)).collect()
}

#[test]
fn storing_rounds_half_to_even_and_saturates() {
    let quant = OutputQuant::full(10);
    for (x, y) in [
        (0.5, 10),
        (1.5, 12),
        (2.5, 12),
        (-0.5, 10),
        (-1.5, 8),
        (0.499_999_97, 10),
        (116.5, 126),
        (117.4, 127),
        (1e30, 127),
        (f32::INFINITY, 127),
        (-138.5, -128),
        (-1e30, -128),
        (f32::NEG_INFINITY, -128),
        (f32::NAN, -128),
    ] {
        assert_eq!(quant.store(x), y, "{x}");
    }
    let relu = OutputQuant { zero: -5, low: -5, high: 50 };
    assert_eq!([-3.0, 2.0, 54.6, 60.0].map(|x| relu.store(x)), [-5, -3, 50, 50]);
}

#[test]
fn elementwise_kernels_agree_with_their_formulas() {
    let mut dice = Dice::new(7);
    for _ in 0..cases(200) {
        let n = dice.pick(1, 70);
        let (a, b, quant) = (activations(&mut dice, n), activations(&mut dice, n), dice.quant());
        let zeros = [dice.zero(), dice.zero()];
        let ratios = dice.f32s(2, 0.01, 2.0);
        let float = dice.f32s(n, -40.0, 40.0);
        let d = |x: i8, z: i8| (i32::from(x) - i32::from(z)) as f32;
        for isa in Isa::available() {
            let mut out = vec![0; n];
            let terms = [0, 1].map(|i| Term { zero: zeros[i], ratio: ratios[i] });
            add(isa, terms, &a, &b, quant, &mut out);
            for i in 0..n {
                let sum = d(a[i], zeros[0]) * ratios[0] + d(b[i], zeros[1]) * ratios[1];
                assert_eq!(out[i], quant.store(sum));
            }
            mul(isa, zeros, ratios[0] * 0.01, &a, &b, quant, &mut out);
            for i in 0..n {
                let product = d(a[i], zeros[0]) * d(b[i], zeros[1]);
                assert_eq!(out[i], quant.store(product * (ratios[0] * 0.01)));
            }
            quantize(isa, ratios[1], quant, &float, &mut out);
            assert!((0..n).all(|i| out[i] == quant.store(float[i] / ratios[1])));
            let mut back = vec![0.0; n];
            dequantize(isa, ratios[1], zeros[0], &a, &mut back);
            assert!((0..n).all(|i| back[i] == d(a[i], zeros[0]) * ratios[1]));
            mul_scalar(isa, ratios[0], &float, &mut back);
            assert!((0..n).all(|i| back[i] == float[i] * ratios[0]));
            let mut kept = float.clone();
            clamp(isa, &mut kept, -10.0, 20.0);
            assert!((0..n).all(|i| kept[i] == float[i].clamp(-10.0, 20.0)));
        }
    }
}

#[test]
fn dynamic_quantization_follows_onnx() {
    let mut out = vec![0; 4];
    let (scale, zero) = quantize_dynamic(Isa::best(), &[-1.0, 0.0, 2.0, 4.1], &mut out);
    assert_eq!((scale, i32::from(zero) + 128), (5.1 / 255.0, 50));
    assert_eq!(out.iter().map(|&x| i32::from(x) + 128).collect::<Vec<_>>(), [0, 50, 150, 255]);
    let (scale, zero) = quantize_dynamic(Isa::best(), &[0.0; 4], &mut out);
    assert_eq!((scale, zero, out), (1.0, -128, vec![-128; 4]));
    let mut dice = Dice::new(8);
    for _ in 0..cases(100) {
        let n = dice.pick(1, 70);
        let values = dice.f32s(n, -3.0, 9.0);
        let results: Vec<_> = Isa::available()
            .into_iter()
            .map(|isa| {
                let mut out = vec![0; n];
                (quantize_dynamic(isa, &values, &mut out), out)
            })
            .collect();
        assert!(results.iter().all(|r| *r == results[0]));
    }
}

/// Every kind of NaN, quiet and signalling, in every lane.
#[test]
fn nan_becomes_the_minimum_and_is_left_out_of_a_range() {
    for bits in [0x7fc0_0000, 0x7f80_0001, 0xffc0_0000, 0xff80_0001] {
        for (isa, at) in
            Isa::available().into_iter().flat_map(|isa| (0..37).map(move |at| (isa, at)))
        {
            let mut values = [0.5; 37];
            values[at] = f32::from_bits(bits);
            let mut out = [0; 37];
            let (scale, _) = quantize_dynamic(isa, &values, &mut out);
            assert_eq!((scale, out[at]), (0.5 / 255.0, -128), "{bits:x} at {at}");
            clamp(isa, &mut values, 0.25, 6.0);
            assert!(values.iter().enumerate().all(|(i, &v)| v == if i == at { 0.25 } else { 0.5 }));
        }
    }
}

/// Any bits, and only those of subnormal numbers, which some processors flush to zero.
#[test]
fn any_floats_give_the_bits_of_the_definition() {
    let mut dice = Dice::new(10);
    for case in 0..cases(400) {
        let n = dice.pick(1, 70);
        let keep = if case % 2 == 0 { u32::MAX } else { 0x807f_ffff };
        let values: Vec<_> = (0..n).map(|_| f32::from_bits(dice.next() as u32 & keep)).collect();
        let results = |isa: Isa| {
            let mut out = vec![0; n];
            let (scale, zero) = quantize_dynamic(isa, &values, &mut out);
            let bounds = [(0.0, 6.0), (-1.0, 1.0), (0.0, f32::INFINITY), (1e-40, 2e-40)];
            let kept = bounds.map(|(low, high)| {
                let mut values = values.clone();
                clamp(isa, &mut values, low, high);
                values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            });
            (scale.to_bits(), zero, out, kept)
        };
        let definition = results(Isa::SCALAR);
        for isa in Isa::available() {
            assert_eq!(results(isa), definition, "{} of {values:?}", isa.name());
        }
    }
}

#[test]
fn tables_and_signs() {
    let table = Table::new(|x| x.saturating_mul(2));
    let mut out = vec![0; 3];
    table.run(&[-100, 3, 100], &mut out);
    assert_eq!(out, [-128, 6, 127]);
    table.run_in_place(&mut out);
    assert_eq!(out, [-128, 12, 127]);
    let mut floats = [0.0; 3];
    look_up(&std::array::from_fn(|byte| byte as f32), &[0, 127, -1], &mut floats);
    assert_eq!(floats, [0.0, 127.0, 255.0]);
    s8_from_u8(&[0, 128, 255], &mut out);
    assert_eq!(out, [-128, 0, 127]);
    let mut back = vec![0; 3];
    u8_from_s8(&out, &mut back);
    assert_eq!(back, [0, 128, 255]);
}

#[test]
fn softmax_is_within_half_a_step() {
    let mut dice = Dice::new(9);
    for _ in 0..cases(200) {
        let (n, rows) = (dice.pick(1, 30), dice.pick(1, 3));
        let scale = dice.f32s(1, 0.001, 0.7)[0];
        let input = activations(&mut dice, n * rows);
        let softmax = Softmax::new(scale);
        let (mut float, mut s8) = (vec![0.0; n * rows], vec![0; n * rows]);
        softmax.run(n, &input, &mut float);
        softmax.run_s8(n, 1.0 / 256.0, OutputQuant::full(-128), &input, &mut s8);
        for (at, row) in input.chunks(n).enumerate() {
            let e = |x: i8| (f64::from(x) * f64::from(scale)).exp();
            let sum: f64 = row.iter().map(|&x| e(x)).sum();
            for (i, &x) in row.iter().enumerate() {
                let p = e(x) / sum;
                assert!((f64::from(float[at * n + i]) - p).abs() < 1e-6);
                let exact = (p * 256.0 - 128.0).min(127.0);
                assert!((f64::from(s8[at * n + i]) - exact).abs() < 0.51, "{exact}");
            }
        }
    }
}
