//! Times of the float kernels: whole networks of MLPerf Tiny, and layers of their shapes.
//!
//! `cargo bench -p inferd-kernels --bench float`; arguments select the lines whose instruction set
//! and name contain all of them.
#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark of fixed shapes"
)]

use inferd_kernels::float::{
    Activation, Cell, Conv, ConvWeights, Dense, Layout, Matmul, Pool, PoolKind, Recurrent,
    RecurrentWeights, Steps, UnaryOp, softmax, unary_in_place,
};
use inferd_kernels::{ConvGeometry, Isa, Scratch};
use std::time::Instant;

/// A measured piece of work.
struct Work {
    name: String,
    macs: usize,
    run: Box<dyn FnMut()>,
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!("{:<28} {:>8} {:>10} {:>10} {:>8}", "", "", "median us", "least us", "GMAC/s");
    for isa in Isa::available() {
        for mut work in all(isa) {
            let title = format!("{} {}", isa.name(), work.name);
            if !wanted.iter().all(|w| title.contains(w.as_str())) {
                continue;
            }
            let (median, least) = time(&mut work.run);
            let rate = work.macs as f64 / least / 1e3;
            let name = isa.name();
            println!("{:<28} {name:>8} {median:>10.2} {least:>10.2} {rate:>8.2}", work.name);
        }
    }
}

/// Returns the median and the least time of many batches, in microseconds for a single run.
fn time(run: &mut dyn FnMut()) -> (f64, f64) {
    const BATCHES: usize = 41;
    let mut once = || {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    once();
    let count = (0.001 / once().max(1e-7)).clamp(1.0, 2000.0) as usize;
    let mut batch = || (0..count).map(|_| once()).sum::<f64>() / count as f64 * 1e6;
    let mut times: Vec<f64> = (0..BATCHES).map(|_| batch()).collect();
    times.sort_by(f64::total_cmp);
    (times[BATCHES / 2], times[0])
}

fn all(isa: Isa) -> Vec<Work> {
    let kws = [25, 5, 64];
    let mut work = vec![
        keyword_spotting(isa),
        visual_wake_words(isa),
        image_classification(isa),
        autoencoder(isa),
        conv(isa, "kws first 10x4 /2 1>64", [49, 10, 1], [10, 4], 2, kws, [4, 1], 1),
        conv(isa, "kws depthwise 3x3", kws, [3, 3], 1, kws, [1, 1], 64),
        conv(isa, "kws pointwise 64>64", kws, [1, 1], 1, kws, [0, 0], 1),
        conv(isa, "ic 3x3 32x32 16>16", [32, 32, 16], [3, 3], 1, [32, 32, 16], [1, 1], 1),
        conv(isa, "ic 3x3 16x16 32>32", [16, 16, 32], [3, 3], 1, [16, 16, 32], [1, 1], 1),
        conv(isa, "ic 3x3 8x8 64>64", [8, 8, 64], [3, 3], 1, [8, 8, 64], [1, 1], 1),
        dense(isa, "dense 640>128", 640, 128),
        matmul(isa, "attention 64x32x64", [64, 32, 64]),
        recurrent(isa, "lstm 50 x 24>64", Cell::Lstm { input_forget: false }),
        recurrent(isa, "gru 50 x 24>64", Cell::Gru { linear_before_reset: true }),
    ];
    for op in [UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Gelu, UnaryOp::HardSwish] {
        let mut values = noise(4096);
        let run = Box::new(move || unary_in_place(isa, op, &mut values));
        work.push(Work { name: format!("{op:?} of 4096"), macs: 4096, run });
    }
    let (x, mut y) = (noise(4096), noise(4096));
    let run = Box::new(move || softmax(isa, 64, &x, &mut y));
    work.push(Work { name: "softmax of 64 x 64".into(), macs: 4096, run });
    work
}

/// Pseudo-random numbers from -1 to 1.
fn noise(n: usize) -> Vec<f32> {
    let mut x = 1u32;
    let next = |_| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(next).collect()
}

/// `input` and `output` are (height, width, channels).
#[expect(clippy::too_many_arguments, reason = "a layer's whole geometry")]
fn conv(
    isa: Isa,
    name: &str,
    input: [usize; 3],
    kernel: [usize; 2],
    stride: usize,
    output: [usize; 3],
    pad: [usize; 2],
    groups: usize,
) -> Work {
    let window = ConvGeometry {
        input: [input[0], input[1]],
        channels: input[2],
        output: [output[0], output[1]],
        kernel,
        stride: [stride; 2],
        dilation: [1, 1],
        pad,
    };
    let k = window.taps() * input[2] / groups;
    let (values, bias) = (noise(k * output[2]), noise(output[2]));
    let weights = ConvWeights { values: &values, bias: Some(&bias), outputs: output[2], groups };
    let conv = Conv::new(isa, &window, &weights, Activation::Relu).expect("sound weights");
    let (x, mut y) = (noise(window.input_len()), noise(conv.output_len()));
    let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
    let macs = y.len() * k;
    let run = Box::new(move || conv.run(&x, None, &mut y, &mut scratch));
    Work { name: name.into(), macs, run }
}

fn dense(isa: Isa, name: &str, k: usize, n: usize) -> Work {
    let (w, bias) = (noise(k * n), noise(n));
    let dense = Dense::new(isa, [k, n], Layout::RowMajor, &w, Some(&bias), Activation::Relu)
        .expect("sound weights");
    let (x, mut y) = (noise(k), noise(n));
    Work { name: name.into(), macs: k * n, run: Box::new(move || dense.run(1, &x, None, &mut y)) }
}

fn matmul(isa: Isa, name: &str, [m, k, n]: [usize; 3]) -> Work {
    let product = Matmul::new(isa, [m, k, n], Layout::Transposed).expect("sound sizes");
    let (a, b, mut y) = (noise(m * k), noise(n * k), noise(m * n));
    let mut scratch = Scratch::with_bytes(product.scratch_bytes());
    let run = Box::new(move || product.run(&a, &b, &mut y, &mut scratch));
    Work { name: name.into(), macs: m * k * n, run }
}

fn recurrent(isa: Isa, name: &str, cell: Cell) -> Work {
    let (count, input, hidden) = (50, 24, 64);
    let gates = cell.gates() * hidden;
    let (w, r, bias) = (noise(gates * input), noise(gates * hidden), noise(2 * gates));
    let weights =
        RecurrentWeights { input, hidden, w: &w, r: &r, bias: Some(&bias), peepholes: None };
    let usual = [UnaryOp::Sigmoid, UnaryOp::Tanh, UnaryOp::Tanh];
    let layer = Recurrent::new(isa, cell, &usual[..cell.activations()], None, &weights)
        .expect("sound weights");
    let mut scratch = Scratch::with_bytes(layer.scratch_bytes());
    let (x, mut y) = (noise(count * input), noise(count * hidden));
    let cells = if matches!(cell, Cell::Lstm { .. }) { hidden } else { 0 };
    let run = Box::new(move || {
        let (mut h, mut c) = ([0.0; 64], [0.0; 64]);
        let (y, reverse) = (Some(&mut *y), false);
        let steps = Steps { x: &x, x_stride: input, count, reverse, y, y_stride: hidden };
        layer.run(steps, &mut h, &mut c[..cells], &mut scratch);
    });
    Work { name: name.into(), macs: count * gates * (input + hidden), run }
}

fn average(isa: Isa, [h, w, channels]: [usize; 3]) -> Work {
    let window = ConvGeometry {
        input: [h, w],
        channels,
        output: [1, 1],
        kernel: [h, w],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0, 0],
    };
    let pool = Pool::new(isa, &window, PoolKind::Average).expect("a sound window");
    let (x, mut y) = (noise(window.input_len()), noise(channels));
    Work { name: String::new(), macs: 0, run: Box::new(move || pool.run(&x, &mut y)) }
}

/// All layers, one after the other.
fn network(name: &str, mut layers: Vec<Work>) -> Work {
    let macs = layers.iter().map(|l| l.macs).sum();
    let run = Box::new(move || layers.iter_mut().for_each(|l| (l.run)()));
    Work { name: name.into(), macs, run }
}

fn keyword_spotting(isa: Isa) -> Work {
    let picture = [25, 5, 64];
    let mut layers = vec![conv(isa, "", [49, 10, 1], [10, 4], 2, picture, [4, 1], 1)];
    for _ in 0..4 {
        layers.push(conv(isa, "", picture, [3, 3], 1, picture, [1, 1], 64));
        layers.push(conv(isa, "", picture, [1, 1], 1, picture, [0, 0], 1));
    }
    layers.extend([average(isa, picture), dense(isa, "", 64, 12)]);
    network("kws", layers)
}

fn visual_wake_words(isa: Isa) -> Work {
    let mut layers = vec![conv(isa, "", [96, 96, 3], [3, 3], 2, [48, 48, 8], [0, 0], 1)];
    let (mut side, mut channels) = (48, 8);
    let blocks = [(1, 16), (2, 32), (1, 32), (2, 64), (1, 64), (2, 128), (1, 128), (1, 128)];
    let last = [(1, 128), (1, 128), (1, 128), (2, 256), (1, 256)];
    for (stride, outputs) in blocks.into_iter().chain(last) {
        let (from, to) = ([side, side, channels], side / stride);
        let pad = if stride == 1 { [1, 1] } else { [0, 0] };
        layers.push(conv(isa, "", from, [3, 3], stride, [to, to, channels], pad, channels));
        let (from, output) = ([to, to, channels], [to, to, outputs]);
        layers.push(conv(isa, "", from, [1, 1], 1, output, [0, 0], 1));
        (side, channels) = (to, outputs);
    }
    layers.extend([average(isa, [side, side, channels]), dense(isa, "", channels, 2)]);
    network("vww", layers)
}

fn image_classification(isa: Isa) -> Work {
    let mut layers = vec![conv(isa, "", [32, 32, 3], [3, 3], 1, [32, 32, 16], [1, 1], 1)];
    let [a, b, c] = [[32, 32, 16], [16, 16, 32], [8, 8, 64]];
    layers.push(conv(isa, "", a, [3, 3], 1, a, [1, 1], 1));
    layers.push(conv(isa, "", a, [3, 3], 1, a, [1, 1], 1));
    for (from, to) in [(a, b), (b, c)] {
        layers.push(conv(isa, "", from, [3, 3], 2, to, [0, 0], 1));
        layers.push(conv(isa, "", to, [3, 3], 1, to, [1, 1], 1));
        layers.push(conv(isa, "", from, [1, 1], 2, to, [0, 0], 1));
    }
    layers.extend([average(isa, c), dense(isa, "", 64, 10)]);
    network("ic", layers)
}

fn autoencoder(isa: Isa) -> Work {
    let widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640];
    network("ad01", widths.windows(2).map(|w| dense(isa, "", w[0], w[1])).collect())
}
