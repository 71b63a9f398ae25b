//! What a block does, as the card says it.

/// One block of `[[input.features]]`.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureBlock {
    /// Subtracts each channel's mean or line.
    Detrend(Trend),
    Filter(Filter),
    /// Changes the rate by `up / down`.
    Resample {
        up: usize,
        down: usize,
    },
    /// Makes a channel of each lag, in samples.
    Lag(Vec<usize>),
    /// Takes the difference of neighbouring samples, `order` times.
    Difference {
        order: usize,
    },
    /// `x[t] - coefficient * x[t - shift]`
    PreEmphasis {
        coefficient: f64,
        shift: usize,
    },
    /// Statistics of each channel, in this order.
    Statistics(Vec<Statistic>),
    /// The powers of a channel's frequencies.
    FftPower(FftPower),
    Spectrogram(Spectrogram),
    Mel(Mel),
    Mfcc(Mfcc),
    /// `(x - mean) / std` of each number that the blocks before made; one for all, or one for each.
    Standardize {
        mean: Vec<f64>,
        std: Vec<f64>,
    },
}

impl FeatureBlock {
    /// The name in cards.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Detrend(_) => "detrend",
            Self::Filter(_) => "filter",
            Self::Resample { .. } => "resample",
            Self::Lag(_) => "lag",
            Self::Difference { .. } => "difference",
            Self::PreEmphasis { .. } => "pre-emphasis",
            Self::Statistics(_) => "stats",
            Self::FftPower(_) => "fft-power",
            Self::Spectrogram(_) => "spectrogram",
            Self::Mel(_) => "mel",
            Self::Mfcc(_) => "mfcc",
            Self::Standardize { .. } => "standardize",
        }
    }
}

/// What a detrend subtracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// The mean.
    Constant,
    /// The line of least squares.
    Linear,
}

/// A Butterworth filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filter {
    pub band: PassBand,
    /// Of the low pass that it is derived from: a band pass has twice as many poles.
    pub order: usize,
    pub initial: InitialState,
}

/// The frequencies that a filter lets pass; limits in Hz, where the gain is -3 dB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PassBand {
    Below(f64),
    Above(f64),
    Between(f64, f64),
}

/// The state of a filter before the first sample of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialState {
    /// As after silence.
    Zero,
    /// As if the first sample had been there always.
    Steady,
}

/// A number that describes a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    Average,
    Minimum,
    Maximum,
    PeakToPeak,
    Rms,
    Stdev,
    Skewness,
    Kurtosis,
    Crest,
    ZeroCrossings,
}

impl Statistic {
    /// All of them by their names in cards.
    pub const NAMES: [(&str, Self); 10] = [
        ("average", Self::Average),
        ("minimum", Self::Minimum),
        ("maximum", Self::Maximum),
        ("peak-to-peak", Self::PeakToPeak),
        ("rms", Self::Rms),
        ("stdev", Self::Stdev),
        ("skewness", Self::Skewness),
        ("kurtosis", Self::Kurtosis),
        ("crest", Self::Crest),
        ("zero-crossings", Self::ZeroCrossings),
    ];
}

/// The shape of a window on the samples of a frame; those of cosines are periodic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taper {
    /// All samples count alike.
    None,
    Hann,
    Hamming,
}

/// `fft-power`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FftPower {
    /// Samples in a segment: a power of two.
    pub fft_length: usize,
    pub taper: Taper,
    /// Segments begin half a segment apart.
    pub overlap: bool,
    pub hold: Hold,
    /// Decimal logarithms.
    pub log: bool,
    pub drop_dc: bool,
    /// Skewness and kurtosis of the powers, before them.
    pub statistics: bool,
    /// Frequencies in Hz outside of which bins are left out.
    pub low_frequency: Option<f64>,
    pub high_frequency: Option<f64>,
}

/// How the powers of several segments become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Maximum,
    Mean,
}

/// How a series is cut into frames, and what becomes of their powers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spectrogram {
    /// In seconds.
    pub frame_length: f64,
    /// In seconds.
    pub frame_stride: f64,
    /// A power of two; of a longer frame only its first samples are used.
    pub fft_length: usize,
    pub taper: Taper,
    /// Powers are divided by `fft_length`.
    pub divide: bool,
    pub scale: PowerScale,
}

/// How powers are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PowerScale {
    Power,
    /// The natural logarithm; a power of 0 counts as 1e-10.
    Log,
    /// `10 log10(max(power, 1e-10))`
    Decibel,
    /// `(10 log10(max(power, 1e-30)) - floor) / (12 - floor)`, at least 0.
    NoiseFloor(f64),
}

/// `mel`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mel {
    pub frames: Spectrogram,
    pub num_filters: usize,
    /// In Hz.
    pub low_frequency: f64,
    /// In Hz; half the rate if it is not given.
    pub high_frequency: Option<f64>,
    pub filters: MelFilters,
}

/// The form of mel filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MelFilters {
    /// Triangles whose corners are on FFT bins, of height 1, on the scale `1127 ln(1 + f / 700)`.
    Bins,
    /// Slaney's scale, linear below 1 kHz; triangles of area 1 (librosa's default).
    Slaney,
    /// `1127 ln(1 + f / 700)`; triangles of height 1 (torchaudio's default).
    Htk,
}

/// `mfcc`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mfcc {
    pub mel: Mel,
    pub num_cepstral: usize,
    /// The logarithm of a frame's energy replaces its first coefficient.
    pub energy: bool,
    /// Frames over which mean and variance are normalized: odd, or 0 for none.
    pub win_size: usize,
}
