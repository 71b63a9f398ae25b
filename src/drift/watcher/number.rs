//! One number of each window: a CUSUM on means of blocks, and a histogram.

use crate::clock::Timestamp;
use crate::drift::baseline::{Blocks, NumberBaseline};
use crate::drift::cusum::Cusum;
use crate::drift::histogram::{PERIOD, PERIODS, RollingCounts, psi};
use crate::drift::quantity::BINS;
use crate::drift::report::{DriftState, QuantityReport, rounded};
use crate::drift::threshold::{cusum_threshold, psi_threshold};

/// The shift that is to be found soonest is twice this many standard deviations of a window.
const ALLOWANCE: f64 = 0.25;
/// The allowance covers an error of the baseline's mean of so many standard errors.
const MEAN_ERRORS: f64 = 2.0;
/// A value counts for at most so many standard deviations, so that one alone is no drift.
const MOST: f64 = 6.0;
/// Below this a population stability index is too small to matter, however certain it is.
pub(super) const EFFECT_LEAST: f64 = 0.1;
/// A sum may rise this far above its threshold.
pub(super) const CAP: f64 = 1.25;
/// A statistic is watched from this share of its threshold on.
pub(super) const WATCH_FROM: f64 = 0.7;
/// A drift is over below this share.
pub(super) const OVER_BELOW: f64 = 0.5;

/// A direction of the shift: what happened since its sum left zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Excursion {
    /// The sum of the block means, in standard deviations of a block.
    sum: f32,
    /// Blocks in it.
    blocks: u32,
    /// When it began, in seconds since 1970.
    from: u32,
}

#[derive(Clone, Debug)]
pub(super) struct NumberWatch {
    mean: f64,
    sum: f64,
    cusum: Cusum,
    excursions: [Excursion; 2],
    window_sd: f32,
    block_sd: f32,
    allowances: [f32; 2],
    /// Of either side of the sum.
    threshold: f32,
    /// Windows in a block, at most 1024, and in the block at hand.
    block_length: u16,
    in_block: u16,
    /// Seconds since 1970 when the block at hand began.
    block_from: u32,
    state: DriftState,
    rolling: RollingCounts,
    psi: f32,
    psi_threshold: f32,
}

/// The statistic of a quantity that is nearest to its threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Level {
    pub(super) statistic: &'static str,
    /// As a share of the threshold.
    pub(super) share: f64,
    pub(super) shift: Option<f64>,
    pub(super) psi: Option<f64>,
    /// When the change began.
    pub(super) from: Option<Timestamp>,
}

impl NumberWatch {
    pub(super) fn new(baseline: &NumberBaseline, resolution: f64, between: f64) -> Self {
        let blocks = baseline.blocks.choose(resolution);
        let mut watch = Self {
            mean: baseline.blocks.mean,
            sum: 0.0,
            cusum: Cusum::default(),
            excursions: [Excursion::default(); 2],
            window_sd: single(blocks.window_sd),
            block_sd: single(blocks.sd),
            allowances: allowances(&blocks).map(single),
            threshold: f32::INFINITY,
            block_length: u16::try_from(blocks.length).unwrap_or(u16::MAX),
            in_block: 0,
            block_from: 0,
            state: DriftState::Ok,
            rolling: RollingCounts::default(),
            psi: 0.0,
            psi_threshold: f32::INFINITY,
        };
        watch.set_thresholds(baseline, resolution, between);
        watch
    }

    /// `between`: windows between two false alarms of one statistic.
    pub(super) fn set_thresholds(
        &mut self,
        baseline: &NumberBaseline,
        resolution: f64,
        between: f64,
    ) {
        let blocks = baseline.blocks.choose(resolution);
        let length = f64::from(blocks.length);
        // A shift is found from where the baseline wandered to, so that is where zero is.
        let allowance = least_allowance(&blocks) / blocks.sd;
        self.threshold = single(cusum_threshold(allowance, between / length));
        let inflation = length * (blocks.sd / blocks.window_sd).powi(2);
        #[expect(clippy::cast_precision_loss, reason = "1024")]
        let (found, period) = ((PERIOD * PERIODS) as f64, PERIOD as f64);
        let distances = baseline.shape.distances(found, inflation.max(1.0));
        let threshold = psi_threshold(&distances, (period / between).min(0.5));
        self.psi_threshold = single(threshold.max(EFFECT_LEAST));
    }

    /// Adds a window. Returns whether a statistic changed.
    pub(super) fn add(&mut self, baseline: &NumberBaseline, value: f64, now: u32) -> bool {
        if !value.is_finite() {
            return false;
        }
        let bin = baseline.edges.iter().take_while(|edge| value >= **edge).count();
        let shape_changed = self.rolling.add(bin) && self.rolling.is_full();
        if shape_changed {
            self.psi = single(self.distance(baseline));
        }
        let most = MOST * f64::from(self.window_sd);
        if self.in_block == 0 {
            self.block_from = now;
        }
        self.sum += (value - self.mean).clamp(-most, most);
        self.in_block += 1;
        if self.in_block < self.block_length {
            return shape_changed;
        }
        let z = self.sum / f64::from(self.in_block) / f64::from(self.block_sd);
        (self.sum, self.in_block) = (0.0, 0);
        self.add_block(z);
        true
    }

    fn add_block(&mut self, z: f64) {
        self.cusum.add(z, self.allowances.map(f64::from));
        self.cusum.cap([CAP * f64::from(self.threshold); 2]);
        let from = self.block_from;
        for (side, excursion) in [self.cusum.up, self.cusum.down].iter().zip(&mut self.excursions) {
            if *side <= 0.0 {
                *excursion = Excursion::default();
                continue;
            }
            if excursion.blocks == 0 {
                excursion.from = from;
            }
            excursion.sum += single(z);
            excursion.blocks = excursion.blocks.saturating_add(1);
        }
    }

    fn distance(&self, baseline: &NumberBaseline) -> f64 {
        let bins = baseline.edges.len() + 1;
        let expected = shares(&baseline.shape.counts).map(f64::from);
        let found = self.rolling.total();
        psi(expected.get(..bins).unwrap_or_default(), found.get(..bins).unwrap_or_default())
    }

    /// The statistic nearest to its threshold, and the state that follows from it.
    pub(super) fn judge(&mut self) -> (DriftState, Level) {
        let level = self.level();
        self.state = next_state(self.state, level.share);
        (self.state, level)
    }

    fn level(&self) -> Level {
        let (shift, shape) = (self.shift_level(), self.shape_level());
        if shape.share > shift.share { shape } else { shift }
    }

    fn shape_level(&self) -> Level {
        let share = f64::from(self.psi / self.psi_threshold);
        Level { statistic: "psi", share, psi: Some(f64::from(self.psi)), ..Level::default() }
    }

    fn shift_level(&self) -> Level {
        let threshold = f64::from(self.threshold);
        let [above, below] = &self.excursions;
        let (up, down) = (self.cusum.up / threshold, self.cusum.down / threshold);
        let (share, of) = if down > up { (down, below) } else { (up, above) };
        let blocks = f64::from(of.blocks.max(1));
        let shift = f64::from(of.sum) / blocks * f64::from(self.block_sd / self.window_sd);
        let from = (of.blocks > 0).then(|| time_of(of.from));
        Level { statistic: "cusum", share, shift: Some(shift), psi: None, from }
    }

    pub(super) fn report(&self, baseline: &NumberBaseline) -> QuantityReport {
        let bins = baseline.edges.len() + 1;
        QuantityReport {
            name: baseline.name.clone(),
            state: self.state,
            level: rounded(self.level().share),
            shift: self.shift_level().shift.map(rounded),
            psi: self.rolling.is_full().then(|| rounded(f64::from(self.psi))),
            range: (baseline.edges.first().zip(baseline.edges.last()))
                .map(|(first, last)| [*first, *last].map(rounded)),
            expected: thousandths(&shares(&baseline.shape.counts), bins),
            found: counts(&self.rolling, bins),
        }
    }
}

/// What each side of the CUSUM takes off, in standard deviations of a block.
fn allowances(blocks: &Blocks) -> [f64; 2] {
    blocks.wander.map(|wander| (least_allowance(blocks) + wander) / blocks.sd)
}

/// The same without the wander, in the unit of the number.
fn least_allowance(blocks: &Blocks) -> f64 {
    ALLOWANCE * blocks.window_sd + MEAN_ERRORS * blocks.mean_error
}

/// With hysteresis: a drift lasts until the statistic is well below its threshold.
pub(super) fn next_state(before: DriftState, share: f64) -> DriftState {
    let stays = before == DriftState::Drift && share >= OVER_BELOW;
    if share >= 1.0 || stays {
        DriftState::Drift
    } else if share >= WATCH_FROM {
        DriftState::Watch
    } else {
        DriftState::Ok
    }
}

pub(super) fn shares(counts: &[f64]) -> [u16; BINS] {
    let total: f64 = counts.iter().sum();
    let mut shares = [0; BINS];
    for (share, count) in shares.iter_mut().zip(counts) {
        #[expect(clippy::cast_possible_truncation, reason = "a share is at most 1")]
        #[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
        let parts = (count / total.max(1.0) * 65_535.0).round() as u16;
        *share = parts;
    }
    shares
}

pub(super) fn thousandths(shares: &[u16; BINS], bins: usize) -> Vec<u16> {
    let parts = |share: &u16| u16::try_from(u32::from(*share) * 1000 / 65_535).unwrap_or(0);
    shares.iter().take(bins).map(parts).collect()
}

pub(super) fn counts(rolling: &RollingCounts, bins: usize) -> Vec<u16> {
    #[expect(clippy::cast_possible_truncation, reason = "at most 1024")]
    #[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
    let count = |count: &f64| *count as u16;
    rolling.total().iter().take(bins).map(count).collect()
}

/// Whole seconds since 1970, as kept in memory.
pub(super) fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.0 / 1_000_000).unwrap_or(0)
}

pub(super) fn time_of(seconds: u32) -> Timestamp {
    Timestamp(i64::from(seconds) * 1_000_000)
}

/// As kept in memory, where half the bytes matter.
#[expect(clippy::cast_possible_truncation, reason = "six digits suffice")]
pub(super) fn single(value: f64) -> f32 {
    value as f32
}
