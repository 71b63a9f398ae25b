//! Parsing of `[[input.features]]`.

use super::card::{FeatureSpec, InputSpec, WindowSpec};
use super::feature_options::KINDS;
use crate::config::section::Section;
use crate::features::{
    FeatureBlock, FftPower, Filter, Hold, InitialState, Mel, MelFilters, Mfcc, PassBand,
    PowerScale, Spectrogram, Statistic, Taper, Trend,
};

/// Reads the blocks of an input; wrong ones are reported and left out.
pub(super) fn features(input: &Section<'_>) -> FeatureSpec {
    let sections = input.sections("features");
    let blocks = sections.iter().filter_map(block).collect();
    FeatureSpec { blocks, rate: input.float_if("rate"), samples: input.int_if("samples") }
}

/// Reports what does not fit together: options of features without features, or blocks that cannot be
/// applied to what the blocks before them make.
pub(super) fn check(section: &Section<'_>, input: &InputSpec, window: Option<&WindowSpec>) {
    let written = section.sections("features").len();
    if written == 0 {
        for key in ["rate", "samples"].into_iter().filter(|key| section.has(key)) {
            section.problem(key, "means nothing without [[input.features]]", "not set");
        }
        return;
    }
    match (window, input.features.samples) {
        (Some(_), Some(_)) => {
            section.problem("samples", "given with [window], whose length it is", "not set");
        }
        (None, None) => {
            let reason = "missing: without [window], features need the samples of a message";
            return section.problem("samples", reason, "1 to 1000000");
        }
        _ => {}
    }
    // Blocks that were left out would make the others wrong.
    if written != input.features.blocks.len() {
        return;
    }
    if let Some(Err(error)) = input.feature_plan(window) {
        let key = format!("features[{}]", error.place);
        section.problem(&key, error.problem, format!("a {} that fits its series", error.name));
    }
}

fn block(section: &Section<'_>) -> Option<FeatureBlock> {
    let kind = section.text_if("kind")?;
    let (_, own) = KINDS.iter().find(|(name, _)| *name == kind)?;
    let mut foreign: Vec<&str> = KINDS.iter().flat_map(|(_, keys)| *keys).copied().collect();
    foreign.retain(|key| !own.contains(key) && section.has(key));
    foreign.sort_unstable();
    foreign.dedup();
    for key in &foreign {
        section.problem(key, format!("means nothing for kind = {kind:?}"), "not set");
    }
    match kind.as_str() {
        "detrend" => trend(section),
        "filter" => filter(section),
        "resample" => {
            Some(FeatureBlock::Resample { up: section.int("up"), down: section.int("down") })
        }
        "lag" => lags(section),
        "difference" => Some(FeatureBlock::Difference { order: section.int("order") }),
        "pre-emphasis" => {
            let (coefficient, shift) = (section.float_if("pre_cof")?, section.int("pre_shift"));
            Some(FeatureBlock::PreEmphasis { coefficient, shift })
        }
        "stats" => statistics(section),
        "fft-power" => fft_power(section).map(FeatureBlock::FftPower),
        "spectrogram" => frames(section, true).map(FeatureBlock::Spectrogram),
        "mel" => mel(section, true).map(FeatureBlock::Mel),
        "mfcc" => mfcc(section).map(FeatureBlock::Mfcc),
        _ => standardize(section),
    }
}

fn trend(section: &Section<'_>) -> Option<FeatureBlock> {
    let trends = [("constant", Trend::Constant), ("linear", Trend::Linear)];
    section.choice("trend", &trends).map(FeatureBlock::Detrend)
}

fn filter(section: &Section<'_>) -> Option<FeatureBlock> {
    let Some(kind) = section.text_if("filter_type") else {
        if !section.has("filter_type") {
            section.problem("filter_type", "missing", "\"low\", \"high\" or \"band\"");
        }
        return None;
    };
    let limits = section.numbers("filter_cutoff");
    let band = match (kind.as_str(), limits.as_slice()) {
        ("low", [limit]) => PassBand::Below(*limit),
        ("high", [limit]) => PassBand::Above(*limit),
        ("band", [low, high]) => PassBand::Between(*low, *high),
        (_, found) => {
            let reason = format!("{} frequencies for a filter of type {kind:?}", found.len());
            let allowed = "one number in Hz; for band two, [low, high]";
            section.problem("filter_cutoff", reason, allowed);
            return None;
        }
    };
    let initial = [("zero", InitialState::Zero), ("steady", InitialState::Steady)];
    let initial = section.choice("initial", &initial)?;
    Some(FeatureBlock::Filter(Filter { band, order: section.int("filter_order"), initial }))
}

fn lags(section: &Section<'_>) -> Option<FeatureBlock> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    #[expect(clippy::cast_sign_loss, reason = "checked not to be negative")]
    let whole = |lag: &f64| {
        let is_whole = lag.fract() == 0.0 && (0.0..=1e6).contains(lag);
        is_whole.then_some(*lag as usize)
    };
    let lags: Option<Vec<usize>> = section.numbers("lags").iter().map(whole).collect();
    match lags {
        Some(lags) if !lags.is_empty() => Some(FeatureBlock::Lag(lags)),
        _ => {
            let allowed = "a list of whole numbers from 0 to 1000000";
            section.problem("lags", "missing, or not whole numbers of samples", allowed);
            None
        }
    }
}

fn statistics(section: &Section<'_>) -> Option<FeatureBlock> {
    let meaning = |name: &String| {
        let known = Statistic::NAMES.iter().find(|(known, _)| known == name);
        known.map(|(_, statistic)| *statistic).ok_or_else(|| format!("{name:?} is none"))
    };
    let names = section.strings("statistics");
    let found: Result<Vec<Statistic>, String> = names.iter().map(meaning).collect();
    let allowed = || Statistic::NAMES.map(|(name, _)| name).join(", ");
    match found {
        Ok(found) if !found.is_empty() => return Some(FeatureBlock::Statistics(found)),
        Ok(_) => section.problem("statistics", "missing", allowed()),
        Err(reason) => section.problem("statistics", reason, allowed()),
    }
    None
}

fn taper(section: &Section<'_>) -> Option<Taper> {
    let tapers = [("none", Taper::None), ("hann", Taper::Hann), ("hamming", Taper::Hamming)];
    section.choice("window", &tapers)
}

fn fft_length(section: &Section<'_>, default: usize) -> Option<usize> {
    let written = section.has("fft_length");
    let length = section.int_if("fft_length").filter(|_| written);
    let length: usize = if written { length? } else { default };
    if !length.is_power_of_two() {
        section.problem("fft_length", "not a power of two", "16, 32, 64, ... 65536");
        return None;
    }
    Some(length)
}

/// A frequency of which 0 stands for none.
fn upper(section: &Section<'_>) -> Option<f64> {
    section.float_if("high_frequency").filter(|hz| *hz > 0.0)
}

fn fft_power(section: &Section<'_>) -> Option<FftPower> {
    let hold = section.choice("hold", &[("max", Hold::Maximum), ("mean", Hold::Mean)])?;
    Some(FftPower {
        fft_length: fft_length(section, 16)?,
        taper: taper(section)?,
        overlap: section.flag("overlap"),
        hold,
        log: section.flag("log"),
        drop_dc: section.flag("drop_dc"),
        statistics: section.flag("spectral_statistics"),
        low_frequency: section.float_if("low_frequency"),
        high_frequency: upper(section),
    })
}

/// `floored`: whether powers may be written above a noise floor, which they are by default.
fn frames(section: &Section<'_>, floored: bool) -> Option<Spectrogram> {
    let floor = section.float_if("noise_floor_db")?;
    let default = if floored { "noise-floor" } else { "log" };
    let name = section.text_if("scale").unwrap_or_else(|| default.to_owned());
    let scale = match name.as_str() {
        "power" => PowerScale::Power,
        "log" => PowerScale::Log,
        "db" => PowerScale::Decibel,
        _ => PowerScale::NoiseFloor(floor),
    };
    if !floored && !matches!(scale, PowerScale::Log | PowerScale::Decibel) {
        section.problem("scale", "means nothing for kind = \"mfcc\"", "\"log\" or \"db\"");
    }
    if section.has("noise_floor_db") && !matches!(scale, PowerScale::NoiseFloor(_)) {
        let reason = format!("means nothing with scale = {name:?}");
        section.problem("noise_floor_db", reason, "not set");
    }
    Some(Spectrogram {
        frame_length: section.float_if("frame_length")?,
        frame_stride: section.float_if("frame_stride")?,
        fft_length: fft_length(section, 256)?,
        taper: taper(section)?,
        divide: section.flag("divide"),
        scale,
    })
}

fn mel(section: &Section<'_>, floored: bool) -> Option<Mel> {
    let forms =
        [("bins", MelFilters::Bins), ("slaney", MelFilters::Slaney), ("htk", MelFilters::Htk)];
    Some(Mel {
        frames: frames(section, floored)?,
        num_filters: section.int("num_filters"),
        low_frequency: section.float_if("low_frequency").unwrap_or(300.0),
        high_frequency: upper(section),
        filters: section.choice("filters", &forms)?,
    })
}

fn mfcc(section: &Section<'_>) -> Option<Mfcc> {
    Some(Mfcc {
        mel: mel(section, false)?,
        num_cepstral: section.int("num_cepstral"),
        energy: section.flag("energy"),
        win_size: section.int("win_size"),
    })
}

fn standardize(section: &Section<'_>) -> Option<FeatureBlock> {
    let (mean, std) = (section.numbers("mean"), section.numbers("std"));
    for (key, list) in [("mean", &mean), ("std", &std)] {
        if list.is_empty() && !section.has(key) {
            section.problem(key, "missing", "one number, or one for each feature");
        }
    }
    let complete = !mean.is_empty() && !std.is_empty();
    complete.then_some(FeatureBlock::Standardize { mean, std })
}
