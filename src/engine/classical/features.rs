//! Operators on single features: `Scaler`, `Normalizer`, `Imputer`, `Binarizer`, `OneHotEncoder`,
//! `FeatureVectorizer`.

use super::numbers::Numbers;
use super::rows::Rows;
use crate::engine::graph::Node;
use crate::tensor::{Data, Dtype};

/// `(x - offset) * scale`
#[derive(Debug)]
pub(super) struct Scaler {
    offsets: Vec<f32>,
    scales: Vec<f32>,
}

impl Scaler {
    pub(super) fn of(node: &Node, columns: usize) -> Result<Self, String> {
        let list = |name: &str| match node.floats(name).unwrap_or_default() {
            &[one] => Ok(vec![one; columns]),
            all if all.len() == columns => Ok(all.to_vec()),
            other => {
                let count = other.len();
                Err(format!("it has {count} numbers in {name} for {columns} features"))
            }
        };
        Ok(Self { offsets: list("offset")?, scales: list("scale")? })
    }

    pub(super) fn run(&self, input: Numbers<'_>, outputs: &mut [Data]) {
        let [Data::F32(to)] = outputs else { return };
        let width = self.offsets.len();
        let factors = || self.offsets.iter().zip(&self.scales);
        if input.dtype() == Dtype::F64 {
            let input = input.doubles();
            for (row, to) in input.chunks_exact(width).zip(to.chunks_exact_mut(width)) {
                for ((to, x), (offset, scale)) in to.iter_mut().zip(row).zip(factors()) {
                    #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
                    let scaled = ((x - f64::from(*offset)) * f64::from(*scale)) as f32;
                    *to = scaled;
                }
            }
            return;
        }
        let input = input.floats();
        for (row, to) in input.chunks_exact(width).zip(to.chunks_exact_mut(width)) {
            for ((to, x), (offset, scale)) in to.iter_mut().zip(row).zip(factors()) {
                *to = (x - offset) * scale;
            }
        }
    }
}

/// Divides each row by its largest number, the sum of its absolute values, or its length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Normalizer {
    Max,
    L1,
    L2,
}

impl Normalizer {
    pub(super) fn of(node: &Node) -> Result<Self, String> {
        match node.text("norm").unwrap_or("MAX") {
            "MAX" => Ok(Self::Max),
            "L1" => Ok(Self::L1),
            "L2" => Ok(Self::L2),
            other => Err(format!("its norm = {other:?} is unknown")),
        }
    }

    pub(super) fn run(self, input: Numbers<'_>, rows: Rows, outputs: &mut [Data]) {
        let [Data::F32(to)] = outputs else { return };
        let input = input.floats();
        let rows = input.chunks_exact(rows.columns).zip(to.chunks_exact_mut(rows.columns));
        for (row, to) in rows {
            let by = match self {
                Self::Max => row.iter().copied().fold(f32::MIN, f32::max),
                Self::L1 => row.iter().map(|x| x.abs()).sum(),
                Self::L2 => row.iter().map(|x| x * x).sum::<f32>().sqrt(),
            };
            // A row of zeros stays as it is.
            let by = if by == 0.0 { 1.0 } else { by };
            to.iter_mut().zip(row).for_each(|(to, x)| *to = x / by);
        }
    }
}

/// Replaces a number that stands for a missing one.
#[derive(Debug)]
pub(super) enum Imputer {
    Reals { missing: f64, by: Vec<f64> },
    Whole { missing: i64, by: Vec<i64> },
}

impl Imputer {
    pub(super) fn of(node: &Node, dtype: Dtype, columns: usize) -> Result<Self, String> {
        fn each<T: Copy>(values: &[T], columns: usize) -> Result<Vec<T>, String> {
            match values {
                &[one] => Ok(vec![one; columns]),
                all if all.len() == columns => Ok(all.to_vec()),
                other => {
                    let count = other.len();
                    Err(format!("it has {count} numbers to impute for {columns} features"))
                }
            }
        }
        match dtype {
            Dtype::F32 | Dtype::F64 => {
                let by = node.floats("imputed_value_floats").unwrap_or_default();
                let missing = f64::from(node.float("replaced_value_float").unwrap_or(0.0));
                let by: Vec<f64> = by.iter().map(|&x| f64::from(x)).collect();
                Ok(Self::Reals { missing, by: each(&by, columns)? })
            }
            _ => {
                let by = node.ints("imputed_value_int64s").unwrap_or_default();
                let missing = node.int("replaced_value_int64").unwrap_or(0);
                Ok(Self::Whole { missing, by: each(by, columns)? })
            }
        }
    }

    pub(super) fn run(&self, input: Numbers<'_>, outputs: &mut [Data]) {
        let [output] = outputs else { return };
        match self {
            Self::Reals { missing, by } => {
                let mut values = input.doubles().into_owned();
                for row in values.chunks_exact_mut(by.len()) {
                    for (x, by) in row.iter_mut().zip(by) {
                        if x == missing || (x.is_nan() && missing.is_nan()) {
                            *x = *by;
                        }
                    }
                }
                Numbers::Data(&Data::F64(values)).convert_to(output);
            }
            Self::Whole { missing, by } => {
                let mut values = input.integers().into_owned();
                for row in values.chunks_exact_mut(by.len()) {
                    for (x, by) in row.iter_mut().zip(by) {
                        if x == missing {
                            *x = *by;
                        }
                    }
                }
                Numbers::Data(&Data::I64(values)).convert_to(output);
            }
        }
    }
}

/// 1 for numbers above a threshold, 0 for others.
#[derive(Debug)]
pub(super) struct Binarizer {
    threshold: f64,
}

impl Binarizer {
    pub(super) fn of(node: &Node) -> Self {
        Self { threshold: f64::from(node.float("threshold").unwrap_or(0.0)) }
    }

    pub(super) fn run(&self, input: Numbers<'_>, outputs: &mut [Data]) -> Result<(), String> {
        let [output] = outputs else { return Ok(()) };
        let input = input.doubles();
        if let Some(place) = input.iter().position(|x| x.is_nan()) {
            return Err(format!("Binarizer: number {place} of its input is NaN"));
        }
        let above = input.iter().map(|x| *x > self.threshold).collect();
        Numbers::Data(&Data::Bool(above)).convert_to(output);
        Ok(())
    }
}

/// A row of zeros with a 1 at the place of the category.
#[derive(Debug)]
pub(super) struct OneHotEncoder {
    /// Categories with their places, sorted.
    places: Vec<(i64, usize)>,
    zeros: bool,
}

impl OneHotEncoder {
    pub(super) fn of(node: &Node) -> Result<Self, String> {
        let categories = node.ints("cats_int64s").unwrap_or_default();
        if categories.is_empty() {
            return Err("its categories are not numbers: encode texts before the model, for \
                        example with output.labels of another card, or leave them out"
                .into());
        }
        let mut places: Vec<_> = categories.iter().copied().zip(0..).collect();
        places.sort_unstable();
        let mut pairs = places.iter().zip(places.iter().skip(1));
        if let Some(((twice, _), _)) = pairs.find(|(a, b)| a.0 == b.0) {
            return Err(format!("its category {twice} is listed twice"));
        }
        Ok(Self { places, zeros: node.int("zeros").unwrap_or(1) != 0 })
    }

    pub(super) fn width(&self) -> usize {
        self.places.len()
    }

    pub(super) fn run(&self, input: Numbers<'_>, outputs: &mut [Data]) -> Result<(), String> {
        let [Data::F32(to)] = outputs else { return Ok(()) };
        to.fill(0.0);
        let reals = matches!(input.dtype(), Dtype::F32 | Dtype::F64).then(|| input.doubles());
        let missing = |i: usize| reals.as_ref().and_then(|r| r.get(i)).is_some_and(|x| x.is_nan());
        for (i, (x, to)) in
            input.integers().iter().zip(to.chunks_exact_mut(self.places.len())).enumerate()
        {
            let found = self.places.binary_search_by_key(x, |(category, _)| *category).ok();
            let place = found.filter(|_| !missing(i)).and_then(|at| self.places.get(at));
            match place.and_then(|(_, place)| to.get_mut(*place)) {
                Some(place) => *place = 1.0,
                None if self.zeros => {}
                None => return Err(format!("OneHotEncoder: {x} is not one of its categories")),
            }
        }
        Ok(())
    }
}

/// Joins the features of several inputs.
#[derive(Debug)]
pub(super) struct FeatureVectorizer {
    widths: Vec<usize>,
}

impl FeatureVectorizer {
    pub(super) fn of(node: &Node, inputs: &[Rows]) -> Result<Self, String> {
        let widths: Vec<usize> = inputs.iter().map(|rows| rows.columns).collect();
        let given = node.ints("inputdimensions").unwrap_or_default();
        let same = given.iter().map(|&w| usize::try_from(w).ok());
        if !same.eq(widths.iter().copied().map(Some)) {
            return Err(format!(
                "its inputdimensions are {given:?}, its inputs have {widths:?} features"
            ));
        }
        let rows = |(a, b): (&Rows, &Rows)| a.rows == b.rows;
        if !inputs.iter().zip(inputs.iter().skip(1)).all(rows) {
            return Err("its inputs have different numbers of rows".into());
        }
        Ok(Self { widths })
    }

    pub(super) fn width(&self) -> usize {
        self.widths.iter().sum()
    }

    pub(super) fn run(&self, inputs: &[Numbers<'_>], outputs: &mut [Data]) {
        let [Data::F32(to)] = outputs else { return };
        let total = self.width();
        let mut start = 0;
        for (input, width) in inputs.iter().zip(&self.widths) {
            let input = input.floats();
            for (row, to) in input.chunks_exact(*width).zip(to.chunks_exact_mut(total)) {
                if let Some(to) = to.get_mut(start..start + width) {
                    to.copy_from_slice(row);
                }
            }
            start += width;
        }
    }
}
