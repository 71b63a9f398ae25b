//! Float models on inferd beside stock tract, the runtime that inferd runs them on:
//! `cargo run --release --example float_time -- MODEL.onnx…` prints the median time of a run of each,
//! taken in turns on one thread, and their ratio.

use anyhow::Context;
use inferd::engine::{LoadOptions, Model};
use inferd::tensor::{Data, Tensor};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tract_onnx::prelude::*;

const ROUNDS: usize = 15;
const TURN: Duration = Duration::from_millis(200);

fn main() -> anyhow::Result<()> {
    for path in std::env::args_os().skip(1) {
        let model = Model::load(&std::fs::read(&path)?, &LoadOptions::default())?;
        let model = Arc::new(model);
        let [input] = model.inputs() else { anyhow::bail!("a model of one input is wanted") };
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Vec<f32> = (0..input.len()).map(|_| random.f32() * 4.0 - 2.0).collect();

        let inputs = [Tensor { shape: input.shape.clone(), data: Data::F32(noise.clone()) }];
        let mut outputs: Vec<Tensor> =
            model.outputs().iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect();
        let mut session = model.session();

        let stock = tract_onnx::onnx().model_for_path(&path)?;
        let fact = InferenceFact::dt_shape(f32::datum_type(), &input.shape);
        let stock = stock.with_input_fact(0, fact)?.into_optimized()?.into_runnable()?;
        let mut state = stock.spawn()?;
        let value = tract_onnx::prelude::Tensor::from_shape(&input.shape, &noise)?.into_tvalue();

        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(turn(|| Ok(session.run(&inputs, &mut outputs)?))?);
            theirs.push(turn(|| state.run(tvec!(value.clone())).map(drop))?);
        }
        let (ours, theirs) = (median(&mut ours)?, median(&mut theirs)?);
        println!(
            "{:24} inferd {ours:8.2} us  tract {theirs:8.2} us  ratio {:.3}",
            path.to_string_lossy().rsplit('/').next().unwrap_or_default(),
            ours / theirs
        );
    }
    Ok(())
}

/// The median time of the runs that fit a turn, in microseconds.
fn turn(mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < TURN {
        let began = Instant::now();
        run()?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    median(&mut times)
}

fn median(times: &mut [f64]) -> anyhow::Result<f64> {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().context("no time was taken")
}
