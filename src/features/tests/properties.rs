//! Windows that overlap, bits, and what is refused.

use fastrand::Rng;

use super::*;
use crate::features::{FeatureShape, NotFinite, Statistic, Trend};

fn noise(random: &mut Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| f64::from(random.f32() * 2.0 - 1.0)).collect()
}

/// The windows of a stream of two channels, channel by channel.
fn windows(stream: &[Vec<f64>], samples: usize, hop: usize) -> Vec<Vec<f64>> {
    let count = (stream[0].len() - samples) / hop + 1;
    let window =
        |at: usize| stream.iter().flat_map(move |c| c[at..at + samples].to_vec()).collect();
    (0..count).map(|place| window(place * hop)).collect()
}

fn framed() -> Vec<Vec<FeatureBlock>> {
    let frames = spectrogram(0.02, 0.01, 32, PowerScale::Log);
    let mel = mel(frames, 6, 50.0, 500.0);
    vec![
        vec![FeatureBlock::Spectrogram(frames)],
        pre_emphasized(FeatureBlock::Mel(mel)),
        pre_emphasized(cepstrum(mel, 4, 5)),
        vec![FeatureBlock::Difference { order: 1 }, FeatureBlock::Mel(mel)],
        vec![FeatureBlock::Lag(vec![0, 2]), FeatureBlock::Spectrogram(frames)],
        vec![FeatureBlock::FftPower(power(16, true))],
    ]
}

/// A frame is transformed once however many windows it is in, and nobody can tell.
#[test]
fn overlapping_windows_have_the_same_bits_with_and_without_the_cache() {
    let mut random = Rng::with_seed(3);
    let (samples, hop) = (200, 40);
    for blocks in framed() {
        let source = Source { hop, ..source(samples, 2, 1000.0) };
        let plan = FeaturePlan::new(&blocks, source).unwrap();
        let (mut cached, mut plain) = (FeatureBuffers::default(), FeatureBuffers::without_cache());
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let devices: Vec<Vec<Vec<f64>>> = (0..3)
            .map(|_| {
                let channels = [noise(&mut random, 1000), noise(&mut random, 1000)];
                windows(&channels, samples, hop)
            })
            .collect();
        // Devices take turns; some windows are left out, some come again, one has another sample.
        for place in 0..devices[0].len() {
            for device in &devices {
                if random.u8(..5) == 0 {
                    continue;
                }
                let mut window = device[place].clone();
                if random.u8(..5) == 0 {
                    window[random.usize(..2 * samples)] += 0.5;
                }
                for _ in 0..random.usize(1..3) {
                    plan.run(&window, &mut cached, &mut with).unwrap();
                    plan.run(&window, &mut plain, &mut without).unwrap();
                    let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&with), bits(&without), "{blocks:?}");
                }
            }
        }
        assert!(cached.copied_frames() > 100, "{blocks:?}: {}", cached.copied_frames());
        assert_eq!(plain.copied_frames(), 0);
    }
}

/// Of windows one after the other, only new frames are transformed.
#[test]
fn a_frame_is_transformed_once() {
    let stream = [noise(&mut Rng::with_seed(4), 1000)];
    let frames = spectrogram(0.02, 0.01, 32, PowerScale::Log);
    let run = |block: Vec<FeatureBlock>| {
        let plan = FeaturePlan::new(&block, Source { hop: 40, ..source(200, 1, 1000.0) }).unwrap();
        let mut buffers = FeatureBuffers::default();
        for window in windows(&stream, 200, 40) {
            plan.run(&window, &mut buffers, &mut Vec::new()).unwrap();
        }
        buffers.copied_frames()
    };
    // 21 windows of 19 frames, 4 of them new.
    assert_eq!(run(vec![FeatureBlock::Spectrogram(frames)]), 20 * 15);
    // The first frame has the last sample of its window in it.
    assert_eq!(run(pre_emphasized(FeatureBlock::Spectrogram(frames))), 20 * 14);
    // Every sample depends on the whole window.
    let detrended = vec![FeatureBlock::Detrend(Trend::Linear), FeatureBlock::Spectrogram(frames)];
    assert_eq!(run(detrended), 0);
}

#[test]
fn a_series_that_is_not_finite_has_no_features() {
    for blocks in
        framed().into_iter().chain([vec![FeatureBlock::Statistics(vec![Statistic::Average])]])
    {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let plan = FeaturePlan::new(&blocks, source(200, 2, 1000.0)).unwrap();
            let mut series = noise(&mut Rng::with_seed(5), 400);
            series[37] = bad;
            let run = plan.run(&series, &mut FeatureBuffers::default(), &mut Vec::new());
            let average = matches!(blocks[0], FeatureBlock::Statistics(_)) && bad.is_finite();
            assert_eq!(run, if average { Ok(()) } else { Err(NotFinite) }, "{blocks:?} {bad}");
        }
    }
}

/// Silence and constants have features, too.
#[test]
fn a_constant_series_has_finite_features() {
    let spectral = [
        FeatureBlock::Detrend(Trend::Constant),
        FeatureBlock::Statistics(Statistic::NAMES.map(|(_, it)| it).to_vec()),
        FeatureBlock::FftPower(FftPower { statistics: true, ..power(16, true) }),
    ];
    for blocks in framed().into_iter().chain([spectral.to_vec()]) {
        for value in [0.0, -0.0, 9.81, -1e6] {
            let made = run(&blocks, source(200, 2, 1000.0), &[value; 400]).unwrap();
            assert!(made.iter().all(|x| x.is_finite()), "{blocks:?} {value}");
        }
    }
}

#[test]
fn features_of_several_blocks_follow_one_another_channel_by_channel() {
    let statistics = |of: &[Statistic]| FeatureBlock::Statistics(of.to_vec());
    let standard = FeatureBlock::Standardize { mean: vec![1.0], std: vec![2.0] };
    let blocks = [
        statistics(&[Statistic::Average, Statistic::Maximum]),
        FeatureBlock::Detrend(Trend::Constant),
        statistics(&[Statistic::Maximum]),
        standard,
    ];
    let made = run(&blocks, source(3, 2, 1.0), &[1.0, 2.0, 3.0, 10.0, 20.0, 60.0]).unwrap();
    let raw = [2.0, 3.0, 1.0, 30.0, 60.0, 30.0];
    assert_eq!(made, raw.map(|x| (x - 1.0) / 2.0));
}

#[test]
fn numbers_come_in_the_order_of_the_axes() {
    let series = [1.0, 2.0, 4.0, 10.0, 20.0, 40.0];
    let difference = [FeatureBlock::Difference { order: 1 }];
    let by_time = source(3, 2, 1.0);
    let by_channel = Source { order: AxisOrder::ChannelFirst, ..by_time };
    assert_eq!(run(&difference, by_time, &series).unwrap(), [1.0, 10.0, 2.0, 20.0]);
    assert_eq!(run(&difference, by_channel, &series).unwrap(), [1.0, 2.0, 10.0, 20.0]);
    let frames = [FeatureBlock::Spectrogram(spectrogram(4.0, 4.0, 4, PowerScale::Power))];
    let series = noise(&mut Rng::with_seed(6), 16);
    let (rows, columns) =
        (source(8, 2, 1.0), Source { order: AxisOrder::ChannelFirst, ..source(8, 2, 1.0) });
    let (rows, columns) =
        (run(&frames, rows, &series).unwrap(), run(&frames, columns, &series).unwrap());
    for (channel, frame, bin) in (0..12).map(|i| (i / 6, i / 3 % 2, i % 3)) {
        let of = |at: usize| channel * 6 + at;
        assert_eq!(rows[of(frame * 3 + bin)].to_bits(), columns[of(bin * 2 + frame)].to_bits());
    }
}

#[test]
fn a_shape_fits_a_tensor_or_not() {
    let frames = FeatureShape::Frames { channels: 1, frames: 9, width: 32 };
    for (shape, order, fits) in [
        (&[1, 9, 32][..], AxisOrder::TimeFirst, true),
        (&[1, 9, 32, 1], AxisOrder::TimeFirst, true),
        (&[288], AxisOrder::TimeFirst, true),
        (&[1, 32, 9], AxisOrder::TimeFirst, false),
        (&[1, 32, 9], AxisOrder::ChannelFirst, true),
        (&[1, 9, 31], AxisOrder::TimeFirst, false),
        (&[usize::MAX, 2], AxisOrder::TimeFirst, false),
    ] {
        assert_eq!(frames.fits(shape, order), fits, "{shape:?}");
    }
}

/// The bits of every block, so that a board with others fails this test.
#[test]
fn the_bits_are_those_of_every_board() {
    let mut random = Rng::with_seed(9);
    let series = noise(&mut random, 400);
    let filters = [PassBand::Below(20.0), PassBand::Above(30.0), PassBand::Between(10.0, 90.0)];
    let series_blocks = filters.into_iter().map(|band| vec![filter(band, 5)]).chain([
        vec![FeatureBlock::Detrend(Trend::Linear)],
        vec![FeatureBlock::Resample { up: 3, down: 7 }],
        vec![FeatureBlock::Statistics(Statistic::NAMES.map(|(_, it)| it).to_vec())],
    ]);
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for blocks in series_blocks.chain(framed()) {
        for x in run(&blocks, source(200, 2, 1000.0), &series).unwrap() {
            // FNV-1a of the bytes.
            for byte in x.to_bits().to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    assert_eq!(format!("{hash:016x}"), "8becbeffb76fa2af");
}
