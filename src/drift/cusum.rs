//! Cumulative sums: the sequential tests that find a lasting shift soonest.

/// A two-sided CUSUM of standardised values.
///
/// Source: Page, "Continuous inspection schemes", Biometrika 41 (1954):
/// `up = max(0, up + z - k_up)`, `down = max(0, down - z - k_down)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cusum {
    pub up: f64,
    pub down: f64,
}

impl Cusum {
    /// Adds a value in standard deviations; `allowance` is what each side takes off.
    pub fn add(&mut self, z: f64, [up, down]: [f64; 2]) {
        self.up = (self.up + z - up).max(0.0);
        self.down = (self.down - z - down).max(0.0);
    }

    /// Keeps both sides at or below a bound, so that they come back in bounded time.
    pub fn cap(&mut self, [up, down]: [f64; 2]) {
        self.up = self.up.min(up);
        self.down = self.down.min(down);
    }
}

/// The CUSUM of a rate of events that may rise from `usual` to `raised`, as sums of log likelihood
/// ratios (Lorden, Annals of Mathematical Statistics 42 (1971)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateCusum {
    sum: f64,
    /// Added for an event.
    gain: f64,
    /// Taken off for each trial without one.
    decay: f64,
}

impl RateCusum {
    /// `usual` and `raised` are probabilities between 0 and 1, `usual` the lower one.
    #[must_use]
    pub fn new(usual: f64, raised: f64) -> Self {
        let gain = (raised / usual).ln();
        let decay = ((1.0 - usual) / (1.0 - raised)).ln();
        Self { sum: 0.0, gain, decay }
    }

    pub fn add(&mut self, is_event: bool) {
        let step = if is_event { self.gain } else { -self.decay };
        self.sum = (self.sum + step).max(0.0);
    }

    /// As many trials without an event as `count` says.
    pub fn add_uneventful(&mut self, count: f64) {
        self.sum = (self.sum - count * self.decay).max(0.0);
    }

    pub fn cap(&mut self, most: f64) {
        self.sum = self.sum.min(most);
    }

    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }
}
