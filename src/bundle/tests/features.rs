//! `[[input.features]]` of a card.

use super::*;
use crate::features::{FeatureBlock, Mel, PassBand, PowerScale, Statistic, Trend};

/// A card whose input has these lines, with or without a window of 256 samples.
fn with_input(window: bool, input: &str) -> Result<Card, Vec<Problem>> {
    let window = if window { "[window]\nlength = 256\nhop = 128\n" } else { "" };
    card(&format!(
        "format = 1\n[model]\nname = \"m\"\nversion = \"1\"\n{window}[[input]]\nname = \"x\"\n\
         {input}\n[output]\nkind = \"raw\"\n"
    ))
}

fn problems_of(window: bool, input: &str) -> String {
    let problems = with_input(window, input).unwrap_err();
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

const SPECTRAL: &str = r#"channels = ["x", "y", "z"]
rate = 100.0
[[input.features]]
kind = "filter"
filter_type = "low"
filter_cutoff = 20.0
[[input.features]]
kind = "detrend"
[[input.features]]
kind = "stats"
statistics = ["rms", "skewness", "kurtosis"]
[[input.features]]
kind = "fft-power"
fft_length = 64
spectral_statistics = true
high_frequency = 20.0
"#;

#[test]
fn blocks_are_read_in_their_order() {
    let card = with_input(true, SPECTRAL).unwrap();
    let features = &card.inputs[0].features;
    assert_eq!(features.rate, Some(100.0));
    let [filter, detrend, stats, power] = &features.blocks[..] else { panic!("four blocks") };
    let FeatureBlock::Filter(filter) = filter else { panic!("{filter:?}") };
    assert_eq!((filter.band, filter.order), (PassBand::Below(20.0), 6));
    assert_eq!(detrend, &FeatureBlock::Detrend(Trend::Constant));
    let wanted = vec![Statistic::Rms, Statistic::Skewness, Statistic::Kurtosis];
    assert_eq!(stats, &FeatureBlock::Statistics(wanted));
    let FeatureBlock::FftPower(power) = power else { panic!("{power:?}") };
    assert!(power.overlap && power.log && power.drop_dc && power.statistics);
    let plan = card.inputs[0].feature_plan(card.window.as_ref()).unwrap().unwrap();
    // Five statistics and the bins 1 to 13.
    assert_eq!(plan.shape().len(), 3 * 18);
}

#[test]
fn defaults_are_those_of_edge_impulse() {
    let input = "rate = 16000.0\nsamples = 16000\n[[input.features]]\nkind = \"mel\"\n\
                 [[input.features]]\nkind = \"mfcc\"\n";
    let card = with_input(false, input).unwrap();
    let [FeatureBlock::Mel(mel), FeatureBlock::Mfcc(mfcc)] = &card.inputs[0].features.blocks[..]
    else {
        panic!("two blocks")
    };
    let Mel { frames, num_filters, low_frequency, high_frequency, .. } = *mel;
    assert_eq!((num_filters, low_frequency, high_frequency), (32, 300.0, None));
    assert_eq!((frames.frame_length, frames.frame_stride, frames.fft_length), (0.02, 0.01, 256));
    assert_eq!(frames.scale, PowerScale::NoiseFloor(-52.0));
    assert_eq!((mfcc.num_cepstral, mfcc.win_size, mfcc.energy), (13, 101, true));
    assert_eq!(mfcc.mel.frames.scale, PowerScale::Log);
}

#[test]
fn what_is_wrong_is_reported_with_its_place() {
    let block = |lines: &str| format!("rate = 100.0\n[[input.features]]\n{lines}");
    for (lines, place, reason) in [
        ("kind = \"fourier\"", "input[0].features[0].kind", "not one of"),
        ("kind = \"stats\"", "features[0].statistics", "missing"),
        ("kind = \"stats\"\nstatistics = [\"median\"]", "features[0].statistics", "zero-crossings"),
        ("kind = \"detrend\"\nfft_length = 64", "fft_length", "means nothing for kind"),
        ("kind = \"detrend\"\ntype = \"linear\"", "features[0].type", "unknown option"),
        ("kind = \"filter\"", "filter_type", "missing"),
        ("kind = \"filter\"\nfilter_type = \"band\"\nfilter_cutoff = 3", "cutoff", "band two"),
        (
            "kind = \"filter\"\nfilter_type = \"low\"\nfilter_cutoff = 60",
            "features[0]",
            "half the rate",
        ),
        ("kind = \"lag\"\nlags = [0.5]", "features[0].lags", "whole numbers"),
        ("kind = \"fft-power\"\nfft_length = 100", "fft_length", "not a power of two"),
        ("kind = \"mfcc\"\nscale = \"power\"", "scale", "\"log\" or \"db\""),
        ("kind = \"mel\"\nscale = \"db\"\nnoise_floor_db = -40", "noise_floor_db", "means nothing"),
        ("kind = \"mel\"\nframe_length = 9.0", "features[0]", "longer than the 256 samples"),
        ("kind = \"standardize\"\nmean = 0.0", "features[0].std", "missing"),
    ] {
        let problems = problems_of(true, &block(lines));
        assert!(problems.contains(place) && problems.contains(reason), "{lines}: {problems}");
    }
    let given = "samples = 5\n[[input.features]]\nkind = \"detrend\"";
    assert!(problems_of(true, given).contains("given with [window]"));
    let lacking = "[[input.features]]\nkind = \"detrend\"";
    assert!(problems_of(false, lacking).contains("need the samples of a message"));
    assert!(problems_of(true, "rate = 5.0").contains("means nothing without [[input.features]]"));
}

/// The output of the blocks must be the model's input.
#[test]
fn features_that_do_not_fit_the_model_are_refused() {
    let from = "layout = \"channel-time\"\n";
    let to = "layout = \"channel-time\"\nrate = 10.0\nfeatures = [{ kind = \"difference\" }]\n";
    let message = refusal(from, to);
    let reason = "are 39 samples of 6 channels, [6, 39], and the model takes [1, 6, 40]";
    assert!(message.contains(reason), "{message}");
}
