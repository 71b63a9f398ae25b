//! Whole models: bytes to results.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "small numbers, chosen here"
)]

mod attributes;
mod classical;
mod classifiers;
mod conv_transpose;
mod exact;
mod exported;
mod facts;
mod float;
mod float_kernels;
mod generate;
mod hostile;
mod lowering;
mod model;
mod mutants;
mod onnx;
mod operators;
mod random;
mod recurrent;
mod reference;
mod rewritten;
mod same_bits;
#[cfg(feature = "tflite")]
mod tflite;
mod trees;
mod wild;
mod words;

use super::{LoadError, LoadOptions, Model};
use crate::tensor::{Data, Tensor};
use std::sync::Arc;

fn load(bytes: &[u8]) -> Result<Arc<Model>, LoadError> {
    Model::load(bytes, &LoadOptions::default()).map(Arc::new)
}

fn refusal(bytes: &[u8]) -> String {
    load(bytes).unwrap_err().to_string()
}

/// Loads, runs once, returns the outputs.
fn run(bytes: &[u8], inputs: &[Data]) -> Vec<Tensor> {
    let model = load(bytes).unwrap();
    run_model(&model, inputs)
}

fn run_model(model: &Arc<Model>, inputs: &[Data]) -> Vec<Tensor> {
    let tensors = model.inputs().iter().zip(inputs);
    let tensors: Vec<_> =
        tensors.map(|(s, d)| Tensor { shape: s.shape.clone(), data: d.clone() }).collect();
    let mut outputs: Vec<_> =
        model.outputs().iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect();
    model.session().run(&tensors, &mut outputs).unwrap();
    same_bits::check_again(model, &tensors, &outputs);
    outputs
}
