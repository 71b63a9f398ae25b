//! The cases of `oracle.json`, which `oracle.py` writes.

use serde_json::Value;

use super::*;
use crate::features::{Statistic, Trend};

const ORACLE: &str = include_str!("oracle.json");

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn ei_spectral(filtered: Option<FeatureBlock>, spec: FftPower) -> Vec<FeatureBlock> {
    let statistics = vec![Statistic::Rms, Statistic::Skewness, Statistic::Kurtosis];
    let rest = [
        FeatureBlock::Detrend(Trend::Constant),
        FeatureBlock::Statistics(statistics),
        FeatureBlock::FftPower(FftPower { statistics: true, ..spec }),
    ];
    filtered.into_iter().chain(rest).collect()
}

fn welch(taper: Taper, fft_length: usize, overlap: bool) -> Vec<FeatureBlock> {
    let spec = power(fft_length, overlap);
    let spec = FftPower { taper, hold: Hold::Mean, log: false, drop_dc: false, ..spec };
    vec![FeatureBlock::FftPower(spec)]
}

/// As librosa frames audio at 16 kHz.
fn librosa(scale: PowerScale) -> Spectrogram {
    let spec = spectrogram(512.0 / 16_000.0, 256.0 / 16_000.0, 512, scale);
    Spectrogram { taper: Taper::Hann, divide: false, ..spec }
}

fn librosa_mel(scale: PowerScale) -> Mel {
    Mel { filters: MelFilters::Slaney, ..mel(librosa(scale), 40, 0.0, 8000.0) }
}

fn series_blocks(name: &str) -> Option<Vec<FeatureBlock>> {
    use PassBand::{Above, Below, Between};
    Some(vec![match name {
        "detrend-constant" => FeatureBlock::Detrend(Trend::Constant),
        "detrend-linear" => FeatureBlock::Detrend(Trend::Linear),
        "filter-low-6" => filter(Below(3.0), 6),
        "filter-low-5" => filter(Below(20.0), 5),
        "filter-high-4" => filter(Above(10.0), 4),
        "filter-high-3" => filter(Above(1.0), 3),
        "filter-band-2" => filter(Between(5.0, 20.0), 2),
        "filter-band-3" => filter(Between(2.0, 45.0), 3),
        "filter-steady" => {
            let initial = InitialState::Steady;
            FeatureBlock::Filter(Filter { band: Below(10.0), order: 4, initial })
        }
        "resample-3-2" => FeatureBlock::Resample { up: 6, down: 4 },
        "resample-2-5" => FeatureBlock::Resample { up: 2, down: 5 },
        "difference-2" => FeatureBlock::Difference { order: 2 },
        "lag-0-1-5" => FeatureBlock::Lag(vec![0, 1, 5]),
        "stats" => FeatureBlock::Statistics(Statistic::NAMES.map(|(_, it)| it).to_vec()),
        _ => return None,
    }])
}

fn blocks(name: &str) -> Vec<FeatureBlock> {
    use PowerScale::{Decibel, Log, NoiseFloor, Power};
    if let Some(blocks) = series_blocks(name) {
        return blocks;
    }
    let flatten = || {
        use Statistic::{Average, Kurtosis, Maximum, Minimum, Rms, Skewness, Stdev};
        vec![Average, Minimum, Maximum, Rms, Stdev, Skewness, Kurtosis]
    };
    match name {
        "ei-flatten" => vec![FeatureBlock::Statistics(flatten())],
        "ei-spectral-none" => ei_spectral(None, power(64, true)),
        "ei-spectral-low" => {
            let spec = FftPower { high_frequency: Some(20.0), ..power(64, true) };
            ei_spectral(Some(filter(PassBand::Below(20.0), 6)), spec)
        }
        "ei-spectral-high" => {
            let spec = FftPower { low_frequency: Some(10.0), ..power(32, true) };
            ei_spectral(Some(filter(PassBand::Above(10.0), 4)), spec)
        }
        "welch-hann" => welch(Taper::Hann, 64, true),
        "welch-hamming" => welch(Taper::Hamming, 32, false),
        "ei-mfe" => {
            let frames = spectrogram(0.02, 0.01, 256, NoiseFloor(-52.0));
            pre_emphasized(FeatureBlock::Mel(mel(frames, 32, 300.0, 8000.0)))
        }
        "ei-mfe-512" => {
            let frames = spectrogram(0.025, 0.02, 512, NoiseFloor(-70.0));
            pre_emphasized(FeatureBlock::Mel(mel(frames, 20, 0.0, 4000.0)))
        }
        "ei-mfcc" => {
            let frames = spectrogram(0.02, 0.01, 256, Log);
            pre_emphasized(cepstrum(mel(frames, 32, 300.0, 8000.0), 13, 101))
        }
        "ei-mfcc-5" | "ei-mfcc-0" => {
            let frames = spectrogram(0.02, 0.02, 512, Log);
            let window = if name == "ei-mfcc-5" { 5 } else { 0 };
            pre_emphasized(cepstrum(mel(frames, 20, 80.0, 8000.0), 10, window))
        }
        "ei-spectrogram" => {
            vec![FeatureBlock::Spectrogram(spectrogram(0.01, 0.01, 128, NoiseFloor(-52.0)))]
        }
        "librosa-spectrogram" => vec![FeatureBlock::Spectrogram(librosa(Power))],
        "librosa-mel-slaney" => vec![FeatureBlock::Mel(librosa_mel(Power))],
        "librosa-mel-htk" => {
            let mel = mel(librosa(Power), 20, 300.0, 7000.0);
            vec![FeatureBlock::Mel(Mel { filters: MelFilters::Htk, ..mel })]
        }
        "librosa-mel-db" => vec![FeatureBlock::Mel(librosa_mel(Decibel))],
        "librosa-mfcc" => {
            let mel = librosa_mel(Decibel);
            vec![FeatureBlock::Mfcc(Mfcc { mel, num_cepstral: 13, energy: false, win_size: 0 })]
        }
        _ => panic!("no blocks for {name}"),
    }
}

#[test]
fn features_are_those_of_scipy_librosa_and_edge_impulse() {
    let oracle: Value = serde_json::from_str(ORACLE).unwrap();
    let cases = oracle["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 31);
    let mut wrong = Vec::new();
    for case in cases {
        let (name, series) = (case["name"].as_str().unwrap(), case["series"].as_str().unwrap());
        let rate = oracle["rates"][series].as_f64().unwrap();
        let rows: Vec<_> =
            oracle["series"][series].as_array().unwrap().iter().map(numbers).collect();
        let by_channel: Vec<f64> =
            (0..rows[0].len()).flat_map(|c| rows.iter().map(move |row| row[c])).collect();
        let source = source(rows.len(), rows[0].len(), rate);
        let made = run(&blocks(name), source, &by_channel).unwrap();
        let expected = numbers(&case["expected"]);
        assert_eq!(made.len(), expected.len(), "{name}");
        // The filters of Edge Impulse have coefficients of 32 bits, and librosa computes in them.
        let tolerance = if name.starts_with("ei-") { 1e-4 } else { 1e-5 };
        let pairs = made.iter().zip(&expected);
        let worst = pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max);
        println!("{name:20} {worst:.1e}");
        if worst.is_nan() || worst > tolerance {
            wrong.push(format!("{name}: {worst:.1e}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
