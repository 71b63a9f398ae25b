//! Softmax of s8 inputs.
use super::requant::OutputQuant;

/// Softmax over rows of quantized inputs.
///
/// An input lies at most 255 steps below the largest of its row, so all exponentials come from one
/// table. The table is computed by plain arithmetic that gives the same bits everywhere, because
/// the `exp` functions of the platforms differ.
#[derive(Clone, Debug)]
pub struct Softmax {
    /// exp(-scale * d) for d = 0..=255.
    exps: Vec<f32>,
}

impl Softmax {
    /// Computes the table for inputs of this scale (the zero point cancels out).
    #[must_use]
    pub fn new(scale: f32) -> Self {
        Self { exps: (0..=255).map(|d| exp(-f64::from(scale) * f64::from(d)) as f32).collect() }
    }

    /// Computes the probabilities of rows of `len`.
    ///
    /// # Panics
    /// If the lengths differ, or `len` is 0.
    #[inline(never)]
    pub fn run(&self, len: usize, input: &[i8], out: &mut [f32]) {
        assert_eq!(input.len(), out.len(), "softmax");
        for (x, y) in input.chunks(len).zip(out.chunks_mut(len)) {
            let sum = self.exp_sum(x, |at, e| y[at] = e);
            y.iter_mut().for_each(|y| *y /= sum);
        }
    }

    /// Computes quantized probabilities of rows of `len`: `quant(p / scale)`.
    ///
    /// # Panics
    /// Same as [`Softmax::run`].
    #[inline(never)]
    pub fn run_s8(&self, len: usize, scale: f32, quant: OutputQuant, input: &[i8], out: &mut [i8]) {
        assert_eq!(input.len(), out.len(), "softmax");
        for (x, y) in input.chunks(len).zip(out.chunks_mut(len)) {
            let sum = self.exp_sum(x, |_, _| ());
            let max = row_max(x);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = quant.store(self.exp_below_max(max, x) / sum / scale);
            }
        }
    }

    /// Passes each exponential to `show` and returns their sum, added up in order.
    fn exp_sum(&self, row: &[i8], mut show: impl FnMut(usize, f32)) -> f32 {
        let max = row_max(row);
        let mut sum = 0.0f64;
        for (at, &x) in row.iter().enumerate() {
            let e = self.exp_below_max(max, x);
            sum += f64::from(e);
            show(at, e);
        }
        sum as f32
    }

    /// Returns exp(scale * (x - max)).
    fn exp_below_max(&self, max: i8, x: i8) -> f32 {
        self.exps[usize::from(max.abs_diff(x))]
    }
}

fn row_max(row: &[i8]) -> i8 {
    row.iter().copied().max().unwrap_or(0)
}

/// Computes e^x for x <= 0, to the last bits of a double: x = k ln 2 + r, |r| <= ln 2 / 2, Taylor's
/// series for e^r, times 2^k. (Cody and Waite, Software Manual for the Elementary Functions, 1980.)
fn exp(x: f64) -> f64 {
    /// ln 2 in two parts, the first with 21 trailing zero bits, so that k times it is exact.
    const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    if x < -700.0 || x.is_nan() {
        return 0.0;
    }
    let k = (x / std::f64::consts::LN_2).round();
    let r = x - k * LN2[0] - k * LN2[1];
    let mut sum = 1.0;
    for n in (1..=16).rev() {
        sum = 1.0 + sum * r / f64::from(n);
    }
    sum * 2f64.powi(k as i32)
}
