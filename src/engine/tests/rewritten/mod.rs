//! Rewritten models give the results of the models that they were before an exporter or optimiser
//! changed them, or those of the definition.

mod control_flow;
mod weights;

use super::model::{Build, build};
use super::{refusal, run};
use crate::tensor::{Data, Dtype, Tensor};

fn floats(seed: u64, count: usize) -> Data {
    let mut rng = fastrand::Rng::with_seed(seed);
    Data::F32((0..count).map(|_| rng.f32() * 2.0 - 1.0).collect())
}

fn values(tensor: &Tensor) -> Vec<f32> {
    match &tensor.data {
        Data::F32(values) => values.clone(),
        other => panic!("{}", other.dtype()),
    }
}

/// Runs both models on one input, and expects the same within rounding.
fn same(fused: Build, plain: Build, input: &Data) {
    let inputs = [input.clone()];
    let (fused, plain) = (run(&fused.bytes(), &inputs), run(&plain.bytes(), &inputs));
    assert_eq!(fused.len(), plain.len());
    for (fused, plain) in fused.iter().zip(&plain) {
        assert_eq!(fused.shape, plain.shape);
        close(&values(fused), &values(plain));
    }
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "element {i}: {a}, not {b}");
    }
}

fn conv() -> Build {
    build()
        .input("x", Dtype::F32, &[1, 3, 9])
        .constant("w", &[4, 3, 3], floats(1, 36))
        .constant("b", &[4], floats(2, 4))
        .constant("z", &[1, 4, 9], floats(3, 36))
        .output("y", Dtype::F32, &[1, 4, 9])
}

#[test]
fn fused_convolutions_are_their_parts() {
    let padded = |build: Build| build.ints("pads", &[1, 1]);
    let parts = || padded(conv().node("Conv", &["x", "w", "b"], &["c"]));
    let fused = |inputs: &[&str], name: &str| {
        let fused = padded(conv().node("com.microsoft.FusedConv", inputs, &["y"]));
        fused.text("activation", name)
    };
    let params = |build: Build, values: &[f32]| {
        let floats = tract_onnx::pb::attribute_proto::AttributeType::Floats as i32;
        build.attribute(tract_onnx::pb::AttributeProto {
            name: "activation_params".into(),
            r#type: floats,
            floats: values.to_vec(),
            ..Default::default()
        })
    };
    let (xwb, x) = (["x", "w", "b"], floats(9, 27));
    for name in ["Relu", "Tanh", "Sigmoid"] {
        same(fused(&xwb, name), parts().node(name, &["c"], &["y"]), &x);
    }
    let sum = parts().node("Add", &["c", "z"], &["s"]).node("Relu", &["s"], &["y"]);
    same(fused(&["x", "w", "b", "z"], "Relu"), sum, &x);
    let leaky = parts().node("LeakyRelu", &["c"], &["y"]).real("alpha", 0.3);
    same(params(fused(&xwb, "LeakyRelu"), &[0.3]), leaky, &x);
    let clip = parts().scale("lo", -0.1).scale("hi", 0.2).node("Clip", &["c", "lo", "hi"], &["y"]);
    same(params(fused(&xwb, "Clip"), &[-0.1, 0.2]), clip, &x);
    let unknown = refusal(&fused(&xwb, "Softmax").bytes());
    assert!(unknown.contains("y_node") && unknown.contains("\"Softmax\""), "{unknown}");
    let odd = refusal(&fused(&xwb, "Relu").int("odd", 1).bytes());
    assert!(odd.contains("attribute odd"), "{odd}");
}

#[test]
fn fused_products_are_their_parts() {
    let gemm = || {
        let build = build().input("x", Dtype::F32, &[2, 3]).constant("w", &[4, 3], floats(1, 12));
        build.constant("c", &[4], floats(2, 4)).output("y", Dtype::F32, &[2, 4])
    };
    let fused = gemm().node("com.microsoft.FusedGemm", &["x", "w", "c"], &["y"]).int("transB", 1);
    let plain = gemm().node("Gemm", &["x", "w", "c"], &["g"]).int("transB", 1);
    let plain = plain.node("Relu", &["g"], &["y"]);
    same(fused.text("activation", "Relu"), plain, &floats(3, 6));

    let matmul = || {
        let build = build().input("x", Dtype::F32, &[2, 4, 3]);
        build.constant("w", &[2, 5, 4], floats(1, 40)).output("y", Dtype::F32, &[2, 3, 5])
    };
    let fused = matmul().node("com.microsoft.FusedMatMul", &["x", "w"], &["y"]);
    let fused = fused.int("transA", 1).int("transB", 1).real("alpha", 0.5);
    let plain = matmul()
        .node("Transpose", &["x"], &["xt"])
        .ints("perm", &[0, 2, 1])
        .node("Transpose", &["w"], &["wt"])
        .ints("perm", &[0, 2, 1])
        .scale("half", 0.5)
        .node("MatMul", &["xt", "wt"], &["m"])
        .node("Mul", &["m", "half"], &["y"]);
    same(fused, plain, &floats(3, 24));
}

#[test]
fn fused_activations_and_normalizations_are_their_parts() {
    let model = || {
        let build = build().input("x", Dtype::F32, &[2, 5]).constant("b", &[5], floats(1, 5));
        let build = build.constant("g", &[5], floats(2, 5)).constant("s", &[2, 5], floats(4, 10));
        build.output("y", Dtype::F32, &[2, 5])
    };
    let x = floats(3, 10);
    let gelu = |form: &str| {
        model()
            .node("Add", &["x", "b"], &["s2"])
            .node("Gelu", &["s2"], &["y"])
            .text("approximate", form)
    };
    same(model().node("com.microsoft.BiasGelu", &["x", "b"], &["y"]), gelu("none"), &x);
    same(model().node("com.microsoft.FastGelu", &["x", "b"], &["y"]), gelu("tanh"), &x);
    let quick = model()
        .scale("a", 1.702)
        .node("Mul", &["x", "a"], &["m"])
        .node("Sigmoid", &["m"], &["q"])
        .node("Mul", &["x", "q"], &["y"]);
    same(model().node("com.microsoft.QuickGelu", &["x"], &["y"]), quick, &x);
    let inputs = ["x", "s", "g", "b", "b"];
    let fused = model().node("com.microsoft.SkipLayerNormalization", &inputs, &["y", "", "", "t"]);
    let plain = model().node("Add", &["x", "s"], &["u"]).node("Add", &["u", "b"], &["t"]);
    let plain = plain.node("LayerNormalization", &["t", "g", "b"], &["y"]).real("epsilon", 1e-5);
    let sum = |build: Build| build.output("t", Dtype::F32, &[2, 5]);
    same(sum(fused.real("epsilon", 1e-5)), sum(plain), &x);
}

#[test]
fn quantized_products_of_the_optimiser_are_their_parts() {
    let weights = Data::I8((0..12).map(|i| (i * 17 % 251) as i8).collect());
    let model = || {
        let build = build().input("x", Dtype::F32, &[2, 4]).constant("w", &[4, 3], weights.clone());
        let build = build.scale("ws", 0.02).constant("wz", &[], Data::I8(vec![3]));
        build.constant("b", &[3], floats(1, 3)).output("y", Dtype::F32, &[2, 3])
    };
    let inputs = ["x", "w", "ws", "wz", "b"];
    let fused = model().node("com.microsoft.DynamicQuantizeMatMul", &inputs, &["y"]);
    let quantized = || model().node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"]);
    let plain = quantized()
        .node("MatMulInteger", &["q", "w", "z", "wz"], &["i"])
        .node("Cast", &["i"], &["f"])
        .int("to", 1)
        .node("Mul", &["s", "ws"], &["sw"])
        .node("Mul", &["f", "sw"], &["m"])
        .node("Add", &["m", "b"], &["y"]);
    same(fused, plain.clone(), &floats(2, 8));
    let inputs = ["q", "w", "s", "ws", "z", "wz", "b"];
    let fused = quantized().node("com.microsoft.MatMulIntegerToFloat", &inputs, &["y"]);
    same(fused, plain, &floats(2, 8));
}

#[test]
fn a_batch_normalization_of_computed_parameters_is_its_definition() {
    let model = || {
        let build = build().input("x", Dtype::F32, &[2, 3, 4]).constant("s", &[3], floats(1, 3));
        let build = build.constant("b", &[3], floats(2, 3)).constant("m", &[3], floats(3, 3));
        let spread = Data::F32(vec![0.5, 1.5, 2.5]);
        build.constant("v", &[3], spread).output("y", Dtype::F32, &[2, 3, 4])
    };
    let plain = model().node("BatchNormalization", &["x", "s", "b", "m", "v"], &["y"]);
    // The mean is m again, through values that depend on the input.
    let computed = model()
        .constant("axes", &[1], Data::I64(vec![1]))
        .node("ReduceMean", &["x"], &["r"])
        .ints("axes", &[0, 2])
        .int("keepdims", 0)
        .node("Sub", &["r", "r"], &["zero"])
        .node("Add", &["m", "zero"], &["mean"])
        .node("BatchNormalization", &["x", "s", "b", "mean", "v"], &["y"]);
    same(computed, plain, &floats(5, 24));
}

#[test]
fn norms_of_windows_are_their_definition() {
    let x = floats(1, 12);
    let Data::F32(input) = &x else { unreachable!() };
    for p in [1, 2, 3] {
        let norm =
            |part: &[f32]| part.iter().map(|v| v.abs().powi(p)).sum::<f32>().powf(1.0 / p as f32);
        let pool = build().input("x", Dtype::F32, &[1, 2, 6]).node("LpPool", &["x"], &["y"]);
        let pool = pool.ints("kernel_shape", &[3]).ints("strides", &[2]).ints("pads", &[1, 0]);
        let y = run(
            &pool.int("p", p.into()).output("y", Dtype::F32, &[1, 2, 3]).bytes(),
            std::slice::from_ref(&x),
        );
        let windows = |row: &[f32]| vec![norm(&row[..2]), norm(&row[1..4]), norm(&row[3..6])];
        let expected: Vec<f32> = input.chunks(6).flat_map(windows).collect();
        close(&values(&y[0]), &expected);
        let global =
            build().input("x", Dtype::F32, &[1, 2, 6]).node("GlobalLpPool", &["x"], &["y"]);
        let y = run(
            &global.int("p", p.into()).output("y", Dtype::F32, &[1, 2, 1]).bytes(),
            std::slice::from_ref(&x),
        );
        close(&values(&y[0]), &input.chunks(6).map(norm).collect::<Vec<_>>());
    }
}

#[test]
fn a_center_crop_pad_cuts_and_pads_both_sides() {
    let model = |size: &[i64]| {
        let build =
            build().input("x", Dtype::F32, &[4]).constant("s", &[1], Data::I64(size.to_vec()));
        let length = size[0] as usize;
        build.node("CenterCropPad", &["x", "s"], &["y"]).output("y", Dtype::F32, &[length]).bytes()
    };
    let x = [Data::F32(vec![1., 2., 3., 4.])];
    assert_eq!(values(&run(&model(&[3]), &x)[0]), [1., 2., 3.]);
    assert_eq!(values(&run(&model(&[2]), &x)[0]), [2., 3.]);
    assert_eq!(values(&run(&model(&[7]), &x)[0]), [0., 1., 2., 3., 4., 0., 0.]);
}
