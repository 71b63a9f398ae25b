//! The kernels against plain evaluations of their definitions, and every instruction set against
//! the scalar one, bit for bit, on random shapes.
mod elementwise;
mod layers;

use super::*;

/// A deterministic pseudo-random generator (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// In `low..=high`.
    pub(crate) fn pick(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    pub(super) fn s8(&mut self) -> i8 {
        self.next() as i8
    }

    pub(super) fn s8s(&mut self, n: usize) -> Vec<i8> {
        (0..n).map(|_| self.s8()).collect()
    }

    /// Floats of any bits.
    pub(crate) fn any_floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| f32::from_bits(self.next() as u32)).collect()
    }

    pub(crate) fn i32s(&mut self, n: usize, extent: i32) -> Vec<i32> {
        (0..n).map(|_| (self.next() % (2 * extent as u64 + 1)) as i32 - extent).collect()
    }

    /// In `low..high`.
    pub(crate) fn f32s(&mut self, n: usize, low: f32, high: f32) -> Vec<f32> {
        (0..n)
            .map(|_| low + (high - low) * (self.next() % (1 << 24)) as f32 / 16_777_216.0)
            .collect()
    }

    /// A zero point; often none.
    pub(super) fn zero(&mut self) -> i8 {
        if self.pick(0, 1) == 0 { 0 } else { self.s8() }
    }

    pub(super) fn quant(&mut self) -> OutputQuant {
        match self.pick(0, 2) {
            0 => OutputQuant::full(self.s8()),
            1 => OutputQuant { zero: -128, low: -128, high: 127 },
            _ => OutputQuant { zero: 3, low: 3, high: 100 },
        }
    }
}

/// How many random cases: few where an interpreter runs the tests.
pub(crate) fn cases(n: usize) -> usize {
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
        // Quantizers avoid -128; kernels may profit if it is absent.
        let least = if dice.pick(0, 1) == 0 { -127 } else { -128 };
        let extreme = dice.pick(0, 7) == 0;
        let values = if extreme { vec![least; outputs * k] } else { dice.s8s(outputs * k) };
        let values = values.into_iter().map(|w| w.max(least)).collect();
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

/// The result of `run` with each epilogue: raw sums, s8, floats.
fn tails(
    len: usize,
    n: usize,
    dice: &mut Dice,
    mut run: impl FnMut(OutputBuffer<'_>),
) -> (Vec<i32>, Vec<i8>, Vec<f32>) {
    let mut multipliers = dice.f32s(n, 0.0, 0.01);
    if dice.pick(0, 3) == 0 {
        let strange = [f32::NAN, f32::INFINITY, 1e-40, -1e-40, -0.004][dice.pick(0, 4)];
        multipliers[dice.pick(0, n - 1)] = strange;
    }
    let requant = Requant::new(&multipliers, n, dice.quant());
    let (scale, bias) = (dice.f32s(n, -0.1, 0.1), dice.f32s(n, -1.0, 1.0));
    let bias = (dice.pick(0, 1) > 0).then_some(&bias[..]);
    let (mut sums, mut s8, mut float) = (vec![7; len], vec![7; len], vec![7.0; len]);
    run(OutputBuffer::I32(&mut sums));
    run(OutputBuffer::S8(&mut s8, &requant));
    run(OutputBuffer::F32(&mut float, Scale { scale: &scale, bias }));
    for (i, &acc) in sums.iter().enumerate() {
        let real = (acc as f32 * requant.multipliers()[i % n]).round_ties_even();
        let quant = requant.quant;
        let stored = (f64::from(real) + f64::from(quant.zero))
            .clamp(f64::from(quant.low), f64::from(quant.high));
        let stored = if stored.is_nan() { quant.low } else { stored as i8 };
        assert_eq!(s8[i], stored, "element {i} of accumulator {acc}");
        let y = acc as f32 * scale[i % n];
        assert_eq!(float[i].to_bits(), bias.map_or(y, |b| y + b[i % n]).to_bits());
    }
    (sums, s8, float)
}

/// Returns the activation under a tap of the window at a position, or none for padding.
fn tap(
    w: &ConvGeometry,
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
    w: &ConvGeometry,
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

pub(crate) fn random_window(dice: &mut Dice, channels: usize) -> ConvGeometry {
    let mut axis = |most: usize| {
        let (kernel, stride, dilation) = (dice.pick(1, most), dice.pick(1, 3), dice.pick(1, 2));
        let (input, before, after) = (dice.pick(1, 14), dice.pick(0, 3), dice.pick(0, 3));
        let extent = (kernel - 1) * dilation + 1;
        let input = input.max(extent.saturating_sub(before + after));
        (input, (input + before + after - extent) / stride + 1, kernel, stride, dilation, before)
    };
    let (h, w) = (axis(4), axis(5));
    ConvGeometry {
        input: [h.0, w.0],
        channels,
        output: [h.1, w.1],
        kernel: [h.2, w.2],
        stride: [h.3, w.3],
        dilation: [h.4, w.4],
        pad: [h.5, w.5],
    }
}
