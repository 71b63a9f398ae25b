//! Batched arrays: the leading axis has one element for each run of a model.
//!
//! They are the input and output of `infer` and the form of golden vectors.

use crate::npz::Arrays;
use crate::tensor::{Data, Dtype, Tensor, TensorSpec};

/// The reason why arrays do not match a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("no array {name:?}: {role} {name:?} of the model needs one; there are: {found}")]
    Missing { role: &'static str, name: String, found: String },
    #[error("array {name:?} has {found} elements, the model has {wanted}: convert it")]
    Dtype { name: String, found: Dtype, wanted: Dtype },
    #[error("array {name:?} has the shape {found:?}; N runs have [N, {}]", axes(.wanted))]
    Shape { name: String, found: Vec<usize>, wanted: Vec<usize> },
    #[error("array {name:?} has {found} runs, the others have {wanted}")]
    Count { name: String, found: usize, wanted: usize },
}

fn axes(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// One array for each input (or output) of a model, in its order and checked against it.
#[derive(Debug)]
pub struct BatchedArrays<'a> {
    arrays: Vec<&'a Tensor>,
    specs: &'a [TensorSpec],
    count: usize,
}

impl<'a> BatchedArrays<'a> {
    /// Selects the arrays named after `specs`. If the first axis of the model is 1, the runs may
    /// take its place.
    ///
    /// # Errors
    /// An array that is missing or of another type, shape or number of runs.
    pub fn new(
        arrays: &'a Arrays,
        specs: &'a [TensorSpec],
        role: &'static str,
    ) -> Result<Self, BatchError> {
        let mut count = None;
        let mut picked = Vec::with_capacity(specs.len());
        for spec in specs {
            let name = spec.name.clone();
            let Some(array) = arrays.get(&name) else {
                let found = arrays.keys().cloned().collect::<Vec<_>>().join(", ");
                return Err(BatchError::Missing { role, name, found });
            };
            let runs = runs(array, spec)?;
            let wanted = *count.get_or_insert(runs);
            if runs != wanted {
                return Err(BatchError::Count { name, found: runs, wanted });
            }
            picked.push(array);
        }
        Ok(Self { arrays: picked, specs, count: count.unwrap_or(0) })
    }

    /// Returns the number of runs.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the tensors of run `index`, one for each spec.
    #[must_use]
    pub fn run(&self, index: usize) -> Vec<Tensor> {
        let one = |(array, spec): (&&Tensor, &TensorSpec)| Tensor {
            shape: spec.shape.clone(),
            data: slice(&array.data, index, spec.len()),
        };
        self.arrays.iter().zip(self.specs).map(one).collect()
    }
}

fn runs(array: &Tensor, spec: &TensorSpec) -> Result<usize, BatchError> {
    let name = || spec.name.clone();
    if array.dtype() != spec.dtype {
        let (found, wanted) = (array.dtype(), spec.dtype);
        return Err(BatchError::Dtype { name: name(), found, wanted });
    }
    let without_batch = spec.shape.strip_prefix(&[1]).unwrap_or(&spec.shape);
    match array.shape.split_first() {
        Some((&runs, rest)) if rest == spec.shape || rest == without_batch => Ok(runs),
        _ => {
            let (found, wanted) = (array.shape.clone(), spec.shape.clone());
            Err(BatchError::Shape { name: name(), found, wanted })
        }
    }
}

fn slice(data: &Data, index: usize, length: usize) -> Data {
    let start = index.saturating_mul(length);
    macro_rules! cut {
        ($($variant:ident),*) => {
            match data {
                $(Data::$variant(v) => Data::$variant(
                    v.get(start..start.saturating_add(length)).unwrap_or_default().to_vec(),
                ),)*
            }
        };
    }
    cut!(F32, F64, I8, U8, I16, U16, I32, I64, Bool)
}

/// The outputs of all runs, collected one run after the other.
#[derive(Debug)]
pub struct BatchedOutputs {
    arrays: Vec<(String, Tensor)>,
}

impl BatchedOutputs {
    /// Creates empty arrays for the outputs of a model.
    #[must_use]
    pub fn new(specs: &[TensorSpec]) -> Self {
        let empty = |spec: &TensorSpec| {
            let shape = [&[0], &*spec.shape].concat();
            (spec.name.clone(), Tensor::zeros(spec.dtype, &shape))
        };
        Self { arrays: specs.iter().map(empty).collect() }
    }

    /// Appends the outputs of a run.
    pub fn push(&mut self, outputs: &[Tensor]) {
        for ((_, array), output) in self.arrays.iter_mut().zip(outputs) {
            append(&mut array.data, &output.data);
            if let Some(runs) = array.shape.first_mut() {
                *runs += 1;
            }
        }
    }

    /// Iterates over the arrays by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.arrays.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

fn append(all: &mut Data, more: &Data) {
    macro_rules! joined {
        ($($variant:ident),*) => {
            match (all, more) {
                $((Data::$variant(all), Data::$variant(more)) => all.extend_from_slice(more),)*
                (all, more) => debug_assert_eq!(all.dtype(), more.dtype()),
            }
        };
    }
    joined!(F32, F64, I8, U8, I16, U16, I32, I64, Bool);
}

/// Returns the elements as real numbers, for comparison.
pub(crate) fn reals(data: &Data) -> Vec<f64> {
    match data {
        Data::Bool(v) => v.iter().map(|&x| f64::from(u8::from(x))).collect(),
        #[expect(clippy::cast_precision_loss, reason = "labels and counts are far below 2^53")]
        Data::I64(v) => v.iter().map(|&x| x as f64).collect(),
        Data::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
        Data::F64(v) => v.clone(),
        Data::I8(v) => v.iter().map(|&x| f64::from(x)).collect(),
        Data::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
        Data::I16(v) => v.iter().map(|&x| f64::from(x)).collect(),
        Data::U16(v) => v.iter().map(|&x| f64::from(x)).collect(),
        Data::I32(v) => v.iter().map(|&x| f64::from(x)).collect(),
    }
}
