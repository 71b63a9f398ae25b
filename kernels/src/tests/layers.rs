//! Products and convolutions against their defining sums.
use super::*;

#[test]
fn dense_is_its_defining_sum() {
    let mut dice = Dice::new(1);
    for case in 0..cases(400) {
        let (n, k) = (dice.pick(1, 70), dice.pick(1, 70));
        let m = if case % 2 == 0 { 1 } else { dice.pick(1, 20) };
        let layer = Layer::random(&mut dice, n, k);
        let input = activations(&mut dice, m * k);
        let zero = dice.s8();
        for isa in Isa::available() {
            let pack = if case % 4 < 2 { Dense::new } else { Dense::for_one_row };
            let dense = pack(isa, &layer.weights()).unwrap();
            let mut scratch = Scratch::with_bytes(dense.scratch_bytes(m));
            let own = |out: OutputBuffer<'_>| dense.run(None, m, &input, out, &mut scratch);
            let (own, ..) = tails(m * n, n, &mut dice, own);
            let given = |out: OutputBuffer<'_>| dense.run(Some(zero), m, &input, out, &mut scratch);
            let (given, ..) = tails(m * n, n, &mut dice, given);
            for (row, a) in input.chunks(k).enumerate() {
                for column in 0..n {
                    let at = row * n + column;
                    let expected = layer.accumulate(column, layer.input_zero, a);
                    assert_eq!(i64::from(own[at]), expected, "{isa:?} {m} x {k} x {n} at {at}");
                    let expected = layer.accumulate(column, zero, a);
                    assert_eq!(i64::from(given[at]), expected, "{isa:?} {m} x {k} x {n} at {at}");
                }
            }
        }
    }
}

#[test]
fn matmul_of_two_computed_sides_is_its_defining_sum() {
    let mut dice = Dice::new(2);
    for _ in 0..cases(300) {
        let [m, k, n] = [0; 3].map(|_| dice.pick(1, 40));
        let (a, b) = (activations(&mut dice, m * k), activations(&mut dice, k * n));
        let zeros = [dice.zero(), dice.zero()];
        for (isa, layout) in Isa::available()
            .into_iter()
            .flat_map(|isa| [(isa, Layout::RowMajor), (isa, Layout::Transposed)])
        {
            let product = Matmul::new(isa, [m, k, n], layout).unwrap();
            let mut scratch = Scratch::with_bytes(product.scratch_bytes());
            let run = |out: OutputBuffer<'_>| product.run(&a, &b, zeros, out, &mut scratch);
            let (sums, ..) = tails(m * n, n, &mut dice, run);
            for (at, &sum) in sums.iter().enumerate() {
                let (i, j) = (at / n, at % n);
                let expected: i64 = (0..k)
                    .map(|l| {
                        let b = b[if layout == Layout::RowMajor { l * n + j } else { j * k + l }];
                        (i64::from(a[i * k + l]) - i64::from(zeros[0]))
                            * (i64::from(b) - i64::from(zeros[1]))
                    })
                    .sum();
                assert_eq!(i64::from(sum), expected, "{isa:?} {m} x {k} x {n} at {at}");
            }
        }
    }
}

#[test]
fn conv_is_its_defining_sum() {
    let mut dice = Dice::new(3);
    for case in 0..cases(400) {
        let groups = if case % 4 == 0 { dice.pick(1, 3) } else { 1 };
        let (per_group, outputs) = (dice.pick(1, 9), dice.pick(1, 24) * groups);
        let mut window = random_window(&mut dice, per_group * groups);
        if case % 10 == 1 {
            (window.kernel, window.stride, window.pad) = ([1, 1], [1, 1], [0, 0]);
            window.output = window.input;
        }
        let layer = Layer::random(&mut dice, outputs, window.taps() * per_group);
        let input = activations(&mut dice, window.input_len());
        let given = (dice.pick(0, 1) == 0).then(|| dice.s8());
        for isa in Isa::available() {
            let conv = Conv::new(isa, &window, groups, &layer.weights()).unwrap();
            let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
            let (sums, ..) = tails(conv.output_len(), outputs, &mut dice, |out| {
                conv.run(given, &input, out, &mut scratch);
            });
            let zero = given.unwrap_or(layer.input_zero);
            for (at, &sum) in sums.iter().enumerate() {
                let (position, output) = (at / outputs, at % outputs);
                let group = output / (outputs / groups);
                let channels = group * per_group..(group + 1) * per_group;
                let expected = layer.accumulate(
                    output,
                    zero,
                    &seen(&window, &input, position, channels, zero),
                );
                assert_eq!(i64::from(sum), expected, "{isa:?} {window:?} groups {groups} at {at}");
            }
        }
    }
}

#[test]
fn depthwise_is_its_defining_sum() {
    let mut dice = Dice::new(4);
    for case in 0..cases(400) {
        let mut window = random_window(&mut dice, 1);
        window.channels = dice.pick(1, 70);
        if case % 2 == 0 && window.input.iter().all(|&v| v >= 3) {
            (window.kernel, window.dilation, window.stride) = ([3, 3], [1, 1], [1, 1]);
            (window.pad, window.output) = ([1, 1], window.input);
        }
        let layer = Layer::random(&mut dice, window.channels, window.taps());
        let input = activations(&mut dice, window.input_len());
        let given = (dice.pick(0, 1) == 0).then(|| dice.s8());
        let n = window.channels;
        for isa in Isa::available() {
            let conv = Depthwise::new(isa, &window, &layer.weights()).unwrap();
            let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
            let (sums, ..) = tails(conv.output_len(), n, &mut dice, |out| {
                conv.run(given, &input, out, &mut scratch);
            });
            let zero = given.unwrap_or(layer.input_zero);
            for (at, &sum) in sums.iter().enumerate() {
                let c = at % n;
                let expected =
                    layer.accumulate(c, zero, &seen(&window, &input, at / n, c..c + 1, zero));
                assert_eq!(i64::from(sum), expected, "{isa:?} {window:?} at {at}");
            }
        }
    }
}

#[test]
fn large_pictures_are_convolved_in_tiles() {
    let mut dice = Dice::new(5);
    let side = if cfg!(miri) { 20 } else { 130 };
    let window = ConvGeometry {
        input: [side, side],
        channels: 12,
        output: [side, side],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1, 1],
    };
    let layer = Layer::random(&mut dice, 5, 9 * 12);
    let input = dice.s8s(window.input_len());
    for isa in Isa::available() {
        let conv = Conv::new(isa, &window, 1, &layer.weights()).unwrap();
        let mut scratch = Scratch::with_bytes(conv.scratch_bytes());
        let mut sums = vec![0; conv.output_len()];
        conv.run(None, &input, OutputBuffer::I32(&mut sums), &mut scratch);
        for (at, &sum) in sums.iter().enumerate().step_by(7) {
            let seen = seen(&window, &input, at / 5, 0..12, layer.input_zero);
            assert_eq!(i64::from(sum), layer.accumulate(at % 5, layer.input_zero, &seen), "{at}");
        }
    }
}

#[test]
fn unusable_weights_are_rejected() {
    let values = vec![127; 40_000 * 2];
    let bias = [i32::MAX - 1000];
    let weights =
        Weights { values: &values, outputs: 1, zeros: &[-128], bias: None, input_zero: 0 };
    assert_eq!(
        Dense::new(Isa::SCALAR, &weights).unwrap_err(),
        WeightsError::Overflow { output: 0 }
    );
    let weights = Weights { values: &values[..10], zeros: &[0], ..weights };
    assert!(Dense::new(Isa::SCALAR, &weights).is_ok());
    let weights = Weights { bias: Some(&bias), ..weights };
    assert!(matches!(Dense::new(Isa::SCALAR, &weights), Err(WeightsError::Overflow { .. })));
    let weights = Weights { bias: Some(&[1, 2]), ..weights };
    assert!(matches!(Dense::new(Isa::SCALAR, &weights), Err(WeightsError::Shape { .. })));
    let weights = Weights { values: &[], bias: None, ..weights };
    assert!(Dense::new(Isa::SCALAR, &weights).is_err());
}
