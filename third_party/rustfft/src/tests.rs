use super::*;

/// The definition, term by term.
fn sums(values: &[Complex<f64>], sign: f64) -> Vec<Complex<f64>> {
    let len = values.len();
    (0..len)
        .map(|k| {
            values
                .iter()
                .enumerate()
                .map(|(j, v)| v * turn(sign * 2.0 * (j * k % len) as f64, len))
                .sum()
        })
        .collect()
}

/// Numbers without a pattern between -1 and 1.
fn noise(len: usize) -> Vec<Complex<f64>> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..len).map(|_| Complex::new(next(), next())).collect()
}

fn distance(a: &[Complex<f64>], b: &[Complex<f64>]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f64::max)
}

#[test]
fn every_length_is_the_sum_of_its_definition() {
    for len in (1..=70).chain([97, 128, 240, 257, 480, 512, 1000]) {
        for (direction, sign) in [(FftDirection::Forward, -1.0), (FftDirection::Inverse, 1.0)] {
            let (given, mut taken) = (noise(len), noise(len));
            FftPlanner::new().plan_fft(len, direction).process(&mut taken);
            let off = distance(&taken, &sums(&given, sign));
            assert!(off < 1e-11, "{len} {direction:?}: {off}");
        }
    }
}

#[test]
fn singles_are_transformed_in_doubles() {
    for len in [16, 30] {
        let single = |v: f64| v.to_f32().unwrap();
        let given: Vec<Complex<f32>> =
            noise(len).iter().map(|v| Complex::new(single(v.re), single(v.im))).collect();
        let mut taken = given.clone();
        FftPlanner::new().plan_fft_forward(len).process(&mut taken);
        let given: Vec<_> = given.iter().map(|v| Complex::new(v.re.into(), v.im.into())).collect();
        for (taken, exact) in taken.iter().zip(sums(&given, -1.0)) {
            // The nearest single, or its neighbour where doubles round to just beside the middle.
            assert!((f64::from(taken.re) - exact.re).abs() <= exact.re.abs() * 2e-7 + 1e-13);
            assert!((f64::from(taken.im) - exact.im).abs() <= exact.im.abs() * 2e-7 + 1e-13);
        }
    }
}

#[test]
fn a_buffer_holds_several_and_a_rest_is_left() {
    let (given, mut taken) = (noise(3 * 12 + 5), noise(3 * 12 + 5));
    FftPlanner::new().plan_fft_forward(12).process(&mut taken);
    for (given, taken) in given.chunks_exact(12).zip(taken.chunks_exact(12)) {
        assert!(distance(taken, &sums(given, -1.0)) < 1e-12);
    }
    assert_eq!(given[36..], taken[36..]);
    FftPlanner::new().plan_fft_forward(0).process(&mut taken);
}

#[test]
fn there_and_back_is_the_length_times_what_was() {
    // 65,537 is a prime: the length that is the most work.
    for len in [4096, 65_537] {
        let (given, mut taken) = (noise(len), noise(len));
        FftPlanner::new().plan_fft(len, FftDirection::Forward).process(&mut taken);
        FftPlanner::new().plan_fft(len, FftDirection::Inverse).process(&mut taken);
        let scaled: Vec<_> = taken.iter().map(|v| v / len as f64).collect();
        assert!(distance(&scaled, &given) < 1e-12);
    }
}
