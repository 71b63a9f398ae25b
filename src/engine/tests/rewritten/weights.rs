//! Weights of 16 and of 4 bits.

use super::{close, floats, values};
use crate::engine::tests::model::{Build, build, code, declare};
use crate::engine::tests::{load, refusal, run};
use crate::tensor::{Data, Dtype};
use tract_onnx::pb::TensorProto;

const FLOAT16: i32 = 10;
const BFLOAT16: i32 = 16;
const UINT4: i32 = 21;
const INT4: i32 = 22;

fn raw(mut build: Build, name: &str, shape: &[i64], data_type: i32, raw_data: Vec<u8>) -> Build {
    build.graph.initializer.push(TensorProto {
        name: name.into(),
        dims: shape.to_vec(),
        data_type,
        raw_data,
        ..TensorProto::default()
    });
    build
}

/// Values that 16 bits hold: 1, -2, 0.5, 65504 / 2^10 …
const HALVES: [(u16, u16, f32); 4] = [
    (0x3c00, 0x3f80, 1.0),
    (0xc000, 0xc000, -2.0),
    (0x3800, 0x3f00, 0.5),
    (0x4248, 0x4049, 3.140_625),
];

#[test]
fn models_of_16_bit_floats_take_and_give_32_bits() {
    for (element, index) in [(FLOAT16, 0), (BFLOAT16, 1)] {
        let bits = |half: &(u16, u16, f32)| if index == 0 { half.0 } else { half.1 };
        let weights = HALVES.iter().flat_map(|half| bits(half).to_le_bytes()).collect();
        let mut model = raw(build(), "w", &[2, 2], element, weights);
        model.graph.input.push(declare("x", element, &[1, 2]));
        model.graph.output.push(declare("y", element, &[1, 2]));
        let model = model
            .node("Cast", &["x"], &["wide"])
            .int("to", 1)
            .node("Relu", &["wide"], &["r"])
            .node("Cast", &["r"], &["narrow"])
            .int("to", element.into())
            .node("MatMul", &["narrow", "w"], &["y"]);
        let bytes = model.bytes();
        let loaded = load(&bytes).unwrap();
        assert_eq!(loaded.inputs()[0].dtype, Dtype::F32);
        assert_eq!(loaded.outputs()[0].dtype, Dtype::F32);
        let y = run(&bytes, &[Data::F32(vec![2.0, 4.0])]);
        let expected =
            [2.0 * HALVES[0].2 + 4.0 * HALVES[2].2, 2.0 * HALVES[1].2 + 4.0 * HALVES[3].2];
        close(&values(&y[0]), &expected);
    }
}

/// The numbers of 4 bits, two in a byte, the lower first.
fn packed(numbers: &[i8]) -> Vec<u8> {
    let nibble = |n: i8| (n as u8) & 15;
    let byte = |pair: &[i8]| nibble(pair[0]) | nibble(pair.get(1).copied().unwrap_or(0)) << 4;
    numbers.chunks(2).map(byte).collect()
}

fn added(weights: Build, shape: &[usize]) -> Vec<u8> {
    let build = weights.input("x", Dtype::F32, shape).node("Add", &["x", "d"], &["y"]);
    build.output("y", Dtype::F32, shape).bytes()
}

#[test]
fn constants_of_4_bits_are_dequantized() {
    let numbers = [-8, -1, 0, 1, 3, 7];
    for (element, numbers, zero) in [(INT4, numbers, 2i8), (UINT4, [0, 1, 7, 8, 12, 15], 8)] {
        let build = raw(build(), "q", &[2, 3], element, packed(&numbers));
        let build = raw(build, "z", &[], element, packed(&[zero])).scale("s", 0.5);
        let bytes = added(build.node("DequantizeLinear", &["q", "s", "z"], &["d"]), &[2, 3]);
        let expected: Vec<f32> =
            numbers.iter().map(|&n| 0.5 * (f32::from(n) - f32::from(zero))).collect();
        close(&values(&run(&bytes, &[Data::F32(vec![0.0; 6])])[0]), &expected);
    }
}

#[test]
fn constants_with_a_scale_for_each_block_are_dequantized() {
    let numbers: Vec<i8> = (-5..5).map(|i| i * 20).collect();
    let scales = vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let build = build()
        .constant("q", &[2, 5], Data::I8(numbers.clone()))
        .constant("s", &[2, 3], Data::F32(scales.clone()))
        .node("DequantizeLinear", &["q", "s"], &["d"])
        .int("axis", 1)
        .int("block_size", 2);
    let y = run(&added(build, &[2, 5]), &[Data::F32(vec![0.0; 10])]);
    let expected: Vec<f32> =
        (0..10usize).map(|i| f32::from(numbers[i]) * scales[i / 5 * 3 + i % 5 / 2]).collect();
    close(&values(&y[0]), &expected);
}

#[test]
fn products_with_packed_weights_are_products_with_their_values() {
    let (rows, columns, block) = (20usize, 3usize, 16usize);
    let blocks = rows.div_ceil(block);
    let mut rng = fastrand::Rng::with_seed(4);
    for (bits, with_zeros) in [(4u32, false), (4, true), (8, false), (8, true)] {
        let q: Vec<u8> = (0..columns * blocks * block).map(|_| rng.u8(..) >> (8 - bits)).collect();
        let zeros: Vec<u8> = (0..columns * blocks).map(|_| rng.u8(..) >> (8 - bits)).collect();
        let scales: Vec<f32> = (0..columns * blocks).map(|_| rng.f32() + 0.1).collect();
        let pack = |numbers: &[u8]| -> Vec<u8> {
            let byte = |pair: &[u8]| pair[0] | pair.get(1).copied().unwrap_or(0) << 4;
            if bits == 8 { numbers.to_vec() } else { numbers.chunks(2).map(byte).collect() }
        };
        let per_block = block * bits as usize / 8;
        let per_column = (blocks * bits as usize).div_ceil(8);
        let packed: Vec<u8> = pack(&q);
        let packed_zeros: Vec<u8> = zeros.chunks(blocks).flat_map(pack).collect();
        let model = build()
            .input("x", Dtype::F32, &[2, rows])
            .constant("w", &[columns, blocks, per_block], Data::U8(packed))
            .constant("s", &[columns * blocks], Data::F32(scales.clone()))
            .constant("z", &[columns * per_column], Data::U8(packed_zeros));
        let inputs: &[&str] = if with_zeros { &["x", "w", "s", "z"] } else { &["x", "w", "s"] };
        let model = model
            .node("com.microsoft.MatMulNBits", inputs, &["y"])
            .int("K", rows as i64)
            .int("N", columns as i64)
            .int("bits", bits.into())
            .int("block_size", block as i64);
        let x = floats(5, 2 * rows);
        let y =
            run(&model.output("y", Dtype::F32, &[2, columns]).bytes(), std::slice::from_ref(&x));
        let Data::F32(x) = &x else { unreachable!() };
        let weight = |row: usize, column: usize| {
            let group = column * blocks + row / block;
            let zero =
                if with_zeros { f32::from(zeros[group]) } else { f32::from(1u8 << (bits - 1)) };
            (f32::from(q[group * block + row % block]) - zero) * scales[group]
        };
        let sum = |i: usize, column: usize| {
            (0..rows).map(|row| x[i * rows + row] * weight(row, column)).sum::<f32>()
        };
        let expected: Vec<f32> = (0..2)
            .flat_map(|i| (0..columns).map(move |c| (i, c)))
            .map(|(i, c)| sum(i, c))
            .collect();
        let found = values(&y[0]);
        for (a, b) in found.iter().zip(&expected) {
            assert!(
                (a - b).abs() <= 1e-4 * (1.0 + b.abs()),
                "{bits} bits: {found:?}, {expected:?}"
            );
        }
    }
}

#[test]
fn packed_weights_of_another_size_are_refused() {
    let model = build()
        .input("x", Dtype::F32, &[2, 32])
        .constant("w", &[3, 2, 8], Data::U8(vec![0; 47]))
        .constant("s", &[6], Data::F32(vec![1.0; 6]));
    assert_eq!(code(Dtype::U8), 2);
    let model = model.node("com.microsoft.MatMulNBits", &["x", "w", "s"], &["y"]);
    let model = model.int("K", 32).int("N", 3).int("block_size", 16);
    assert!(!refusal(&model.output("y", Dtype::F32, &[2, 3]).bytes()).is_empty());
}
