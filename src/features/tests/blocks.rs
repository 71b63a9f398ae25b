//! Blocks that do not fit are refused with a reason.

use super::*;
use crate::features::{FeatureShape, Statistic};

fn refused(blocks: &[FeatureBlock], source: Source) -> String {
    FeaturePlan::new(blocks, source).unwrap_err().to_string()
}

/// Blocks, what they take, and a part of the reason why they are refused.
type Refusal = (Vec<FeatureBlock>, Source, &'static str);

fn at(rate: f64) -> Source {
    source(200, 2, rate)
}

fn unrated() -> Source {
    Source { rate: None, ..at(1.0) }
}

fn stats() -> FeatureBlock {
    FeatureBlock::Statistics(vec![Statistic::Rms])
}

fn of_series() -> Vec<Refusal> {
    let low = || filter(PassBand::Below(20.0), 4);
    vec![
        (vec![low()], unrated(), "block 0 (filter): it needs `rate`"),
        (vec![stats(), low()], at(40.0), "block 1 (filter): filter_cutoff 20 Hz is not between"),
        (vec![filter(PassBand::Between(9.0, 3.0), 2)], at(40.0), "not in ascending order"),
        (vec![filter(PassBand::Below(1e-9), 8)], at(1000.0), "not stable"),
        (vec![FeatureBlock::Lag(vec![0, 200])], unrated(), "block 0 (lag): no sample of 200"),
        (vec![FeatureBlock::Lag(vec![])], unrated(), "`lags` is empty"),
        (
            vec![stats(), FeatureBlock::Lag(vec![1])],
            unrated(),
            "comes before blocks that make features",
        ),
        (vec![FeatureBlock::Difference { order: 3 }], source(3, 1, 1.0), "no sample of 3"),
        (vec![FeatureBlock::Lag((0..1000).collect())], source(100_000, 2, 1.0), "at most 16777216"),
    ]
}

fn of_features() -> Vec<Refusal> {
    let columns = Source { order: AxisOrder::ChannelFirst, ..at(1000.0) };
    let standard = |mean: &[f64], std: &[f64]| FeatureBlock::Standardize {
        mean: mean.to_vec(),
        std: std.to_vec(),
    };
    vec![
        (vec![stats(), stats()], columns, "leave `layout` out"),
        (vec![stats(), standard(&[0.0; 3], &[1.0])], unrated(), "one, or 2"),
        (vec![stats(), standard(&[0.0], &[0.0])], unrated(), "`std` is not above 0"),
        (vec![standard(&[0.0], &[1.0]), stats()], unrated(), "standardize is the last block"),
        (
            vec![FeatureBlock::FftPower(FftPower { low_frequency: Some(1.0), ..power(16, false) })],
            unrated(),
            "without `rate`",
        ),
        (
            vec![FeatureBlock::FftPower(FftPower {
                low_frequency: Some(499.0),
                high_frequency: Some(1.0),
                ..power(16, false)
            })],
            at(1000.0),
            "no bin",
        ),
        (
            vec![FeatureBlock::FftPower(FftPower { hold: Hold::Mean, ..power(256, false) })],
            unrated(),
            "longer than 200",
        ),
    ]
}

fn of_frames() -> Vec<Refusal> {
    let frames = spectrogram(0.02, 0.01, 32, PowerScale::Log);
    vec![
        (vec![FeatureBlock::Spectrogram(frames)], unrated(), "needs `rate`"),
        (
            vec![FeatureBlock::Spectrogram(frames)],
            source(19, 1, 1000.0),
            "longer than the 19 samples",
        ),
        (vec![FeatureBlock::Spectrogram(frames)], at(0.01), "at least one sample"),
        (
            vec![FeatureBlock::Mel(mel(frames, 30, 0.0, 500.0))],
            at(1000.0),
            "no bin of an FFT of 32",
        ),
        (vec![FeatureBlock::Mel(mel(frames, 4, 0.0, 501.0))], at(1000.0), "half the rate, 500 Hz"),
        (vec![cepstrum(mel(frames, 4, 0.0, 500.0), 5, 0)], at(1000.0), "more than num_filters 4"),
        (vec![cepstrum(mel(frames, 4, 0.0, 500.0), 3, 4)], at(1000.0), "win_size 4 is even"),
        (
            vec![FeatureBlock::Spectrogram(Spectrogram {
                frame_stride: 0.001,
                fft_length: 65_536,
                ..frames
            })],
            source(100_000, 1, 1000.0),
            "too many for a window",
        ),
    ]
}

#[test]
fn what_does_not_fit_is_refused_with_its_block() {
    for (blocks, source, reason) in of_series().into_iter().chain(of_features()).chain(of_frames())
    {
        let message = refused(&blocks, source);
        assert!(message.contains(reason), "{message} lacks {reason}");
    }
}

#[test]
fn shapes_follow_from_the_blocks() {
    let frames = spectrogram(0.02, 0.01, 32, PowerScale::Log);
    let stats = || FeatureBlock::Statistics(vec![Statistic::Rms, Statistic::Crest]);
    let shape = |blocks: &[FeatureBlock]| {
        *FeaturePlan::new(blocks, source(200, 3, 1000.0)).unwrap().shape()
    };
    let resample = FeatureBlock::Resample { up: 1, down: 3 };
    let lag = FeatureBlock::Lag(vec![0, 1, 2, 3]);
    assert_eq!(shape(&[resample, lag]), FeatureShape::Series { samples: 64, channels: 12 });
    assert_eq!(shape(&[stats()]), FeatureShape::Vector { channels: 3, features: 2 });
    let one = FeatureBlock::Spectrogram(frames);
    let made = FeatureShape::Frames { channels: 3, frames: 19, width: 17 };
    assert_eq!(shape(std::slice::from_ref(&one)), made);
    let together = FeatureShape::Vector { channels: 3, features: 2 + 19 * 17 };
    assert_eq!(shape(&[stats(), one]), together);
}
