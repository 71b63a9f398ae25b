//! Runs a bundle once, on zeros: `cargo run --example run_bundle -- models/motion`.

use std::path::Path;

use anyhow::Context;
use inferd::bundle::Bundle;
use inferd::tensor::Tensor;

fn main() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).context("usage: run_bundle BUNDLE")?;
    // Reads the card and the model, and checks that they match.
    let model = Bundle::open(Path::new(&path))?.model()?;
    let zeros = |spec: &inferd::tensor::TensorSpec| Tensor::zeros(spec.dtype, &spec.shape);
    let inputs: Vec<Tensor> = model.inputs().iter().map(zeros).collect();
    let mut outputs: Vec<Tensor> = model.outputs().iter().map(zeros).collect();
    model.session().run(&inputs, &mut outputs)?;
    for (spec, output) in model.outputs().iter().zip(&outputs) {
        println!("{}: {:?} of shape {:?}", spec.name, output.data, output.shape);
    }
    Ok(())
}
