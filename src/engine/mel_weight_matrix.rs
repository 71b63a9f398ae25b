//! `MelWeightMatrix` as the constant that it is. The float runtime computes other bins than ONNX
//! defines (it divides by 2596 where the definition has 2595), so it never sees the operator.

use std::collections::BTreeMap;

use super::error::LoadError;
use super::graph::{AttributeValue, Graph, MAX_TENSOR_ELEMENTS, Node, TensorData, integers, reals};
use crate::tensor::{Data, Tensor};

/// ONNX's number of the element type f32.
const FLOAT: i64 = 1;
const DOUBLE: i64 = 11;

/// Replaces each `MelWeightMatrix` by a constant.
///
/// # Errors
/// Inputs that are not constants of the graph or do not make a matrix, or another element type than
/// f32 and f64.
pub(super) fn fold(graph: &mut Graph) -> Result<(), LoadError> {
    fold_below(graph, &BTreeMap::new())
}

fn fold_below(graph: &mut Graph, outer: &BTreeMap<String, f64>) -> Result<(), LoadError> {
    let mut known = outer.clone();
    let named = graph.nodes.iter().filter_map(constant);
    let initial = graph.initializers.iter().map(|it| (it.name.clone(), single(it)));
    let constants: Vec<_> = initial.chain(named).collect();
    known.extend(constants.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let mut nodes = Vec::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        for inner in node.subgraphs_mut() {
            fold_below(inner, &known)?;
        }
        if node.op == "MelWeightMatrix" {
            graph.initializers.push(matrix(&node, &known)?);
        } else {
            nodes.push(node);
        }
    }
    graph.nodes = nodes;
    Ok(())
}

/// What a `Constant` node makes, if it is a number.
fn constant(node: &Node) -> Option<(String, Option<f64>)> {
    if node.op != "Constant" {
        return None;
    }
    let value = node.tensor("value").and_then(single);
    let whole = node.int("value_int").map(|value| value as f64);
    let value = value.or(whole).or(node.float("value_float").map(f64::from));
    Some((node.outputs.first()?.clone(), value))
}

/// The number in a tensor of one element.
fn single(data: &TensorData) -> Option<f64> {
    if !data.is_single() {
        return None;
    }
    let tensor = data.to_tensor()?;
    let whole = || Some(*integers(&tensor)?.first()? as f64);
    reals(&tensor).and_then(|reals| reals.first().copied()).or_else(whole)
}

/// Sizes and frequencies of a matrix.
struct Mel {
    filters: usize,
    dft_length: usize,
    sample_rate: f64,
    lower: f64,
    upper: f64,
}

impl Mel {
    fn read(node: &Node, known: &BTreeMap<String, f64>) -> Result<Self, LoadError> {
        let names = ["num_mel_bins", "dft_length", "sample_rate", "lower_edge", "upper_edge"];
        let mut values = [0.0; 5];
        for ((index, name), value) in names.iter().enumerate().zip(&mut values) {
            let found = known.get(node.input(index)).copied();
            *value = found.ok_or_else(|| node.refusal(format!("{name} is not a constant")))?;
        }
        let [filters, dft_length, sample_rate, lower, upper] = values;
        let most = MAX_TENSOR_ELEMENTS as f64;
        let is_size = |size: f64| size.fract() == 0.0 && (1.0..=most).contains(&size);
        let in_order = lower >= 0.0 && lower < upper && upper <= sample_rate / 2.0;
        if !is_size(filters) || !is_size(dft_length) || !in_order {
            let found = format!("{filters} bins, a DFT of {dft_length}, {lower} to {upper} Hz");
            let reason = format!("{found} at {sample_rate} Hz are no sizes and frequencies");
            return Err(node.refusal(reason));
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        #[expect(clippy::cast_sign_loss, reason = "checked to be from 1")]
        let (filters, dft_length) = (filters as usize, dft_length as usize);
        if filters.saturating_mul(dft_length / 2 + 1) > MAX_TENSOR_ELEMENTS {
            return Err(node.refusal("the matrix is too large"));
        }
        Ok(Self { filters, dft_length, sample_rate, lower, upper })
    }

    /// The bins between which filters rise and fall: `filters + 2`, as the definition has it (whose
    /// step reaches the upper edge one bin late).
    #[expect(clippy::cast_possible_truncation, reason = "bins are below the length of the DFT")]
    #[expect(clippy::cast_sign_loss, reason = "frequencies are not negative")]
    fn corners(&self) -> Vec<usize> {
        let mel = |hz: f64| 2595.0 * libm::log10(1.0 + hz / 700.0);
        let (low, count) = (mel(self.lower), self.filters + 2);
        let step = (mel(self.upper) - low) / count as f64;
        let corner = |place: usize| {
            let hz = 700.0 * (libm::pow(10.0, (place as f64 * step + low) / 2595.0) - 1.0);
            ((self.dft_length + 1) as f64 * hz / self.sample_rate).floor() as usize
        };
        (0..count).map(corner).collect()
    }

    /// The weights of each filter, bin by bin.
    fn weights(&self) -> Vec<f64> {
        let corners = self.corners();
        let weight = |bin: usize, [lower, center, higher]: [usize; 3]| {
            let share = |part: usize, whole: usize| part as f64 / whole as f64;
            if bin >= center && bin < higher {
                share(higher - bin, higher - center)
            } else if bin == center {
                1.0
            } else if bin >= lower && bin < center {
                share(bin - lower, center - lower)
            } else {
                0.0
            }
        };
        let filters: Vec<[usize; 3]> =
            corners.windows(3).filter_map(|it| it.try_into().ok()).collect();
        let bins = 0..self.dft_length / 2 + 1;
        bins.flat_map(|bin| filters.iter().map(move |it| weight(bin, *it))).collect()
    }
}

fn matrix(node: &Node, known: &BTreeMap<String, f64>) -> Result<TensorData, LoadError> {
    let mel = Mel::read(node, known)?;
    let weights = mel.weights();
    let data = match node.attribute("output_datatype") {
        None | Some(AttributeValue::Int(FLOAT)) => {
            #[expect(clippy::cast_possible_truncation, reason = "rounded to the element type")]
            let weights = weights.iter().map(|weight| *weight as f32);
            Data::F32(weights.collect())
        }
        Some(AttributeValue::Int(DOUBLE)) => Data::F64(weights),
        Some(other) => {
            let reason = format!("output_datatype is {other:?}, and f32 and f64 are made");
            return Err(node.refusal(reason));
        }
    };
    let shape = vec![mel.dft_length / 2 + 1, mel.filters];
    let name = node.outputs.first().cloned().unwrap_or_default();
    Ok(TensorData::from_tensor(name, &Tensor { shape, data }))
}
