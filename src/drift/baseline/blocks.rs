//! Means of blocks of windows: how long a block has to be, so that neighbours are independent.

use crate::drift::progress::saved_fields;

/// Blocks of 2^0 to 2^10 windows are measured.
pub const LEVELS: usize = 11;
/// The shortest block, as a level: means of fewer windows may be far from normal.
const SHORTEST: usize = 3;
/// Blocks from which a standard deviation is believed.
const BLOCKS_LEAST: f64 = 16.0;
/// The correlation of neighbouring blocks that counts as none.
const UNCORRELATED: f64 = 0.1;
/// Levels at the top whose difference from the slowest one is too uncertain.
const TOP_LEVELS: usize = 3;
/// The slowest blocks may wander this much further than they did in the baseline.
const WANDER_MARGIN: f64 = 1.1;

/// Count, mean and sum of squares about the mean (Welford, Technometrics 4 (1962)).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) count: f64,
    pub(super) mean: f64,
    squares: f64,
}

saved_fields!(Moments { count, mean, squares });

impl Moments {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let from_mean = value - self.mean;
        self.mean += from_mean / self.count;
        self.squares += from_mean * (value - self.mean);
    }

    /// NaN for fewer than two values.
    pub(super) fn sd(&self) -> f64 {
        if self.count < 2.0 { f64::NAN } else { (self.squares / (self.count - 1.0)).sqrt() }
    }
}

/// The means of blocks of one length.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// The first of two blocks that make one of the next level.
    half: Option<f64>,
    moments: Moments,
    low: f64,
    high: f64,
}

saved_fields!(Level { half, moments, low, high });

impl Default for Level {
    fn default() -> Self {
        let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { half: None, moments: Moments::default(), low, high }
    }
}

/// Means of blocks of all lengths, from values in order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockMeans {
    levels: [Level; LEVELS],
}

saved_fields!(BlockMeans { levels });

impl BlockMeans {
    pub(super) fn add(&mut self, value: f64) {
        let mut mean = value;
        for level in &mut self.levels {
            level.moments.add(mean);
            level.low = level.low.min(mean);
            level.high = level.high.max(mean);
            let Some(half) = level.half.take() else {
                level.half = Some(mean);
                return;
            };
            mean = f64::midpoint(half, mean);
        }
    }

    pub(super) fn windows(&self) -> Moments {
        self.levels.first().map(|level| level.moments).unwrap_or_default()
    }

    pub(super) fn finish(&self) -> BlockStatistics {
        BlockStatistics {
            count: self.windows().count,
            mean: self.windows().mean,
            sd: self.levels.map(|level| level.moments.sd()),
            low: self.levels.map(|level| level.low),
            high: self.levels.map(|level| level.high),
        }
    }
}

/// What is known of the block means of one number.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockStatistics {
    /// Windows that had the number.
    pub count: f64,
    pub mean: f64,
    /// The standard deviation of the means of blocks of 2^i windows; NaN below two blocks.
    pub sd: [f64; LEVELS],
    /// The lowest and the highest of these means.
    pub low: [f64; LEVELS],
    pub high: [f64; LEVELS],
}

/// Blocks whose means can be treated as independent, in the unit of the number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blocks {
    /// Windows in a block, a power of two.
    pub length: u32,
    /// The standard deviation of a block's mean.
    pub sd: f64,
    /// The standard deviation of a window, without what is slower than any block.
    pub window_sd: f64,
    /// How far the mean of the baseline may be from that of its source.
    pub mean_error: f64,
    /// How far the slowest blocks go above and below the mean; zero where they are independent.
    pub wander: [f64; 2],
}

impl BlockStatistics {
    fn sd_at(&self, level: usize) -> f64 {
        self.sd.get(level).copied().unwrap_or(f64::NAN)
    }

    fn blocks_at(&self, level: usize) -> f64 {
        (self.count / length(level)).floor()
    }

    /// The longest blocks of which there are enough.
    fn slowest(&self) -> usize {
        let enough = |level: &usize| self.blocks_at(*level) >= BLOCKS_LEAST;
        (SHORTEST..LEVELS).rev().find(enough).unwrap_or(SHORTEST)
    }

    /// The first level from which on all neighbours are uncorrelated, below `end`. `slow` is the
    /// variance of what is slower than any block.
    ///
    /// The mean of two blocks has the variance `v (1 + r) / 2`, which gives their correlation r.
    fn first_uncorrelated(&self, slow: f64, end: usize) -> Option<usize> {
        let variance = |level| (self.sd_at(level).powi(2) - slow).max(f64::MIN_POSITIVE);
        let uncorrelated = |level: &usize| {
            let correlation = 2.0 * variance(level + 1) / variance(*level) - 1.0;
            let error = (2.0 / self.blocks_at(level + 1).max(1.0)).sqrt();
            correlation <= UNCORRELATED + 2.0 * error
        };
        let correlated = (SHORTEST..end).rev().find(|level| !uncorrelated(level));
        let first = correlated.map_or(SHORTEST, |level| level + 1);
        (first < end || end <= SHORTEST).then_some(first.min(end.max(SHORTEST)))
    }

    /// How much longer what remains of the correlation of neighbouring blocks makes the sums of
    /// their means: `sqrt((1 + r) / (1 - r))`. `scaled`: the standard deviation of a level, times
    /// the root of its length.
    fn lasting(&self, level: usize, scaled: impl Fn(usize) -> f64) -> f64 {
        let correlation = (scaled(level + 1) / scaled(level)).powi(2) - 1.0;
        if !correlation.is_finite() {
            return 1.0;
        }
        let error = (1.0 / self.blocks_at(level).max(1.0)).sqrt();
        // Where there is some beyond doubt, there may be more.
        let doubt = if correlation > 2.0 * error { error } else { 0.0 };
        let correlation = (correlation + doubt).clamp(0.0, 0.5);
        ((1.0 + correlation) / (1.0 - correlation)).sqrt()
    }

    /// Chooses the block length. `resolution` is the least standard deviation of a window.
    #[must_use]
    pub fn choose(&self, resolution: f64) -> Blocks {
        let slowest = self.slowest();
        let (level, slow, end) = match self.first_uncorrelated(0.0, slowest) {
            Some(level) => (level, 0.0, slowest),
            None => {
                let slow = self.sd_at(slowest).powi(2);
                let end = slowest.saturating_sub(TOP_LEVELS).max(SHORTEST);
                (self.first_uncorrelated(slow, end).unwrap_or(end), slow, end)
            }
        };
        let scaled = |level: usize| {
            let sd = (self.sd_at(level).powi(2) - slow).max(0.0).sqrt();
            if sd.is_nan() { 0.0 } else { sd * length(level).sqrt() }
        };
        // Longer blocks show correlation that the shorter ones hide, if they are beyond doubt.
        let doubt = |level| 1.0 - 2.0 / (2.0 * self.blocks_at(level).max(2.0)).sqrt();
        let longer = (level + 1..=end).map(|longer| scaled(longer) * doubt(longer));
        let blocks = self.blocks_at(level).max(1.0);
        let lasting = if level < end { self.lasting(level, scaled) } else { 1.0 };
        let own = scaled(level) * lasting * (1.0 + 2.0 / (2.0 * blocks).sqrt());
        let window_sd = scaled(0).max(resolution);
        // No correlation makes means of blocks much steadier than those of independent windows.
        let per_window = longer.fold(own.max(window_sd / 2.0), f64::max);
        let sd = per_window / length(level).sqrt();
        let far = |level: usize| [self.high.get(level), self.low.get(level)];
        let wander = match far(slowest) {
            [Some(high), Some(low)] if slow > 0.0 => [high - self.mean, self.mean - low],
            _ => [0.0; 2],
        };
        Blocks {
            length: 1 << level,
            sd,
            window_sd,
            mean_error: sd / blocks.sqrt(),
            wander: wander.map(|side| side.max(0.0) * WANDER_MARGIN),
        }
    }
}

/// Windows in a block of a level.
fn length(level: usize) -> f64 {
    let level = u32::try_from(level).unwrap_or(0).min(31);
    f64::from(1_u32 << level)
}
