//! `LabelEncoder` and `ArrayFeatureExtractor`: numbers that select others.

use super::numbers::Numbers;
use crate::each_dtype;
use crate::engine::graph::{Node, TensorData};
use crate::tensor::{Data, Dtype, Tensor};

/// `LabelEncoder` between numbers. Texts have become numbers before.
#[derive(Debug)]
pub(super) struct LabelEncoder {
    keys: Keys,
    /// The value of each key, and at the end that of all others.
    values: Data,
}

/// Keys with their places.
#[derive(Debug)]
enum Keys {
    /// Integers that are close together: the place of each from the lowest on.
    Dense { lowest: i64, places: Vec<usize> },
    /// Sorted integers, or the bits of sorted floats.
    Sorted(Vec<(i64, usize)>),
}

impl LabelEncoder {
    /// The encoder in `node` for an input of `dtype`.
    ///
    /// # Errors
    /// Lists of different lengths or types.
    pub(super) fn of(node: &Node, dtype: Dtype) -> Result<Self, String> {
        let (keys, values) = (side(node, "keys")?, side(node, "values")?);
        if keys.dtype() != dtype {
            let found = keys.dtype();
            return Err(format!("its keys are of type {found}, its input is of type {dtype}"));
        }
        if keys.is_empty() || keys.len() != values.len() {
            let (keys, values) = (keys.len(), values.len());
            return Err(format!("it has {keys} keys and {values} values"));
        }
        let values = with_default(node, values)?;
        let bits: Vec<i64> = match dtype {
            Dtype::F32 | Dtype::F64 => {
                Numbers::Data(&keys).doubles().iter().map(|x| bits(*x)).collect()
            }
            _ => Numbers::Data(&keys).integers().into_owned(),
        };
        Ok(Self { keys: Keys::of(bits), values })
    }

    pub(super) fn dtype(&self) -> Dtype {
        self.values.dtype()
    }

    pub(super) fn run(&self, input: Numbers<'_>, outputs: &mut [Data]) {
        let [output] = outputs else { return };
        let other = self.values.len() - 1;
        let of = |key: i64| self.keys.place(key).unwrap_or(other);
        let places: Vec<usize> = match input.dtype() {
            Dtype::F32 | Dtype::F64 => input.doubles().iter().map(|x| of(bits(*x))).collect(),
            _ => input.integers().iter().map(|x| of(*x)).collect(),
        };
        select(&self.values, &places, output);
    }
}

/// The bits of a float that compare as the float itself does: one zero, one NaN.
fn bits(x: f64) -> i64 {
    let x = match x {
        0.0 => 0.0,
        x if x.is_nan() => f64::NAN,
        x => x,
    };
    x.to_bits().cast_signed()
}

impl Keys {
    /// The first of equal keys counts.
    fn of(keys: Vec<i64>) -> Self {
        let mut sorted: Vec<(i64, usize)> = keys.into_iter().zip(0..).collect();
        sorted.sort_unstable();
        sorted.dedup_by_key(|(key, _)| *key);
        let bounds = sorted.first().zip(sorted.last());
        let range = bounds.and_then(|((low, _), (high, _))| {
            let range = usize::try_from(high.checked_sub(*low)?).ok()?;
            (range <= sorted.len() * 8).then_some((*low, range + 1))
        });
        let Some((lowest, range)) = range else { return Self::Sorted(sorted) };
        let mut places = vec![usize::MAX; range];
        for (key, place) in sorted {
            let at = usize::try_from(key - lowest).ok();
            if let Some(at) = at.and_then(|at| places.get_mut(at)) {
                *at = place;
            }
        }
        Self::Dense { lowest, places }
    }

    fn place(&self, key: i64) -> Option<usize> {
        match self {
            Self::Dense { lowest, places } => {
                let at = usize::try_from(key.checked_sub(*lowest)?).ok()?;
                places.get(at).copied().filter(|place| *place != usize::MAX)
            }
            Self::Sorted(sorted) => {
                let at = sorted.binary_search_by_key(&key, |(key, _)| *key).ok()?;
                sorted.get(at).map(|(_, place)| *place)
            }
        }
    }
}

/// The keys or the values, from whichever attribute has them.
fn side(node: &Node, what: &str) -> Result<Data, String> {
    let ints = node.ints(&format!("{what}_int64s")).filter(|v| !v.is_empty());
    let floats = node.floats(&format!("{what}_floats")).filter(|v| !v.is_empty());
    let tensor = node.tensor(&format!("{what}_tensor")).and_then(TensorData::to_tensor);
    match (ints, floats, tensor) {
        (Some(ints), None, None) => Ok(Data::I64(ints.to_vec())),
        (None, Some(floats), None) => Ok(Data::F32(floats.to_vec())),
        (None, None, Some(Tensor { data, .. })) => Ok(data),
        (None, None, None) => Err(format!("it has no numbers as {what}")),
        _ => Err(format!("it has {what} of two types")),
    }
}

/// Adds the value for keys that are not listed.
fn with_default(node: &Node, mut values: Data) -> Result<Data, String> {
    let default = match node.tensor("default_tensor").map(TensorData::to_tensor) {
        Some(Some(tensor)) if tensor.data.len() == 1 => tensor.data,
        Some(_) => return Err("its default_tensor is not a number".into()),
        None => match values.dtype() {
            Dtype::F32 | Dtype::F64 => Data::F32(vec![node.float("default_float").unwrap_or(-0.0)]),
            _ => Data::I64(vec![node.int("default_int64").unwrap_or(-1)]),
        },
    };
    let mut converted = Data::zeros(values.dtype(), 1);
    Numbers::Data(&default).convert_to(&mut converted);
    append(&mut values, &converted);
    Ok(values)
}

fn append(to: &mut Data, from: &Data) {
    match (to, from) {
        (Data::F32(to), Data::F32(from)) => to.extend_from_slice(from),
        (Data::F64(to), Data::F64(from)) => to.extend_from_slice(from),
        (Data::I8(to), Data::I8(from)) => to.extend_from_slice(from),
        (Data::U8(to), Data::U8(from)) => to.extend_from_slice(from),
        (Data::I16(to), Data::I16(from)) => to.extend_from_slice(from),
        (Data::U16(to), Data::U16(from)) => to.extend_from_slice(from),
        (Data::I32(to), Data::I32(from)) => to.extend_from_slice(from),
        (Data::I64(to), Data::I64(from)) => to.extend_from_slice(from),
        (Data::Bool(to), Data::Bool(from)) => to.extend_from_slice(from),
        _ => {}
    }
}

/// Writes the elements at `places`, all of which exist, to `to` of the same type.
fn select(from: &Data, places: &[usize], to: &mut Data) {
    let picked = |i: &usize| *i;
    match (from, to) {
        (Data::F32(from), Data::F32(to)) => pick(from, places.iter().map(picked), to),
        (Data::F64(from), Data::F64(to)) => pick(from, places.iter().map(picked), to),
        (Data::I8(from), Data::I8(to)) => pick(from, places.iter().map(picked), to),
        (Data::U8(from), Data::U8(to)) => pick(from, places.iter().map(picked), to),
        (Data::I16(from), Data::I16(to)) => pick(from, places.iter().map(picked), to),
        (Data::U16(from), Data::U16(to)) => pick(from, places.iter().map(picked), to),
        (Data::I32(from), Data::I32(to)) => pick(from, places.iter().map(picked), to),
        (Data::I64(from), Data::I64(to)) => pick(from, places.iter().map(picked), to),
        (Data::Bool(from), Data::Bool(to)) => pick(from, places.iter().map(picked), to),
        _ => {}
    }
}

fn pick<T: Copy>(from: &[T], places: impl Iterator<Item = usize>, to: &mut Vec<T>) {
    to.clear();
    to.extend(places.filter_map(|i| from.get(i)).copied());
}

/// `ArrayFeatureExtractor`: the elements of the last axis at given indices.
#[derive(Debug)]
pub(super) struct Extractor {
    /// Length of the last axis.
    width: usize,
    /// Number of indices.
    count: usize,
}

impl Extractor {
    pub(super) fn of(from: &[usize], indices: &[usize]) -> Result<Self, String> {
        let width = from.last().copied().ok_or("it selects from a single number")?;
        match indices.iter().product() {
            0 => Err("it selects nothing".into()),
            count => Ok(Self { width, count }),
        }
    }

    /// The shape of the result: the last axis has a place for each index. A list becomes a row.
    pub(super) fn shape(&self, from: &[usize]) -> Vec<usize> {
        match from.split_last() {
            Some((_, [])) | None => vec![1, self.count],
            Some((_, outer)) => [outer, &[self.count]].concat(),
        }
    }

    /// # Errors
    /// An index out of range.
    pub(super) fn run(
        &self,
        from: Numbers<'_>,
        indices: Numbers<'_>,
        outputs: &mut [Data],
    ) -> Result<(), String> {
        let [output] = outputs else { return Ok(()) };
        let place = |index: &i64| {
            let found = usize::try_from(*index).ok().filter(|i| *i < self.width);
            found.ok_or_else(|| {
                format!("ArrayFeatureExtractor: index {index} of {} elements", self.width)
            })
        };
        let places: Vec<usize> = indices.integers().iter().map(place).collect::<Result<_, _>>()?;
        let rows = output.len() / self.count;
        let all: Vec<usize> =
            (0..rows).flat_map(|row| places.iter().map(move |i| row * self.width + i)).collect();
        match from {
            Numbers::Floats(from) => {
                if let Data::F32(to) = output {
                    pick(from, all.into_iter(), to);
                }
            }
            Numbers::Data(from) => select(from, &all, output),
        }
        let found = each_dtype!(output, v => v.len());
        if found == rows * self.count { Ok(()) } else { Err("a selection is incomplete".into()) }
    }
}
