//! Lists of blocks at random: refused, or run to numbers of the shape that was promised.

use fastrand::Rng;

use super::*;
use crate::features::{Statistic, Trend};

fn hertz(random: &mut Rng) -> Option<f64> {
    random.bool().then(|| random.f64() * 600.0)
}

fn frames(random: &mut Rng) -> Spectrogram {
    let scales =
        [PowerScale::Power, PowerScale::Log, PowerScale::Decibel, PowerScale::NoiseFloor(-52.0)];
    Spectrogram {
        frame_length: random.f64() * 0.1,
        frame_stride: random.f64() * 0.05,
        fft_length: 16 << random.u8(..4),
        taper: random.choice([Taper::None, Taper::Hann, Taper::Hamming]).unwrap(),
        divide: random.bool(),
        scale: random.choice(scales).unwrap(),
    }
}

fn filters(random: &mut Rng) -> Mel {
    let forms = [MelFilters::Bins, MelFilters::Slaney, MelFilters::Htk];
    Mel {
        frames: frames(random),
        num_filters: random.usize(2..20),
        low_frequency: random.f64() * 300.0,
        high_frequency: hertz(random),
        filters: random.choice(forms).unwrap(),
    }
}

fn summary(random: &mut Rng) -> FeatureBlock {
    match random.u8(..5) {
        0 => {
            let all = Statistic::NAMES.map(|(_, it)| it);
            FeatureBlock::Statistics(all[..random.usize(..all.len())].to_vec())
        }
        1 => FeatureBlock::FftPower(FftPower {
            taper: random.choice([Taper::None, Taper::Hann]).unwrap(),
            hold: random.choice([Hold::Maximum, Hold::Mean]).unwrap(),
            log: random.bool(),
            drop_dc: random.bool(),
            statistics: random.bool(),
            low_frequency: hertz(random),
            high_frequency: hertz(random),
            ..power(16 << random.u8(..4), random.bool())
        }),
        2 => FeatureBlock::Spectrogram(frames(random)),
        3 => FeatureBlock::Mel(filters(random)),
        _ => FeatureBlock::Mfcc(Mfcc {
            mel: filters(random),
            num_cepstral: random.usize(1..20),
            energy: random.bool(),
            win_size: random.usize(..6),
        }),
    }
}

fn block(random: &mut Rng) -> FeatureBlock {
    match random.u8(..10) {
        0 => FeatureBlock::Detrend(random.choice([Trend::Constant, Trend::Linear]).unwrap()),
        1 => {
            let (low, high) = (random.f64() * 500.0, random.f64() * 500.0);
            let bands = [PassBand::Below(low), PassBand::Above(low), PassBand::Between(low, high)];
            let initial = random.choice([InitialState::Zero, InitialState::Steady]).unwrap();
            let (band, order) = (random.choice(bands).unwrap(), random.usize(1..13));
            FeatureBlock::Filter(Filter { band, order, initial })
        }
        2 => FeatureBlock::Resample { up: random.usize(1..5), down: random.usize(1..5) },
        3 => FeatureBlock::Lag((0..random.usize(..3)).map(|_| random.usize(..9)).collect()),
        4 => FeatureBlock::Difference { order: random.usize(1..4) },
        5 => {
            let (coefficient, shift) = (random.f64() * 2.0 - 1.0, random.usize(1..9));
            FeatureBlock::PreEmphasis { coefficient, shift }
        }
        6 => FeatureBlock::Standardize { mean: vec![random.f64()], std: vec![random.f64()] },
        _ => summary(random),
    }
}

#[test]
fn blocks_at_random_are_refused_or_give_their_shape() {
    let (mut random, mut made, mut refused) = (Rng::with_seed(12), 0, 0);
    for _ in 0..3000 {
        let (samples, channels) = (random.usize(1..150), random.usize(1..4));
        let order = random.choice([AxisOrder::TimeFirst, AxisOrder::ChannelFirst]).unwrap();
        let source =
            Source { order, hop: random.usize(..samples), ..source(samples, channels, 1000.0) };
        let blocks: Vec<_> = (0..random.usize(1..5)).map(|_| block(&mut random)).collect();
        let Ok(plan) = FeaturePlan::new(&blocks, source) else {
            refused += 1;
            continue;
        };
        let (mut buffers, mut out) = (FeatureBuffers::default(), Vec::new());
        for _ in 0..2 {
            let series: Vec<f64> = (0..samples * channels).map(|_| random.f64() - 0.5).collect();
            plan.run(&series, &mut buffers, &mut out).unwrap_or_else(|_| panic!("{blocks:?}"));
            assert_eq!(out.len(), plan.shape().len(), "{blocks:?}");
            let axes: usize = plan.shape().axes(order).iter().product();
            assert_eq!(out.len(), axes, "{blocks:?}");
        }
        made += 1;
    }
    assert!(made > 300 && refused > 300, "{made} made, {refused} refused");
}
