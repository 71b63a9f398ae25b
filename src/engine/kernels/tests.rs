//! The kernels against plain evaluations of what they mean, and every instruction set against the
//! scalar one, bit for bit, on random shapes.
use super::*;

/// Numbers that look random, the same in every run (xorshift64*).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// In `low..=high`.
    pub(super) fn pick(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    pub(super) fn s8(&mut self) -> i8 {
        self.next() as i8
    }

    pub(super) fn s8s(&mut self, n: usize) -> Vec<i8> {
        (0..n).map(|_| self.s8()).collect()
    }

    pub(super) fn i32s(&mut self, n: usize, reach: i32) -> Vec<i32> {
        (0..n).map(|_| (self.next() % (2 * reach as u64 + 1)) as i32 - reach).collect()
    }

    /// In `low..high`.
    pub(super) fn f32s(&mut self, n: usize, low: f32, high: f32) -> Vec<f32> {
        (0..n)
            .map(|_| low + (high - low) * (self.next() % (1 << 24)) as f32 / 16_777_216.0)
            .collect()
    }

    /// A zero point; often none.
    pub(super) fn zero(&mut self) -> i8 {
        if self.pick(0, 1) == 0 { 0 } else { self.s8() }
    }

    pub(super) fn fit(&mut self) -> Fit {
        match self.pick(0, 2) {
            0 => Fit::full(self.s8()),
            1 => Fit { zero: -128, low: -128, high: 127 },
            _ => Fit { zero: 3, low: 3, high: 100 },
        }
    }
}

/// How many random cases: few where an interpreter runs the tests.
pub(super) fn cases(n: usize) -> usize {
    if cfg!(miri) { n / 20 + 1 } else { n }
}

/// A layer's weights, owned.
pub(super) struct Layer {
    values: Vec<i8>,
    outputs: usize,
    zeros: Vec<i8>,
    bias: Option<Vec<i32>>,
    input_zero: i8,
}

impl Layer {
    pub(super) fn random(dice: &mut Dice, outputs: usize, k: usize) -> Self {
        let zeros = match dice.pick(0, 3) {
            0 => dice.s8s(outputs),
            1 => dice.s8s(1),
            _ => vec![0],
        };
        let bias = (dice.pick(0, 3) > 0).then(|| dice.i32s(outputs, 100_000));
        let extreme = dice.pick(0, 7) == 0;
        let values = if extreme { vec![-128; outputs * k] } else { dice.s8s(outputs * k) };
        Self { values, outputs, zeros, bias, input_zero: dice.zero() }
    }

    pub(super) fn weights(&self) -> Weights<'_> {
        let (values, zeros, bias) = (&self.values, &self.zeros, self.bias.as_deref());
        Weights { values, outputs: self.outputs, zeros, bias, input_zero: self.input_zero }
    }

    fn zero(&self, output: usize) -> i64 {
        i64::from(self.zeros[output % self.zeros.len()])
    }

    /// The accumulator of `output` for the activations that meet its weights.
    fn accumulate(&self, output: usize, input_zero: i8, activations: &[i8]) -> i64 {
        let k = activations.len();
        let row = &self.values[output * k..(output + 1) * k];
        let term = |(&a, &w): (&i8, &i8)| {
            (i64::from(a) - i64::from(input_zero)) * (i64::from(w) - self.zero(output))
        };
        let bias = self.bias.as_ref().map_or(0, |b| i64::from(b[output]));
        bias + activations.iter().zip(row).map(term).sum::<i64>()
    }
}

/// Activations, sometimes all extreme.
pub(super) fn activations(dice: &mut Dice, n: usize) -> Vec<i8> {
    if dice.pick(0, 7) == 0 { vec![-128; n] } else { dice.s8s(n) }
}

/// The result of `run` with each tail: raw sums, s8, floats.
fn tails(
    len: usize,
    n: usize,
    dice: &mut Dice,
    mut run: impl FnMut(Out<'_>),
) -> (Vec<i32>, Vec<i8>, Vec<f32>) {
    let requant = Requant::new(&dice.f32s(n, 0.0, 0.01), n, dice.fit());
    let (scale, bias) = (dice.f32s(n, -0.1, 0.1), dice.f32s(n, -1.0, 1.0));
    let bias = (dice.pick(0, 1) > 0).then_some(&bias[..]);
    let (mut sums, mut s8, mut float) = (vec![7; len], vec![7; len], vec![7.0; len]);
    run(Out::I32(&mut sums));
    run(Out::S8(&mut s8, &requant));
    run(Out::F32(&mut float, Scale { scale: &scale, bias }));
    for (i, &acc) in sums.iter().enumerate() {
        let real = (acc as f32 * requant.multipliers()[i % n]).round_ties_even();
        let fit = requant.fit;
        let stored =
            (f64::from(real) + f64::from(fit.zero)).clamp(f64::from(fit.low), f64::from(fit.high));
        assert_eq!(s8[i], stored as i8, "element {i} of accumulator {acc}");
        let y = acc as f32 * scale[i % n];
        assert_eq!(float[i].to_bits(), bias.map_or(y, |b| y + b[i % n]).to_bits());
    }
    (sums, s8, float)
}

/// What padding, position and tap mean, spelled out: the activation or none.
fn tap(
    w: &Window,
    input: &[i8],
    (y, x): (usize, usize),
    (i, j): (usize, usize),
    c: usize,
) -> Option<i8> {
    let y =
        (y * w.stride[0] + i * w.dilation[0]).checked_sub(w.pad[0]).filter(|&y| y < w.input[0])?;
    let x =
        (x * w.stride[1] + j * w.dilation[1]).checked_sub(w.pad[1]).filter(|&x| x < w.input[1])?;
    Some(input[(y * w.input[1] + x) * w.channels + c])
}

/// The activations one window sees in channels `c..c + n`, padding as `fill`.
fn seen(
    w: &Window,
    input: &[i8],
    at: usize,
    channels: std::ops::Range<usize>,
    fill: i8,
) -> Vec<i8> {
    let position = (at / w.output[1], at % w.output[1]);
    let mut all = Vec::new();
    for i in 0..w.kernel[0] {
        for j in 0..w.kernel[1] {
            all.extend(
                channels.clone().map(|c| tap(w, input, position, (i, j), c).unwrap_or(fill)),
            );
        }
    }
    all
}

fn random_window(dice: &mut Dice, channels: usize) -> Window {
    let mut axis = |most: usize| {
        let (kernel, stride, dilation) = (dice.pick(1, most), dice.pick(1, 3), dice.pick(1, 2));
        let (input, before, after) = (dice.pick(1, 14), dice.pick(0, 3), dice.pick(0, 3));
        let reach = (kernel - 1) * dilation + 1;
        let input = input.max(reach.saturating_sub(before + after));
        (input, (input + before + after - reach) / stride + 1, kernel, stride, dilation, before)
    };
    let (h, w) = (axis(4), axis(5));
    Window {
        input: [h.0, w.0],
        channels,
        output: [h.1, w.1],
        kernel: [h.2, w.2],
        stride: [h.3, w.3],
        dilation: [h.4, w.4],
        pad: [h.5, w.5],
    }
}

#[test]
fn dense_is_the_sum_it_says() {
    let mut dice = Dice::new(1);
    for case in 0..cases(400) {
        let (n, k) = (dice.pick(1, 70), dice.pick(1, 70));
        let m = if case % 2 == 0 { 1 } else { dice.pick(1, 20) };
        let layer = Layer::random(&mut dice, n, k);
        let input = activations(&mut dice, m * k);
        let zero = dice.s8();
        for isa in Isa::available() {
            let dense = Dense::new(isa, &layer.weights()).unwrap();
            let mut scratch = Scratch::with_bytes(dense.scratch_bytes(m));
            let own = |out: Out<'_>| dense.run(m, &input, out, &mut scratch);
            let (own, ..) = tails(m * n, n, &mut dice, own);
            let given = |out: Out<'_>| dense.run_at(zero, m, &input, out, &mut scratch);
            let (given, ..) = tails(m * n, n, &mut dice, given);
            for (row, a) in input.chunks(k).enumerate() {
                for column in 0..n {
                    let at = row * n + column;
                    let expected = layer.accumulate(column, layer.input_zero, a);
                    assert_eq!(i64::from(own[at]), expected, "{isa:?} {m} x {k} x {n} at {at}");
                    let expected = layer.accumulate(column, zero, a);
                    assert_eq!(i64::from(given[at]), expected, "{isa:?} {m} x {k} x {n} at {at}");
                }
            }
        }
    }
}

#[test]
fn matmul_of_two_computed_sides_is_the_sum_it_says() {
    let mut dice = Dice::new(2);
    for _ in 0..cases(300) {
        let [m, k, n] = [0; 3].map(|_| dice.pick(1, 40));
        let (a, b) = (activations(&mut dice, m * k), activations(&mut dice, k * n));
        let zeros = [dice.zero(), dice.zero()];
        for (isa, layout) in Isa::available()
            .into_iter()
            .flat_map(|isa| [(isa, Layout::RowMajor), (isa, Layout::Transposed)])
        {
            let product = Matmul::new(isa, [m, k, n], layout).unwrap();
            let mut scratch = Scratch::with_bytes(product.scratch_bytes());
            let run = |out: Out<'_>| product.run(&a, &b, zeros, out, &mut scratch);
            let (sums, ..) = tails(m * n, n, &mut dice, run);
            for (at, &sum) in sums.iter().enumerate() {
                let (i, j) = (at / n, at % n);
                let expected: i64 = (0..k)
                    .map(|l| {
                        let b = b[if layout == Layout::RowMajor { l * n + j } else { j * k + l }];
                        (i64::from(a[i * k + l]) - i64::from(zeros[0]))
                            * (i64::from(b) - i64::from(zeros[1]))
                    })
                    .sum();
                assert_eq!(i64::from(sum), expected, "{isa:?} {m} x {k} x {n} at {at}");
            }
        }
    }
}

#[test]
fn conv_is_the_sum_it_says() {
    let mut dice = Dice::new(3);
    for case in 0..cases(400) {
        let groups = if case % 4 == 0 { dice.pick(1, 3) } else { 1 };
        let (per_group, outputs) = (dice.pick(1, 9), dice.pick(1, 24) * groups);
        let mut window = random_window(&mut dice, per_group * groups);
        if case % 10 == 1 {
            (window.kernel, window.stride, window.pad) = ([1, 1], [1, 1], [0, 0]);
            window.output = window.input;
        }
        let layer = Layer::random(&mut dice, outputs, window.taps() * per_group);
        let input = activations(&mut dice, window.input_len());
        let given = (dice.pick(0, 1) == 0).then(|| dice.s8());
        for isa in Isa::available() {
            let conv = Conv::new(isa, &window, groups, &layer.weights()).unwrap();
            let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
            let (sums, ..) = tails(conv.output_len(), outputs, &mut dice, |out| match given {
                None => conv.run(&input, out, &mut scratch),
                Some(zero) => conv.run_at(zero, &input, out, &mut scratch),
            });
            let zero = given.unwrap_or(layer.input_zero);
            for (at, &sum) in sums.iter().enumerate() {
                let (position, output) = (at / outputs, at % outputs);
                let group = output / (outputs / groups);
                let channels = group * per_group..(group + 1) * per_group;
                let expected = layer.accumulate(
                    output,
                    zero,
                    &seen(&window, &input, position, channels, zero),
                );
                assert_eq!(i64::from(sum), expected, "{isa:?} {window:?} groups {groups} at {at}");
            }
        }
    }
}

#[test]
fn depthwise_is_the_sum_it_says() {
    let mut dice = Dice::new(4);
    for case in 0..cases(400) {
        let mut window = random_window(&mut dice, 1);
        window.channels = dice.pick(1, 70);
        if case % 2 == 0 && window.input.iter().all(|&v| v >= 3) {
            (window.kernel, window.dilation, window.stride) = ([3, 3], [1, 1], [1, 1]);
            (window.pad, window.output) = ([1, 1], window.input);
        }
        let layer = Layer::random(&mut dice, window.channels, window.taps());
        let input = activations(&mut dice, window.input_len());
        let given = (dice.pick(0, 1) == 0).then(|| dice.s8());
        let n = window.channels;
        for isa in Isa::available() {
            let conv = Depthwise::new(isa, &window, &layer.weights()).unwrap();
            let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
            let (sums, ..) = tails(conv.output_len(), n, &mut dice, |out| match given {
                None => conv.run(&input, out, &mut scratch),
                Some(zero) => conv.run_at(zero, &input, out, &mut scratch),
            });
            let zero = given.unwrap_or(layer.input_zero);
            for (at, &sum) in sums.iter().enumerate() {
                let c = at % n;
                let expected =
                    layer.accumulate(c, zero, &seen(&window, &input, at / n, c..c + 1, zero));
                assert_eq!(i64::from(sum), expected, "{isa:?} {window:?} at {at}");
            }
        }
    }
}

#[test]
fn large_pictures_are_convolved_in_bands() {
    let mut dice = Dice::new(5);
    let side = if cfg!(miri) { 20 } else { 130 };
    let window = Window {
        input: [side, side],
        channels: 12,
        output: [side, side],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1, 1],
    };
    let layer = Layer::random(&mut dice, 5, 9 * 12);
    let input = dice.s8s(window.input_len());
    for isa in Isa::available() {
        let conv = Conv::new(isa, &window, 1, &layer.weights()).unwrap();
        let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
        let mut sums = vec![0; conv.output_len()];
        conv.run(&input, Out::I32(&mut sums), &mut scratch);
        for (at, &sum) in sums.iter().enumerate().step_by(7) {
            let seen = seen(&window, &input, at / 5, 0..12, layer.input_zero);
            assert_eq!(i64::from(sum), layer.accumulate(at % 5, layer.input_zero, &seen), "{at}");
        }
    }
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let values = vec![127; 40_000 * 2];
    let bias = [i32::MAX - 1000];
    let weights =
        Weights { values: &values, outputs: 1, zeros: &[-128], bias: None, input_zero: 0 };
    assert_eq!(
        Dense::new(Isa::SCALAR, &weights).unwrap_err(),
        WeightsError::Overflow { output: 0 }
    );
    let weights = Weights { values: &values[..10], zeros: &[0], ..weights };
    assert!(Dense::new(Isa::SCALAR, &weights).is_ok());
    let weights = Weights { bias: Some(&bias), ..weights };
    assert!(matches!(Dense::new(Isa::SCALAR, &weights), Err(WeightsError::Overflow { .. })));
    let weights = Weights { bias: Some(&[1, 2]), ..weights };
    assert!(matches!(Dense::new(Isa::SCALAR, &weights), Err(WeightsError::Shape { .. })));
    let weights = Weights { values: &[], bias: None, ..weights };
    assert!(Dense::new(Isa::SCALAR, &weights).is_err());
}

/// The maximum, and the exact mean in doubles (ties cannot differ: sums are small).
#[test]
fn pools_are_what_they_say() {
    let mut dice = Dice::new(6);
    for _ in 0..cases(300) {
        let mut window = random_window(&mut dice, 1);
        window.channels = dice.pick(1, 40);
        let input = activations(&mut dice, window.input_len());
        let (zero, ratio) = (dice.zero(), [1.0, 0.5, 1.7][dice.pick(0, 2)]);
        let (include_pad, fit) = (dice.pick(0, 1) == 0, dice.fit());
        let pool =
            AveragePool { window: window.clone(), input_zero: zero, ratio, include_pad, fit };
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
                assert_eq!(mean[at], fit.store(sum as f32 * ratio / count as f32), "{window:?}");
            }
        }
    }
}

fn seen_inside(w: &Window, input: &[i8], position: usize, c: usize) -> Vec<i8> {
    let place = (position / w.output[1], position % w.output[1]);
    let taps = (0..w.kernel[0]).flat_map(|i| (0..w.kernel[1]).map(move |j| (i, j)));
    taps.filter_map(|t| tap(w, input, place, t, c)).collect()
}

#[test]
fn storing_rounds_half_to_even_and_saturates() {
    let fit = Fit::full(10);
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
        assert_eq!(fit.store(x), y, "{x}");
    }
    let relu = Fit { zero: -5, low: -5, high: 50 };
    assert_eq!([-3.0, 2.0, 54.6, 60.0].map(|x| relu.store(x)), [-5, -3, 50, 50]);
}

#[test]
fn elementwise_kernels_agree_with_their_formulas() {
    let mut dice = Dice::new(7);
    for _ in 0..cases(200) {
        let n = dice.pick(1, 70);
        let (a, b, fit) = (activations(&mut dice, n), activations(&mut dice, n), dice.fit());
        let zeros = [dice.zero(), dice.zero()];
        let ratios = dice.f32s(2, 0.01, 2.0);
        let float = dice.f32s(n, -40.0, 40.0);
        let d = |x: i8, z: i8| (i32::from(x) - i32::from(z)) as f32;
        for isa in Isa::available() {
            let mut out = vec![0; n];
            let terms = [0, 1].map(|i| Term { zero: zeros[i], ratio: ratios[i] });
            add(isa, terms, &a, &b, fit, &mut out);
            for i in 0..n {
                let sum = d(a[i], zeros[0]) * ratios[0] + d(b[i], zeros[1]) * ratios[1];
                assert_eq!(out[i], fit.store(sum));
            }
            mul(isa, zeros, ratios[0] * 0.01, &a, &b, fit, &mut out);
            for i in 0..n {
                let product = d(a[i], zeros[0]) * d(b[i], zeros[1]);
                assert_eq!(out[i], fit.store(product * (ratios[0] * 0.01)));
            }
            quantize(isa, ratios[1], fit, &float, &mut out);
            assert!((0..n).all(|i| out[i] == fit.store(float[i] / ratios[1])));
            let mut back = vec![0.0; n];
            dequantize(isa, ratios[1], zeros[0], &a, &mut back);
            assert!((0..n).all(|i| back[i] == d(a[i], zeros[0]) * ratios[1]));
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

#[test]
fn tables_and_signs() {
    let table = Table::new(|x| x.saturating_mul(2));
    let mut out = vec![0; 3];
    table.run(&[-100, 3, 100], &mut out);
    assert_eq!(out, [-128, 6, 127]);
    table.run_in_place(&mut out);
    assert_eq!(out, [-128, 12, 127]);
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
        softmax.run_s8(n, 1.0 / 256.0, Fit::full(-128), &input, &mut s8);
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
