//! The same bits on every machine: checksums of results, recorded on x86-64 with AVX2.
use super::math::operations;
use super::*;

/// A checksum of the bits (FNV-1a).
fn checksum(values: &[f32]) -> u64 {
    values.iter().flat_map(|v| v.to_bits().to_le_bytes()).fold(0xCBF2_9CE4_8422_2325, |sum, b| {
        (sum ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// Checks that every instruction set gives the results with this checksum.
fn recorded(what: &str, expected: u64, run: impl FnMut(Isa) -> Vec<f32>) {
    let found = checksum(&same_bits(what, run));
    assert_eq!(found, expected, "{what}: {found:#018X}");
}

fn window(channels: usize, kernel: [usize; 2]) -> ConvGeometry {
    ConvGeometry {
        input: [9, 7],
        channels,
        output: [9, 7],
        kernel,
        stride: [1, 1],
        dilation: [1, 1],
        pad: kernel.map(|k| k / 2),
    }
}

fn convolve(isa: Isa, kernel: [usize; 2], channels: usize, groups: usize, extent: f32) -> Vec<f32> {
    let mut dice = Dice::new(51);
    let (window, outputs) = (window(channels, kernel), channels);
    let k = window.taps() * channels / groups;
    let (values, bias) = (dice.f32s(outputs * k, -extent, extent), dice.f32s(outputs, -1.0, 1.0));
    let bias = (extent == 1.0).then_some(&bias[..]);
    let weights = ConvWeights { values: &values, bias, outputs, groups };
    let conv = Conv::new(isa, &window, &weights, Activation::Relu).unwrap();
    let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
    let x = dice.f32s(window.input_len(), -extent, extent);
    let mut out = vec![0.0; conv.output_len()];
    conv.run(&x, None, &mut out, &mut scratch);
    out
}

#[test]
fn convolutions_have_recorded_bits() {
    recorded("pointwise", POINTWISE, |isa| convolve(isa, [1, 1], 37, 1, 1.0));
    recorded("3 x 3", WINDOW, |isa| convolve(isa, [3, 3], 20, 1, 1.0));
    recorded("grouped", GROUPED, |isa| convolve(isa, [3, 3], 20, 4, 1.0));
    recorded("depthwise", DEPTHWISE, |isa| convolve(isa, [3, 3], 37, 37, 1.0));
    // The products are about 1e-40: subnormal.
    recorded("tiny 3 x 3", TINY_WINDOW, |isa| convolve(isa, [3, 3], 20, 1, 1e-20));
    recorded("tiny depthwise", TINY_DEPTHWISE, |isa| convolve(isa, [3, 3], 37, 37, 1e-20));
}

#[test]
fn functions_have_recorded_bits() {
    recorded("unary", UNARY, |isa| {
        let mut dice = Dice::new(52);
        let operations = operations(&mut dice);
        let x: Vec<f32> = dice.f32s(300, 0.0, 9.0);
        let signed: Vec<f32> = x.iter().enumerate().map(|(i, x)| x * [1.0, -1.0][i % 2]).collect();
        let mut all = Vec::new();
        for op in operations {
            let mut y =
                if matches!(op, UnaryOp::Log | UnaryOp::Sqrt) { &x } else { &signed }.clone();
            unary_in_place(isa, op, &mut y);
            all.extend(y);
        }
        all
    });
    recorded("rows", ROWS, |isa| {
        let mut dice = Dice::new(53);
        let x = dice.f32s(3 * 70, -4.0, 4.0);
        let scale = dice.f32s(70, -1.0, 1.0);
        let normalize = Normalize { epsilon: 1e-5, center: true, bias: scale.clone(), scale };
        let mut out = vec![0.0; 3 * x.len() + 3];
        let (a, rest) = out.split_at_mut(x.len());
        let (b, rest) = rest.split_at_mut(x.len());
        let (c, d) = rest.split_at_mut(x.len());
        softmax(isa, 70, &x, a);
        log_softmax(isa, 70, &x, b);
        normalize.run(isa, &x, c);
        reduce(isa, ReduceOp::Mean, [3, 70, 1], &x, d);
        out
    });
    recorded("powers", POWERS, |isa| {
        let mut dice = Dice::new(54);
        let (a, b) = (dice.f32s(500, 0.0, 9.0), dice.f32s(500, -4.0, 4.0));
        let mut out = vec![0.0; 500];
        Binary::dense(isa, BinaryOp::Pow, Activation::None, 500).run(&a, &b, &mut out);
        out
    });
}

#[test]
fn recurrent_layers_have_recorded_bits() {
    recorded("recurrent", RECURRENT, |isa| {
        let mut dice = Dice::new(55);
        (0..12).flat_map(|_| super::recurrent::Case::random(&mut dice).run(isa, false)).collect()
    });
}

const POINTWISE: u64 = 0xBAC8_098B_D92D_4100;
const WINDOW: u64 = 0x0CEF_C42F_E458_B21D;
const GROUPED: u64 = 0x2060_960D_E696_A2E2;
const DEPTHWISE: u64 = 0x28E7_2FDF_DBE4_746F;
const TINY_WINDOW: u64 = 0xECDC_C3E4_9B78_42A1;
const TINY_DEPTHWISE: u64 = 0x58F0_FAD6_0AE9_7DE5;
const UNARY: u64 = 0x3AB1_0F8D_70D5_A993;
const ROWS: u64 = 0x37F5_13F0_E2D2_815C;
const POWERS: u64 = 0x0BB7_2497_DA34_E2D3;
const RECURRENT: u64 = 0x7609_3E73_4E4A_B2A3;
