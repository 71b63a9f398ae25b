//! Times models: `cargo run --release --example engine_time -- MODEL.onnx…` prints, for each, the
//! time to load it, and the median and the least time of a run on one thread.

use inferd::engine::{LoadOptions, Model};
use inferd::tensor::{Data, Tensor, TensorSpec};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    for path in std::env::args_os().skip(1) {
        let bytes = std::fs::read(&path)?;
        let began = Instant::now();
        let model = Arc::new(Model::load(&bytes, &LoadOptions::default())?);
        let load = began.elapsed();
        let inputs: Vec<Tensor> = model.inputs().iter().map(noise).collect();
        let mut outputs: Vec<Tensor> =
            model.outputs().iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect();
        let mut session = model.session();
        let mut times = Vec::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) || times.len() < 20 {
            let began = Instant::now();
            session.run(&inputs, &mut outputs)?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        let least = times.first().copied().unwrap_or_default();
        let (name, counts) = (path.to_string_lossy(), model.nodes());
        println!(
            "{:24} load {:7.2} ms  median {:8.2} us  least {:8.2} us  integer {} float {}",
            name.rsplit('/').next().unwrap_or(&name),
            load.as_secs_f64() * 1e3,
            median.as_secs_f64() * 1e6,
            least.as_secs_f64() * 1e6,
            counts.integer,
            counts.float,
        );
    }
    Ok(())
}

/// A tensor of plausible values.
fn noise(spec: &TensorSpec) -> Tensor {
    let mut tensor = Tensor::zeros(spec.dtype, &spec.shape);
    let mut random = fastrand::Rng::with_seed(1);
    match &mut tensor.data {
        Data::F32(v) => v.iter_mut().for_each(|x| *x = random.f32() * 4.0 - 2.0),
        Data::I8(v) => v.iter_mut().for_each(|x| *x = random.i8(..)),
        Data::U8(v) => v.iter_mut().for_each(|x| *x = random.u8(..)),
        _ => {}
    }
    tensor
}
