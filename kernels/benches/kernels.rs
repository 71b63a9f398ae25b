//! Times the integer kernels on the layer shapes of MLPerf Tiny: `cargo bench --bench kernels`.
//!
//! Prints microseconds (median and fastest of many short batches) and billions of multiply-adds per
//! second for every instruction set of this machine. Arguments select the lines whose layer and
//! instruction set contain all of them.
#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark of fixed shapes"
)]

use inferd_kernels::{
    Conv, ConvGeometry, Dense, Depthwise, Isa, OutputBuffer, OutputQuant, Requant, Scratch, Term,
    Weights, add,
};
use std::time::Instant;

/// A layer ready to run, and its multiply-adds.
struct Layer {
    name: &'static str,
    macs: usize,
    run: Box<dyn FnMut()>,
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!("{:<28} {:>8} {:>10} {:>10} {:>9}", "layer", "isa", "median us", "least us", "GMAC/s");
    for isa in Isa::available() {
        for mut layer in layers(isa) {
            let title = format!("{} {}", isa.name(), layer.name);
            if wanted.iter().all(|w| title.contains(w.as_str())) {
                let (median, least) = time(&mut layer.run);
                let rate = layer.macs as f64 / least / 1e3;
                let isa = isa.name();
                println!("{:<28} {isa:>8} {median:>10.2} {least:>10.2} {rate:>9.1}", layer.name);
            }
        }
    }
}

/// Median and least of many batches of about 100 us, in microseconds per run.
fn time(run: &mut dyn FnMut()) -> (f64, f64) {
    const BATCHES: usize = 1001;
    let mut batch = |n: usize| {
        let begin = Instant::now();
        (0..n).for_each(|_| run());
        begin.elapsed().as_secs_f64() * 1e6 / n as f64
    };
    let once = batch(20);
    let n = (100.0 / once).ceil().max(1.0) as usize;
    let mut times: Vec<f64> = (0..BATCHES).map(|_| batch(n)).collect();
    times.sort_by(f64::total_cmp);
    (times[BATCHES / 2], times[0])
}

fn layers(isa: Isa) -> Vec<Layer> {
    vec![
        conv(isa, "kws first 10x4 /2 1>64", [49, 10, 1], [10, 4], 2, [25, 5, 64], [4, 1]),
        depthwise(isa, "kws depthwise 3x3 25x5x64", [25, 5, 64]),
        conv(isa, "kws pointwise 64>64", [25, 5, 64], [1, 1], 1, [25, 5, 64], [0, 0]),
        dense(isa, "kws dense 64>12", 64, 12),
        conv(isa, "ic 3x3 32x32 3>16", [32, 32, 3], [3, 3], 1, [32, 32, 16], [1, 1]),
        conv(isa, "ic 3x3 32x32 16>16", [32, 32, 16], [3, 3], 1, [32, 32, 16], [1, 1]),
        conv(isa, "ic 3x3 /2 16>32", [32, 32, 16], [3, 3], 2, [16, 16, 32], [0, 0]),
        conv(isa, "ic 3x3 16x16 32>32", [16, 16, 32], [3, 3], 1, [16, 16, 32], [1, 1]),
        conv(isa, "ic 1x1 /2 16>32", [32, 32, 16], [1, 1], 2, [16, 16, 32], [0, 0]),
        conv(isa, "ic 3x3 /2 32>64", [16, 16, 32], [3, 3], 2, [8, 8, 64], [0, 0]),
        conv(isa, "ic 3x3 8x8 64>64", [8, 8, 64], [3, 3], 1, [8, 8, 64], [1, 1]),
        sum(isa, "ic add 32x32x16", 32 * 32 * 16),
        dense(isa, "ad01 640>128", 640, 128),
        dense(isa, "ad01 128>128", 128, 128),
        dense(isa, "ad01 128>8", 128, 8),
        dense(isa, "ad01 8>128", 8, 128),
        dense(isa, "ad01 128>640", 128, 640),
        autoencoder(isa),
    ]
}

/// Pseudo-random numbers.
fn noise(n: usize) -> Vec<i8> {
    let mut x = 1u32;
    let next = |_| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((x >> 24) as i8).max(-127)
    };
    (0..n).map(next).collect()
}

fn packed<T>(outputs: usize, k: usize, pack: impl Fn(&Weights<'_>) -> T) -> (T, Requant) {
    let values = noise(outputs * k);
    let bias = vec![100; outputs];
    let weights =
        Weights { values: &values, outputs, zeros: &[0], bias: Some(&bias), input_zero: -5 };
    (pack(&weights), Requant::new(&vec![0.001; outputs], outputs, OutputQuant::full(3)))
}

/// `input` and `output` are (height, width, channels).
fn conv(
    isa: Isa,
    name: &'static str,
    input: [usize; 3],
    kernel: [usize; 2],
    stride: usize,
    output: [usize; 3],
    pad: [usize; 2],
) -> Layer {
    let window = ConvGeometry {
        input: [input[0], input[1]],
        channels: input[2],
        output: [output[0], output[1]],
        kernel,
        stride: [stride; 2],
        dilation: [1, 1],
        pad,
    };
    let k = window.taps() * input[2];
    let (conv, requant) =
        packed(output[2], k, |w| Conv::new(isa, &window, 1, w).expect("sound weights"));
    let (x, mut y) = (noise(window.input_len()), vec![0; conv.output_len()]);
    let macs = y.len() * k;
    let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
    let run =
        Box::new(move || conv.run(None, &x, OutputBuffer::S8(&mut y, &requant), &mut scratch));
    Layer { name, macs, run }
}

fn depthwise(isa: Isa, name: &'static str, [h, w, channels]: [usize; 3]) -> Layer {
    let window = ConvGeometry {
        input: [h, w],
        channels,
        output: [h, w],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1, 1],
    };
    let (conv, requant) =
        packed(channels, 9, |w| Depthwise::new(isa, &window, w).expect("sound weights"));
    let (x, mut y) = (noise(window.input_len()), vec![0; conv.output_len()]);
    let macs = y.len() * 9;
    let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
    let run =
        Box::new(move || conv.run(None, &x, OutputBuffer::S8(&mut y, &requant), &mut scratch));
    Layer { name, macs, run }
}

fn dense(isa: Isa, name: &'static str, k: usize, n: usize) -> Layer {
    let (dense, requant) = packed(n, k, |w| Dense::for_one_row(isa, w).expect("sound weights"));
    let (x, mut y) = (noise(k), vec![0; n]);
    let mut scratch = Scratch::with_bytes(dense.scratch_bytes(1));
    let run =
        Box::new(move || dense.run(None, 1, &x, OutputBuffer::S8(&mut y, &requant), &mut scratch));
    Layer { name, macs: n * k, run }
}

fn sum(isa: Isa, name: &'static str, n: usize) -> Layer {
    let (a, b, mut y) = (noise(n), noise(n), vec![0; n]);
    let terms = [Term { zero: 3, ratio: 0.7 }, Term { zero: -3, ratio: 0.4 }];
    let run = Box::new(move || add(isa, terms, &a, &b, OutputQuant::full(1), &mut y));
    Layer { name, macs: n, run }
}

/// All ten dense layers, one after the other: weights come from the second-level cache.
fn autoencoder(isa: Isa) -> Layer {
    let widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640];
    let mut layers: Vec<Layer> = widths.windows(2).map(|w| dense(isa, "", w[0], w[1])).collect();
    let macs = layers.iter().map(|l| l.macs).sum();
    let run = Box::new(move || layers.iter_mut().for_each(|l| (l.run)()));
    Layer { name: "ad01 all", macs, run }
}
