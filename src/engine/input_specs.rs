//! The model's inputs with every dimension fixed.

use super::error::LoadError;
use super::graph::{Dimension, Graph, TensorData, ValueInfo, element_count};
use super::options::LoadOptions;
use crate::tensor::{Data, Dtype, Tensor, TensorSpec};
use std::collections::{BTreeMap, BTreeSet};

/// The specs of the graph's inputs, which are then declared with these shapes in `graph` itself.
/// Inputs that only give initializers a name (IR version 3) are dropped from it, and inputs with
/// constant values become initializers.
///
/// # Errors
/// An input that is not a tensor, or of an unsupported type or size; an option for an input or a
/// dimension that the model does not have.
pub(super) fn fix_inputs(
    graph: &mut Graph,
    options: &LoadOptions,
) -> Result<Vec<TensorSpec>, LoadError> {
    let initialized: BTreeSet<&str> = graph.initializers.iter().map(|i| i.name.as_str()).collect();
    graph.inputs.retain(|i| !initialized.contains(i.name.as_str()));
    check_names(graph, options)?;
    let specs: Vec<_> = graph.inputs.iter().map(|i| spec(i, options)).collect::<Result<_, _>>()?;
    graph.inputs.clear();
    let mut open = Vec::new();
    for spec in specs {
        match options.constants.get(&spec.name) {
            Some(values) => graph.initializers.push(constant(&spec, values)?),
            None => {
                graph.inputs.push(ValueInfo::tensor(&spec.name, spec.dtype.into(), &spec.shape));
                open.push(spec);
            }
        }
    }
    Ok(open)
}

fn spec(input: &ValueInfo, options: &LoadOptions) -> Result<TensorSpec, LoadError> {
    let refuse = |reason: String| LoadError::Input { name: input.name.clone(), reason };
    let tensor = input.tensor.as_ref().ok_or_else(|| refuse("it is not a tensor".into()))?;
    let dtype = tensor.element.dtype().map_err(refuse)?;
    let shape = tensor.shape.as_ref().ok_or_else(|| refuse("it has no shape".into()))?;
    let fixed = |(axis, dimension): (usize, &Dimension)| match dimension {
        Dimension::Fixed(size) if *size > 0 => usize::try_from(*size).unwrap_or(usize::MAX),
        Dimension::Named(name) if !name.is_empty() => options.dims.get(name).copied().unwrap_or(1),
        _ => options.dims.get(&position(input, axis)).copied().unwrap_or(1),
    };
    let shape: Vec<usize> = shape.iter().enumerate().map(fixed).collect();
    element_count(&shape).map_err(refuse)?;
    Ok(TensorSpec { name: input.name.clone(), dtype, shape, quant: None })
}

/// The name of a dimension without one.
fn position(input: &ValueInfo, axis: usize) -> String {
    format!("{}[{axis}]", input.name)
}

/// The dimensions that the inputs leave open, by name or position.
pub(super) fn open_dimensions(graph: &Graph) -> BTreeSet<String> {
    let of_input = |input: &ValueInfo| -> Vec<String> {
        let shape = input.tensor.as_ref().and_then(|tensor| tensor.shape.as_ref());
        let open = |(axis, dimension): (usize, &Dimension)| match dimension {
            Dimension::Fixed(size) if *size > 0 => None,
            Dimension::Named(name) if !name.is_empty() => Some(name.clone()),
            _ => Some(position(input, axis)),
        };
        shape.into_iter().flatten().enumerate().filter_map(open).collect()
    };
    graph.inputs.iter().flat_map(of_input).collect()
}

/// Refuses options for dimensions and inputs that the model does not have.
fn check_names(graph: &Graph, options: &LoadOptions) -> Result<(), LoadError> {
    let dims = open_dimensions(graph);
    let inputs: BTreeSet<String> = graph.inputs.iter().map(|i| i.name.clone()).collect();
    fn unknown<V>(given: &BTreeMap<String, V>, known: &BTreeSet<String>) -> Option<String> {
        given.keys().find(|name| !known.contains(*name)).cloned()
    }
    let listed = |known: &BTreeSet<String>| match known.len() {
        0 => "none".to_owned(),
        _ => known.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
    };
    if let Some(name) = unknown(&options.dims, &dims) {
        return Err(LoadError::Dimension { name, known: listed(&dims) });
    }
    match unknown(&options.constants, &inputs) {
        Some(name) => Err(LoadError::Input {
            name,
            reason: format!("the model does not have it; its inputs: {}", listed(&inputs)),
        }),
        None => Ok(()),
    }
}

/// The constant in place of an input.
fn constant(spec: &TensorSpec, values: &[f64]) -> Result<TensorData, LoadError> {
    let refuse = |reason: String| LoadError::Input { name: spec.name.clone(), reason };
    let count = spec.len();
    let values = match values {
        [one] => vec![*one; count],
        values if values.len() == count => values.to_vec(),
        values => {
            let (found, shape) = (values.len(), &spec.shape);
            return Err(refuse(format!("{found} constant values for its shape {shape:?}")));
        }
    };
    let data = data(spec.dtype, &values).map_err(refuse)?;
    let tensor = Tensor { shape: spec.shape.clone(), data };
    Ok(TensorData::from_tensor(spec.name.clone(), &tensor))
}

/// The largest number up to which a double has every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[expect(clippy::cast_possible_truncation, reason = "whole numbers in range, or the nearest float")]
fn data(dtype: Dtype, values: &[f64]) -> Result<Data, String> {
    let whole = |min: f64, max: f64| -> Result<Vec<i64>, String> {
        let fits = |x: f64| x.fract() == 0.0 && (min..=max).contains(&x);
        match values.iter().find(|x| !fits(**x)) {
            Some(x) => Err(format!("its constant value {x} is no {dtype}")),
            None => Ok(values.iter().map(|&x| x as i64).collect()),
        }
    };
    macro_rules! integers {
        ($variant:ident, $type:ty) => {{
            let all = whole(<$type>::MIN.into(), <$type>::MAX.into())?;
            Data::$variant(all.into_iter().filter_map(|x| <$type>::try_from(x).ok()).collect())
        }};
    }
    Ok(match dtype {
        Dtype::F32 => Data::F32(values.iter().map(|&x| x as f32).collect()),
        Dtype::F64 => Data::F64(values.to_vec()),
        Dtype::I8 => integers!(I8, i8),
        Dtype::U8 => integers!(U8, u8),
        Dtype::I16 => integers!(I16, i16),
        Dtype::U16 => integers!(U16, u16),
        Dtype::I32 => integers!(I32, i32),
        Dtype::I64 => Data::I64(whole(-EXACT, EXACT)?),
        Dtype::Bool => Data::Bool(whole(0.0, 1.0)?.into_iter().map(|x| x != 0).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::TensorType;

    fn graph() -> Graph {
        let input = |name: &str, element: Dtype, shape: Vec<Dimension>| ValueInfo {
            name: name.into(),
            tensor: Some(TensorType { element: element.into(), shape: Some(shape) }),
        };
        let open = vec![Dimension::Named("batch".into()), Dimension::Unknown, Dimension::Fixed(3)];
        let inputs = vec![input("x", Dtype::F32, open), input("sr", Dtype::I64, vec![])];
        Graph { inputs, ..Graph::default() }
    }

    fn fixed(dims: &[(&str, usize)], constants: &[(&str, f64)]) -> Result<Graph, String> {
        let mut graph = graph();
        let options = LoadOptions {
            dims: dims.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect(),
            constants: constants.iter().map(|(n, value)| ((*n).to_owned(), vec![*value])).collect(),
            folder: None,
        };
        fix_inputs(&mut graph, &options).map_err(|error| error.to_string())?;
        Ok(graph)
    }

    #[test]
    fn dimensions_are_fixed_by_name_and_by_position() {
        let graph = fixed(&[("batch", 2), ("x[1]", 5)], &[]).unwrap();
        let expected = ValueInfo::tensor("x", Dtype::F32.into(), &[2, 5, 3]);
        assert_eq!(graph.inputs[0], expected);
        assert_eq!(graph.inputs.len(), 2);
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let refusal = fixed(&[("time", 2)], &[]).unwrap_err();
        assert!(
            refusal.contains("\"time\"") && refusal.contains("\"batch\", \"x[1]\""),
            "{refusal}"
        );
        // The size of this dimension is in the model.
        assert!(fixed(&[("x[2]", 2)], &[]).is_err());
        let refusal = fixed(&[], &[("rate", 1.0)]).unwrap_err();
        assert!(refusal.contains("\"rate\"") && refusal.contains("\"sr\", \"x\""), "{refusal}");
    }

    #[test]
    fn constant_inputs_become_constants_of_their_type() {
        let graph = fixed(&[], &[("sr", 16000.0)]).unwrap();
        assert_eq!(graph.inputs.len(), 1);
        let tensor = graph.initializers[0].to_tensor().unwrap();
        assert_eq!(tensor, Tensor { shape: vec![], data: Data::I64(vec![16000]) });
        assert!(fixed(&[], &[("sr", 0.5)]).unwrap_err().contains("0.5 is no"));
    }
}
