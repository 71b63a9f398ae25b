//! The reference of the blocks of `[[input.features]]`.

use crate::config::schema::DefaultValue::{Derived, Required, Unset, Value};
use crate::config::schema::{Kind, OptionSpec, options};

const HERTZ: Kind = Kind::Float { min: 0.0, max: 1e9 };
const SECONDS: Kind = Kind::Float { min: 1e-9, max: 3600.0 };

/// The kinds of blocks with the options of each.
pub(super) const KINDS: [(&str, &[&str]); 12] = [
    ("detrend", &["trend"]),
    ("filter", &["filter_type", "filter_cutoff", "filter_order", "initial"]),
    ("resample", &["up", "down"]),
    ("lag", &["lags"]),
    ("difference", &["order"]),
    ("pre-emphasis", &["pre_cof", "pre_shift"]),
    ("stats", &["statistics"]),
    (
        "fft-power",
        &[
            "fft_length",
            "window",
            "overlap",
            "hold",
            "log",
            "drop_dc",
            "spectral_statistics",
            "low_frequency",
            "high_frequency",
        ],
    ),
    ("spectrogram", SPECTROGRAM),
    ("mel", MEL),
    ("mfcc", MFCC),
    ("standardize", &["mean", "std"]),
];

const SPECTROGRAM: &[&str] =
    &["frame_length", "frame_stride", "fft_length", "window", "divide", "scale", "noise_floor_db"];

const MEL: &[&str] = &[
    "frame_length",
    "frame_stride",
    "fft_length",
    "window",
    "divide",
    "scale",
    "noise_floor_db",
    "num_filters",
    "low_frequency",
    "high_frequency",
    "filters",
];

const MFCC: &[&str] = &[
    "frame_length",
    "frame_stride",
    "fft_length",
    "window",
    "divide",
    "scale",
    "num_filters",
    "low_frequency",
    "high_frequency",
    "filters",
    "num_cepstral",
    "energy",
    "win_size",
];

/// All options, in the order of the documentation.
pub(super) const FEATURES: &[OptionSpec] = options! {
    "input[].features[].kind": Kind::Choice(&[
        "detrend", "filter", "resample", "lag", "difference", "pre-emphasis", "stats", "fft-power",
        "spectrogram", "mel", "mfcc", "standardize",
    ]) => Required, eg "\"stats\"",
        "What the block does. Options of other kinds are errors. docs/features.md has the formula \
         of each.";
    "input[].features[].trend": Kind::Choice(&["constant", "linear"]) => Value("\"constant\""),
        "detrend: subtracts each channel's mean, or its line of least squares.";
    "input[].features[].filter_type": Kind::Choice(&["low", "high", "band"])
        => Unset, eg "\"low\"",
        "filter: a Butterworth low pass, high pass or band pass. Required there.";
    "input[].features[].filter_cutoff": Kind::Floats { max: 2 } => Unset, eg "20.0",
        "filter: the frequency in Hz with a gain of -3 dB; for `band` both, [low, high]. Required \
         there.";
    "input[].features[].filter_order": Kind::Int { min: 1, max: 12 } => Value("6"),
        "filter: the order; a band pass has twice as many poles.";
    "input[].features[].initial": Kind::Choice(&["zero", "steady"]) => Value("\"zero\""),
        "filter: its state before a window, as after silence, or as if the first sample had been \
         there always.";
    "input[].features[].up": Kind::Int { min: 1, max: 1000 } => Value("1"),
        "resample: the rate becomes `rate * up / down`.";
    "input[].features[].down": Kind::Int { min: 1, max: 1000 } => Value("1"),
        "resample: see `up`.";
    "input[].features[].lags": Kind::Floats { max: 1024 } => Unset, eg "[0, 1, 7]",
        "lag: a channel for each of these lags, in samples. The first samples, which lack some of \
         them, are left out.";
    "input[].features[].order": Kind::Int { min: 1, max: 8 } => Value("1"),
        "difference: how often the difference of neighbouring samples is taken.";
    "input[].features[].pre_cof": Kind::Float { min: -2.0, max: 2.0 } => Value("0.98"),
        "pre-emphasis: x[t] - pre_cof * x[t - pre_shift].";
    "input[].features[].pre_shift": Kind::Int { min: 1, max: 1_000_000 } => Value("1"),
        "pre-emphasis: see `pre_cof`. Before the first sample come the last ones of the window.";
    "input[].features[].statistics": Kind::Strings { max: 64, form: "statistics" }
        => Unset, eg "[\"rms\", \"skewness\", \"kurtosis\"]",
        "stats: the numbers of each channel, in this order, of `average`, `minimum`, `maximum`, \
         `peak-to-peak`, `rms`, `stdev`, `skewness`, `kurtosis`, `crest`, `zero-crossings`.";
    "input[].features[].fft_length": Kind::Int { min: 16, max: 65_536 }
        => Derived("16 for fft-power, else 256"), eg "256",
        "Points of the FFT: a power of two. fft-power: samples in a segment. Frames: shorter ones \
         are filled with zeros; of longer ones only the first samples are used.";
    "input[].features[].window": Kind::Choice(&["none", "hann", "hamming"]) => Value("\"none\""),
        "The window on the samples of a segment or a frame (periodic).";
    "input[].features[].overlap": Kind::Bool => Value("true"),
        "fft-power: segments begin half a segment apart.";
    "input[].features[].hold": Kind::Choice(&["max", "mean"]) => Value("\"max\""),
        "fft-power: the largest power of a bin in all segments, the last filled with zeros; or the \
         mean over whole segments (Welch).";
    "input[].features[].log": Kind::Bool => Value("true"),
        "fft-power: decimal logarithms of the powers; a power of 0 counts as 1e-10.";
    "input[].features[].drop_dc": Kind::Bool => Value("true"),
        "fft-power: without the bin of 0 Hz.";
    "input[].features[].spectral_statistics": Kind::Bool => Value("false"),
        "fft-power: skewness and kurtosis of the powers, before them.";
    "input[].features[].frame_length": SECONDS => Value("0.02"),
        "spectrogram, mel, mfcc: seconds of a frame.";
    "input[].features[].frame_stride": SECONDS => Value("0.01"),
        "spectrogram, mel, mfcc: seconds from one frame's start to the next one's. Frames that \
         overlapping windows share are transformed once if the window's `hop` is a multiple.";
    "input[].features[].divide": Kind::Bool => Value("true"),
        "spectrogram, mel, mfcc: powers are divided by `fft_length`, as Edge Impulse and speechpy \
         do; librosa and torchaudio do not.";
    "input[].features[].scale": Kind::Choice(&["power", "log", "db", "noise-floor"])
        => Derived("`noise-floor`, for mfcc `log`"), eg "\"db\"",
        "spectrogram, mel: how powers are written: as they are, natural logarithms, decibels, or \
         decibels above `noise_floor_db` in units of the range from there to 12 dB (mel: 0 to 1 in \
         steps of 1/256). mfcc: `log` or `db`.";
    "input[].features[].noise_floor_db": Kind::Float { min: -300.0, max: 0.0 } => Value("-52.0"),
        "spectrogram, mel with `noise-floor`: what becomes 0.";
    "input[].features[].num_filters": Kind::Int { min: 2, max: 512 } => Value("32"),
        "mel, mfcc: the number of mel filters.";
    "input[].features[].low_frequency": HERTZ
        => Derived("300 for mel and mfcc, else none"), eg "300.0",
        "The lowest frequency of filters or bins, in Hz.";
    "input[].features[].high_frequency": HERTZ => Derived("half the rate"), eg "8000.0",
        "The highest frequency of filters or bins, in Hz; 0 stands for the default.";
    "input[].features[].filters": Kind::Choice(&["bins", "slaney", "htk"]) => Value("\"bins\""),
        "mel, mfcc: triangles from bin to bin, as Edge Impulse and speechpy; or those of librosa \
         (slaney) or torchaudio (htk).";
    "input[].features[].num_cepstral": Kind::Int { min: 1, max: 512 } => Value("13"),
        "mfcc: the number of coefficients.";
    "input[].features[].energy": Kind::Bool => Value("true"),
        "mfcc: the logarithm of a frame's energy in place of its first coefficient.";
    "input[].features[].win_size": Kind::Int { min: 0, max: 1001 } => Value("101"),
        "mfcc: frames over which mean and variance are normalized, an odd number; 0 for none.";
    "input[].features[].mean": Kind::Floats { max: 65_536 } => Unset, eg "[0.0]",
        "standardize: (x - mean) / std, as scikit-learn's StandardScaler. One number; or one for \
         each feature of all channels, for each number of a frame, or for each channel of a \
         series.";
    "input[].features[].std": Kind::Floats { max: 65_536 } => Unset, eg "[1.0]",
        "standardize: as `mean`; above 0.";
};
