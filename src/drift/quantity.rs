//! What is watched, by name.

/// The most bins of a histogram.
pub const BINS: usize = 16;
/// Channels with quantities of their own; the channels of a wider input are watched together.
pub const MAX_CHANNELS: usize = 16;
/// Outputs with quantities of their own.
pub const MAX_OUTPUTS: usize = 8;

/// The quantities of a stream, which its model decides. Their order is that of [`Features`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantities {
    pub channels: Vec<Channel>,
    pub outputs: Vec<Output>,
    /// The labels of a classification; empty for other outputs.
    pub labels: Vec<String>,
}

/// A channel of the input, after normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    pub name: String,
    /// What the input tensor can hold; values beyond are clipped. `None` for real numbers.
    pub limits: Option<[f64; 2]>,
}

/// A number of the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub name: String,
    /// The least standard deviation that it is watched with.
    pub resolution: f64,
}

/// The least standard deviation of normalised inputs, and of scores.
pub const RESOLUTION: f64 = 0.01;

impl Quantities {
    /// The names of all numbers: for each channel `NAME.mean` and `NAME.log_std`, then the outputs.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let channels = self.channels.iter();
        let inputs = channels
            .flat_map(|c| [format!("{}.mean", c.name), format!("{}.log_std", c.name)].into_iter());
        inputs.chain(self.outputs.iter().map(|output| output.name.clone()))
    }

    /// The name of one of them.
    #[must_use]
    pub fn name(&self, index: usize) -> String {
        self.names().nth(index).unwrap_or_default()
    }

    /// The number of numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels.len() * 2 + self.outputs.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.labels.is_empty()
    }

    /// The least standard deviation of a number.
    #[must_use]
    pub fn resolution(&self, index: usize) -> f64 {
        let output = index.checked_sub(self.channels.len() * 2);
        let output = output.and_then(|output| self.outputs.get(output));
        output.map_or(RESOLUTION, |output| output.resolution)
    }
}

/// What one window gave. Made once per stream and filled for each window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// In the order of [`Quantities::names`]; NaN where this window has none.
    pub numbers: Vec<f64>,
    /// The least and the largest value of each channel; NaN as above.
    pub extremes: Vec<[f64; 2]>,
    /// The place of the label, where there is one.
    pub label: Option<usize>,
}

impl Features {
    #[must_use]
    pub fn new(quantities: &Quantities) -> Self {
        Self {
            numbers: vec![f64::NAN; quantities.len()],
            extremes: vec![[f64::NAN; 2]; quantities.channels.len()],
            label: None,
        }
    }

    /// Forgets the window before.
    pub fn clear(&mut self) {
        self.numbers.fill(f64::NAN);
        self.extremes.fill([f64::NAN; 2]);
        self.label = None;
    }

    /// The features of one channel from its normalised values. `channel` is its place.
    pub fn set_channel(&mut self, channel: usize, values: impl Iterator<Item = f64> + Clone) {
        let Some(first) = values.clone().next() else { return };
        // About the first value, so that a large offset does not cancel the variance.
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        let (mut low, mut high) = (first, first);
        for value in values {
            let offset = value - first;
            count += 1.0;
            sum += offset;
            squares += offset * offset;
            low = low.min(value);
            high = high.max(value);
        }
        let mean = sum / count;
        let variance = (squares / count - mean * mean).max(0.0);
        let pair = self.numbers.get_mut(channel * 2..channel * 2 + 2);
        if let Some([of_mean, of_spread]) = pair {
            (*of_mean, *of_spread) = (first + mean, log_std(variance));
        }
        if let Some(extremes) = self.extremes.get_mut(channel) {
            *extremes = [low, high];
        }
    }
}

/// The logarithm of the standard deviation. A constant window counts as one of a thousandth.
fn log_std(variance: f64) -> f64 {
    const LEAST: f64 = 1e-6;
    0.5 * variance.max(LEAST).ln()
}
