//! Golden vectors: inputs with the outputs that the model had where it was made. A model that
//! computes other outputs here is rejected.

use std::sync::Arc;

use super::batched_arrays::{BatchError, BatchedArrays, reals};
use crate::engine::{Model, RunError};
use crate::npz::{self, NpzError};
use crate::tensor::Tensor;

/// The largest unpacked size of golden vectors. A few runs are enough, and every start runs them.
const MAX_UNPACKED_SIZE: u64 = 64 << 20;

/// The reason why golden vectors reject a model.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    #[error("its file cannot be used: {0}")]
    File(#[from] NpzError),
    #[error("they do not fit: {0}")]
    Arrays(#[from] BatchError),
    #[error("array {name:?} is neither an input nor an output of the model")]
    Stranger { name: String },
    #[error("there is no run with an output in them")]
    Nothing,
    #[error("run {run} failed: {source}")]
    Run { run: usize, source: RunError },
    #[error(
        "run {run}, output {output:?}, element {element}: expected {expected}, got {got}; the \
         difference {difference} is over the tolerance {tolerance} ({differing} of {elements} \
         elements of this output are over it)"
    )]
    Differs {
        run: usize,
        output: String,
        element: usize,
        expected: f64,
        got: f64,
        difference: f64,
        tolerance: f64,
        differing: usize,
        elements: usize,
    },
}

/// Runs every golden vector and returns the largest difference of its outputs.
///
/// # Errors
/// An output that differs by more than `tolerance`, or vectors that do not match the model.
pub(super) fn prove(model: &Arc<Model>, bytes: &[u8], tolerance: f64) -> Result<f64, GoldenError> {
    let arrays = npz::read(bytes, MAX_UNPACKED_SIZE)?;
    let (inputs, outputs) = (model.inputs(), model.outputs());
    let known = |name: &String| inputs.iter().chain(outputs).any(|spec| spec.name == *name);
    if let Some(name) = arrays.keys().find(|name| !known(name)) {
        return Err(GoldenError::Stranger { name: name.clone() });
    }
    let given = BatchedArrays::new(&arrays, inputs, "input")?;
    let mut session = model.session();
    let mut results: Vec<_> = outputs.iter().map(|o| Tensor::zeros(o.dtype, &o.shape)).collect();
    // A bundle may leave out outputs that nobody reads.
    let expected = outputs.iter().enumerate().filter(|(_, spec)| arrays.contains_key(&spec.name));
    let expected = expected
        .map(|(place, spec)| {
            let runs = BatchedArrays::new(&arrays, std::slice::from_ref(spec), "output")?;
            let (found, wanted) = (runs.count(), given.count());
            let other = || BatchError::Count { name: spec.name.clone(), found, wanted };
            if found == wanted { Ok((place, runs)) } else { Err(other()) }
        })
        .collect::<Result<Vec<_>, _>>()?;
    if given.count() == 0 || expected.is_empty() {
        return Err(GoldenError::Nothing);
    }
    let mut worst = 0.0_f64;
    for run in 0..given.count() {
        let failed = |source| GoldenError::Run { run, source };
        session.run(&given.run(run), &mut results).map_err(failed)?;
        for (place, runs) in &expected {
            let (Some(got), Some(spec)) = (results.get(*place), outputs.get(*place)) else {
                continue;
            };
            for expected in runs.run(run) {
                let difference = compare(run, &spec.name, &expected, got, tolerance)?;
                worst = worst.max(difference);
            }
        }
    }
    Ok(worst)
}

/// Checks that the file can be read, without a model.
pub(super) fn check_file(bytes: &[u8]) -> Result<(), GoldenError> {
    npz::read(bytes, MAX_UNPACKED_SIZE).map(drop).map_err(GoldenError::from)
}

/// Returns the inputs of every golden vector.
pub(super) fn inputs(model: &Model, bytes: &[u8]) -> Result<Vec<Vec<Tensor>>, GoldenError> {
    let arrays = npz::read(bytes, MAX_UNPACKED_SIZE)?;
    let given = BatchedArrays::new(&arrays, model.inputs(), "input")?;
    Ok((0..given.count()).map(|run| given.run(run)).collect())
}

fn compare(
    run: usize,
    output: &str,
    expected: &Tensor,
    got: &Tensor,
    tolerance: f64,
) -> Result<f64, GoldenError> {
    let (expected, got) = (reals(&expected.data), reals(&got.data));
    let difference = |(e, g): (&f64, &f64)| {
        // Equal infinities and equal NaNs are no difference; any other comparison with them is.
        let same = e == g || (e.is_nan() && g.is_nan());
        let apart = (e - g).abs();
        if same { 0.0 } else { if apart.is_nan() { f64::INFINITY } else { apart } }
    };
    let differences: Vec<f64> = expected.iter().zip(&got).map(difference).collect();
    let differing = differences.iter().filter(|&&difference| difference > tolerance).count();
    let worst = differences.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
    let Some((element, &difference)) = worst else { return Ok(0.0) };
    if differing == 0 {
        return Ok(difference);
    }
    Err(GoldenError::Differs {
        run,
        output: output.to_owned(),
        element,
        expected: expected.get(element).copied().unwrap_or(f64::NAN),
        got: got.get(element).copied().unwrap_or(f64::NAN),
        difference,
        tolerance,
        differing,
        elements: expected.len(),
    })
}
