//! From accumulators to results: the one rounding at the end of a quantized operator.
//!
//! All arithmetic is single-precision, one operation after the other as written here, never fused:
//! that is what makes every instruction set give the same bits.

/// How a real number in units of the output's scale becomes a stored s8: rounded half to even,
/// moved by `zero`, kept within `low..=high` (the type's range, or narrower for a fused relu or
/// clip). Not a number becomes `low`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    pub zero: i8,
    pub low: i8,
    pub high: i8,
}

/// 1.5 * 2^23: the sum of it and a number of at most 2^22 has no bits left below the unit, so the
/// addition itself rounds half to even, and the integer stands in the sum's low bits.
pub(super) const MAGIC: f32 = 12_582_912.0;

impl Fit {
    /// The whole s8 range.
    #[must_use]
    pub fn full(zero: i8) -> Self {
        Self { zero, low: i8::MIN, high: i8::MAX }
    }

    /// The bounds before the zero point is added.
    #[inline(always)]
    pub(super) fn bounds(&self) -> (f32, f32) {
        let zero = f32::from(self.zero);
        (f32::from(self.low) - zero, f32::from(self.high) - zero)
    }

    /// The stored value for `x`.
    #[inline(always)]
    #[must_use]
    pub fn store(&self, x: f32) -> i8 {
        let (low, high) = self.bounds();
        let x = if x > low { x } else { low };
        let x = if x < high { x } else { high };
        let rounded = (x + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits());
        (rounded as i8).wrapping_add(self.zero)
    }
}

/// The tail that makes s8 out of accumulators: `fit(acc as f32 * multiplier[column])`.
#[derive(Clone, Debug, PartialEq)]
pub struct Requant {
    /// One per column, and [`SPARE`] more so that whole vectors can be read from any column.
    multipliers: Vec<f32>,
    pub fit: Fit,
}

/// Elements behind the last column that may be read, and are ignored.
pub(super) const SPARE: usize = 16;

impl Requant {
    /// One multiplier (input scale * weight scale / output scale) for all `columns`, or one each.
    ///
    /// # Panics
    /// When there is neither one multiplier nor one per column.
    #[must_use]
    pub fn new(multipliers: &[f32], columns: usize, fit: Fit) -> Self {
        Self { multipliers: spread(multipliers, columns, 0.0), fit }
    }

    #[must_use]
    pub fn columns(&self) -> usize {
        self.multipliers.len() - SPARE
    }

    #[inline(always)]
    pub(super) fn multipliers(&self) -> &[f32] {
        &self.multipliers
    }
}

/// `values` (one or `columns` of them) as one per column, with [`SPARE`] fillers behind.
pub(super) fn spread<T: Copy>(values: &[T], columns: usize, filler: T) -> Vec<T> {
    let mut all = match *values {
        [one] => vec![one; columns],
        _ => values.to_vec(),
    };
    assert_eq!(all.len(), columns, "one value, or one per column");
    all.resize(columns + SPARE, filler);
    all
}

/// The tail that makes floats out of accumulators: `acc as f32 * scale[column] + bias[column]`.
#[derive(Clone, Copy, Debug)]
pub struct Scale<'a> {
    /// One per column.
    pub scale: &'a [f32],
    /// One per column; nothing is added where there is none.
    pub bias: Option<&'a [f32]>,
}

/// Where a matrix product goes, row-major, and what becomes of each accumulator on the way.
#[derive(Debug)]
pub enum Out<'a> {
    S8(&'a mut [i8], &'a Requant),
    F32(&'a mut [f32], Scale<'a>),
    I32(&'a mut [i32]),
}

impl Out<'_> {
    /// # Panics
    /// When the buffer or the tail's vectors do not fit a `rows` x `columns` result.
    pub(super) fn check(&self, rows: usize, columns: usize) {
        let (len, tail) = match self {
            Out::S8(out, requant) => (out.len(), requant.columns() == columns),
            Out::F32(out, s) => {
                (out.len(), s.scale.len() == columns && s.bias.is_none_or(|b| b.len() == columns))
            }
            Out::I32(out) => (out.len(), true),
        };
        assert_eq!(len, rows * columns, "output buffer of {rows} x {columns}");
        assert!(tail, "one multiplier per column");
    }

    /// Finishes `acc`, the accumulators from element `at` (= row * columns + `column`) on.
    #[inline(always)]
    pub(super) fn finish(&mut self, acc: &[i32], at: usize, column: usize) {
        let n = acc.len();
        match self {
            Out::S8(out, requant) => {
                let multipliers = &requant.multipliers()[column..column + n];
                for ((y, &a), &m) in out[at..at + n].iter_mut().zip(acc).zip(multipliers) {
                    *y = requant.fit.store(a as f32 * m);
                }
            }
            Out::F32(out, s) => {
                let out = &mut out[at..at + n];
                for ((y, &a), &m) in out.iter_mut().zip(acc).zip(&s.scale[column..column + n]) {
                    *y = a as f32 * m;
                }
                if let Some(bias) = s.bias {
                    out.iter_mut().zip(&bias[column..column + n]).for_each(|(y, &b)| *y += b);
                }
            }
            Out::I32(out) => out[at..at + n].copy_from_slice(acc),
        }
    }
}
