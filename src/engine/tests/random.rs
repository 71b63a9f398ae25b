//! Random graphs against their exact meaning.

use super::exact::{Exact, Values, evaluate};
use super::generate::{Dialect, dynamic, quantized, stored};
use super::model::Build;
use super::{load, run_model};
use crate::engine::{LoadOptions, Model};
use crate::tensor::{Data, Dtype, Tensor};
use fastrand::Rng;
use inferd_kernels::Isa;
use prost::Message;
use std::sync::Arc;

/// Graphs per dialect; an hour's worth with INFERD_GRAPHS=100000.
fn graphs() -> u64 {
    std::env::var("INFERD_GRAPHS").ok().and_then(|n| n.parse().ok()).unwrap_or(150)
}

/// Nearer to the middle between two steps than this, a float may round to the other side.
const NEAR: f64 = 1e-4;

/// The exact output, and whether a runtime in floats must come to the same.
fn exactly(build: &Build, input: &Data) -> (Exact, bool) {
    let model = load(&build.clone().bytes()).unwrap();
    let shape = model.inputs()[0].shape.clone();
    let x = Exact::of(&Tensor { shape, data: input.clone() });
    let mut values = Values::from([("x".to_owned(), x)]);
    let nearest = evaluate(&build.decoded(), &mut values);
    (values.remove(&build.graph.output[0].name).unwrap(), nearest > NEAR)
}

fn operators(build: &Build) -> Vec<&str> {
    build.graph.node.iter().map(|n| n.op_type.as_str()).collect()
}

/// The same integers, but where a number lies beside the middle between two steps.
fn compare_quantized(seed: u64, dialect: Dialect) {
    let (build, _) = quantized(seed, dialect);
    let model = load(&build.clone().bytes())
        .unwrap_or_else(|e| panic!("{dialect:?} {seed}: {e}\n{:?}", operators(&build)));
    let floats = model.explain();
    let softmaxes = operators(&build).iter().filter(|o| o.contains("Softmax")).count();
    assert!(floats.len() <= softmaxes, "{dialect:?} {seed}: {floats:?}");
    let mut rng = Rng::with_seed(!seed);
    let spec = &model.inputs()[0];
    for _ in 0..3 {
        let input = stored(&mut rng, spec.len(), spec.dtype == Dtype::U8);
        let ours = &run_model(&model, std::slice::from_ref(&input))[0];
        let (exact, sure) = exactly(&build, &input);
        assert_eq!(ours.shape, exact.shape);
        for (i, (a, b)) in Exact::of(ours).x.iter().zip(&exact.x).enumerate() {
            let ops = operators(&build);
            let bound = if sure { 0.0 } else { 2.0 };
            assert!((a - b).abs() <= bound, "{dialect:?} {seed}: [{i}] {a} for {b}\n{ops:?}");
        }
    }
}

#[test]
fn random_qdq_graphs_match_their_exact_meaning() {
    (0..graphs()).for_each(|seed| compare_quantized(seed, Dialect::Qdq));
}

#[test]
fn random_qoperator_graphs_match_their_exact_meaning() {
    (0..graphs()).for_each(|seed| compare_quantized(seed, Dialect::QOperator));
}

#[test]
fn random_dynamic_graphs_match_their_exact_meaning() {
    for seed in 0..graphs() {
        let build = dynamic(seed);
        let model = load(&build.clone().bytes()).unwrap();
        assert!(model.explain().is_empty(), "{seed}: {:?}", model.explain());
        let mut rng = Rng::with_seed(!seed);
        let input =
            Data::F32((0..model.inputs()[0].len()).map(|_| rng.f32() * 2.0 - 1.0).collect());
        let ours = Exact::of(&run_model(&model, std::slice::from_ref(&input))[0]);
        let (exact, sure) = exactly(&build, &input);
        let range = exact.x.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
        for (a, b) in ours.x.iter().zip(&exact.x) {
            let bound = range * if sure { 1e-5 } else { 0.05 };
            assert!((a - b).abs() <= bound, "{seed}: {a} for {b} {:?}", operators(&build));
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    for seed in 0..graphs() {
        let graphs = [quantized(seed, Dialect::Qdq).0, dynamic(seed)];
        for bytes in graphs.map(|g| g.model().encode_to_vec()) {
            let mut results = Isa::available().into_iter().map(|isa| {
                let model = Model::load_for(isa, &bytes, &LoadOptions::default()).unwrap();
                let mut rng = Rng::with_seed(seed);
                let spec = &model.inputs()[0];
                let input = match spec.dtype {
                    Dtype::F32 => Data::F32((0..spec.len()).map(|_| rng.f32() - 0.5).collect()),
                    other => stored(&mut rng, spec.len(), other == Dtype::U8),
                };
                run_model(&Arc::new(model), &[input])
            });
            let first = results.next().unwrap();
            assert!(results.all(|r| r == first), "{seed}");
        }
    }
}
