//! The model's inputs with every dimension fixed.

use super::error::LoadError;
use super::graph::{Dimension, Graph, ValueInfo, element_count};
use super::options::LoadOptions;
use crate::tensor::TensorSpec;
use std::collections::BTreeSet;

/// The specs of the graph's inputs, which are then declared with these shapes in `graph` itself.
/// Inputs that only give initializers a name (IR version 3) are dropped from it.
///
/// # Errors
/// An input that is not a tensor, or of an unsupported type or size.
pub(super) fn fix_inputs(
    graph: &mut Graph,
    options: &LoadOptions,
) -> Result<Vec<TensorSpec>, LoadError> {
    let initialized: BTreeSet<&str> = graph.initializers.iter().map(|i| i.name.as_str()).collect();
    graph.inputs.retain(|i| !initialized.contains(i.name.as_str()));
    let specs: Vec<_> = graph.inputs.iter().map(|i| spec(i, options)).collect::<Result<_, _>>()?;
    for (input, spec) in graph.inputs.iter_mut().zip(&specs) {
        *input = ValueInfo::tensor(&spec.name, spec.dtype.into(), &spec.shape);
    }
    Ok(specs)
}

fn spec(input: &ValueInfo, options: &LoadOptions) -> Result<TensorSpec, LoadError> {
    let refuse = |reason: String| LoadError::Input { name: input.name.clone(), reason };
    let tensor = input.tensor.as_ref().ok_or_else(|| refuse("it is not a tensor".into()))?;
    let dtype = tensor.element.dtype().map_err(refuse)?;
    let shape = tensor.shape.as_ref().ok_or_else(|| refuse("it has no shape".into()))?;
    let fixed = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => usize::try_from(*size).ok().filter(|&v| v > 0).unwrap_or(1),
        Dimension::Named(name) => options.dims.get(name).copied().unwrap_or(1),
        Dimension::Unknown => 1,
    };
    let shape: Vec<usize> = shape.iter().map(fixed).collect();
    element_count(&shape).map_err(refuse)?;
    Ok(TensorSpec { name: input.name.clone(), dtype, shape, quant: None })
}
