//! From accumulators to results: the single rounding at the end of a quantized operator.
//!
//! All arithmetic is single-precision, one operation after the other as written here, never fused,
//! so that every instruction set gives the same bits.

/// The conversion of a real number, in units of the output's scale, to a stored s8.
///
/// The number is rounded half to even, shifted by `zero` and clamped to `low..=high` (the type's
/// range, or less for a fused relu or clip). NaN becomes `low`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputQuant {
    pub zero: i8,
    pub low: i8,
    pub high: i8,
}

/// 1.5 * 2^23. The sum of this and a number of at most 2^22 has no bits below the unit, so the
/// addition itself rounds half to even and leaves the integer in the sum's low bits.
pub(super) const ROUNDING_MAGIC: f32 = 12_582_912.0;

impl OutputQuant {
    /// Returns the conversion with the whole s8 range.
    #[must_use]
    pub fn full(zero: i8) -> Self {
        Self { zero, low: i8::MIN, high: i8::MAX }
    }

    /// Returns the bounds before the zero point is added.
    #[inline(always)]
    pub(super) fn bounds(&self) -> (f32, f32) {
        let zero = f32::from(self.zero);
        (f32::from(self.low) - zero, f32::from(self.high) - zero)
    }

    /// Returns the stored value for `x`.
    #[inline(always)]
    #[must_use]
    pub fn store(&self, x: f32) -> i8 {
        let (low, high) = self.bounds();
        let x = if x > low { x } else { low };
        let x = if x < high { x } else { high };
        let rounded = (x + ROUNDING_MAGIC).to_bits().wrapping_sub(ROUNDING_MAGIC.to_bits());
        (rounded as i8).wrapping_add(self.zero)
    }
}

/// The epilogue that makes s8 out of accumulators: `quant(acc as f32 * multiplier[column])`.
#[derive(Clone, Debug, PartialEq)]
pub struct Requant {
    /// One per column, padded by [`OVERREAD`] so that whole vectors can be read from any column.
    multipliers: Vec<f32>,
    pub quant: OutputQuant,
}

/// Elements after the last column that kernels may read and ignore.
pub(super) const OVERREAD: usize = 16;

impl Requant {
    /// Takes one multiplier (input scale * weight scale / output scale) for all `columns`, or one
    /// per column.
    ///
    /// # Panics
    /// If there is neither one multiplier nor one per column.
    #[must_use]
    pub fn new(multipliers: &[f32], columns: usize, quant: OutputQuant) -> Self {
        Self { multipliers: spread(multipliers, columns, 0.0), quant }
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.multipliers.len() - OVERREAD
    }

    #[inline(always)]
    pub(super) fn multipliers(&self) -> &[f32] {
        &self.multipliers
    }
}

/// Returns `values` (one, or one per column) as one per column, padded by [`OVERREAD`] fillers.
pub(super) fn spread<T: Copy>(values: &[T], columns: usize, filler: T) -> Vec<T> {
    let mut all = match *values {
        [one] => vec![one; columns],
        _ => values.to_vec(),
    };
    assert_eq!(all.len(), columns, "one value, or one per column");
    all.resize(columns + OVERREAD, filler);
    all
}

/// The epilogue that makes floats out of accumulators: `acc as f32 * scale[column] + bias[column]`.
#[derive(Clone, Copy, Debug)]
pub struct Scale<'a> {
    /// One per column.
    pub scale: &'a [f32],
    /// One per column; nothing is added if absent.
    pub bias: Option<&'a [f32]>,
}

/// The row-major destination of a matrix product, and the epilogue applied to each accumulator.
#[derive(Debug)]
pub enum OutputBuffer<'a> {
    S8(&'a mut [i8], &'a Requant),
    F32(&'a mut [f32], Scale<'a>),
    I32(&'a mut [i32]),
}

impl OutputBuffer<'_> {
    /// # Panics
    /// If the buffer or the vectors of the epilogue do not fit a `rows` x `columns` result.
    pub(super) fn check(&self, rows: usize, columns: usize) {
        let (len, epilogue) = match self {
            OutputBuffer::S8(out, requant) => (out.len(), requant.columns() == columns),
            OutputBuffer::F32(out, s) => {
                (out.len(), s.scale.len() == columns && s.bias.is_none_or(|b| b.len() == columns))
            }
            OutputBuffer::I32(out) => (out.len(), true),
        };
        assert_eq!(len, rows * columns, "output buffer of {rows} x {columns}");
        assert!(epilogue, "one multiplier per column");
    }

    /// Applies the epilogue to `acc`, the accumulators from element `at` (row * columns +
    /// `column`).
    #[inline(always)]
    pub(super) fn finish(&mut self, acc: &[i32], at: usize, column: usize) {
        let n = acc.len();
        match self {
            OutputBuffer::S8(out, requant) => {
                let multipliers = &requant.multipliers()[column..column + n];
                for ((y, &a), &m) in out[at..at + n].iter_mut().zip(acc).zip(multipliers) {
                    *y = requant.quant.store(a as f32 * m);
                }
            }
            OutputBuffer::F32(out, s) => {
                let out = &mut out[at..at + n];
                for ((y, &a), &m) in out.iter_mut().zip(acc).zip(&s.scale[column..column + n]) {
                    *y = a as f32 * m;
                }
                if let Some(bias) = s.bias {
                    out.iter_mut().zip(&bias[column..column + n]).for_each(|(y, &b)| *y += b);
                }
            }
            OutputBuffer::I32(out) => out[at..at + n].copy_from_slice(acc),
        }
    }
}
