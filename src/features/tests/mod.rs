//! Features against those of scipy, librosa and Edge Impulse, and their properties.

mod blocks;
mod oracle;
mod properties;
mod random;

use super::{
    AxisOrder, FeatureBlock, FeatureBuffers, FeatureError, FeaturePlan, FftPower, Filter, Hold,
    InitialState, Mel, MelFilters, Mfcc, PassBand, PowerScale, Source, Spectrogram, Taper,
};

/// A series of `channels`, sample by sample, as the source of a plan.
fn source(samples: usize, channels: usize, rate: f64) -> Source {
    Source { samples, channels, rate: Some(rate), hop: 0, order: AxisOrder::TimeFirst }
}

fn filter(band: PassBand, order: usize) -> FeatureBlock {
    FeatureBlock::Filter(Filter { band, order, initial: InitialState::Zero })
}

fn spectrogram(length: f64, stride: f64, fft_length: usize, scale: PowerScale) -> Spectrogram {
    let (taper, divide) = (Taper::None, true);
    Spectrogram { frame_length: length, frame_stride: stride, fft_length, taper, divide, scale }
}

fn mel(frames: Spectrogram, num_filters: usize, low: f64, high: f64) -> Mel {
    let filters = MelFilters::Bins;
    Mel { frames, num_filters, low_frequency: low, high_frequency: Some(high), filters }
}

fn power(fft_length: usize, overlap: bool) -> FftPower {
    FftPower {
        fft_length,
        taper: Taper::None,
        overlap,
        hold: Hold::Maximum,
        log: true,
        drop_dc: true,
        statistics: false,
        low_frequency: None,
        high_frequency: None,
    }
}

/// The features of rows of samples.
fn run(blocks: &[FeatureBlock], source: Source, series: &[f64]) -> Result<Vec<f64>, FeatureError> {
    let plan = FeaturePlan::new(blocks, source)?;
    let mut out = Vec::new();
    plan.run(series, &mut FeatureBuffers::default(), &mut out).unwrap();
    assert_eq!(out.len(), plan.shape().len());
    Ok(out)
}

fn pre_emphasized(block: FeatureBlock) -> Vec<FeatureBlock> {
    vec![FeatureBlock::PreEmphasis { coefficient: 0.98, shift: 1 }, block]
}

fn cepstrum(mel: Mel, num_cepstral: usize, win_size: usize) -> FeatureBlock {
    FeatureBlock::Mfcc(Mfcc { mel, num_cepstral, energy: true, win_size })
}
