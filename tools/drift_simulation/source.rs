//! Random numbers as sensors make them, the same on every machine.

use std::f64::consts::TAU;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), with the method of Box and Muller for normal numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
    spare: Option<f64>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
        Self { state, spare: None }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1.
    pub(crate) fn unit(&mut self) -> f64 {
        let high = u32::try_from(self.next() >> 32).unwrap_or(0);
        (f64::from(high) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }

    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (radius, angle) = ((-2.0 * self.unit().ln()).sqrt(), TAU * self.unit());
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }
}

/// Numbers of windows at one a second: an AR(1) process of variance 1, and a daily sine.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    random: Random,
    correlation: f64,
    daily: f64,
    state: Vec<f64>,
    seconds: u32,
}

impl Source {
    pub(crate) fn new(seed: u64, numbers: usize, correlation: f64, daily: f64) -> Self {
        let mut random = Random::new(seed);
        let state = (0..numbers).map(|_| random.normal()).collect();
        Self { random, correlation, daily, state, seconds: 0 }
    }

    /// The next window.
    pub(crate) fn fill(&mut self, numbers: &mut [f64]) {
        let noise = (1.0 - self.correlation * self.correlation).sqrt();
        let daily = self.daily * (TAU * f64::from(self.seconds % 86_400) / 86_400.0).sin();
        for (state, number) in self.state.iter_mut().zip(numbers) {
            *state = self.correlation * *state + noise * self.random.normal();
            *number = *state + daily;
        }
        self.seconds += 1;
    }
}

/// Samples in a window of [`Sensor`].
pub(crate) const LENGTH: usize = 64;

/// What happens to a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The variance of the first channel is 1.5 times what it was.
    Variance,
    /// The first channel repeats its last value.
    Dead,
    /// g instead of m/s2.
    Unit,
    /// The second and the third channel are exchanged.
    Axes,
}

/// Windows of an accelerometer at rest on a machine: vibration on three axes, gravity on the third,
/// normalised by 10 m/s2.
#[derive(Clone, Debug)]
pub(crate) struct Sensor {
    random: Random,
}

impl Sensor {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed) }
    }

    /// The next window, by channel.
    pub(crate) fn window(&mut self, fault: Fault) -> [Vec<f64>; 3] {
        let (spreads, means) = ([1.0, 0.8, 0.5], [0.1, 0.2, 9.81]);
        // The load of the machine changes from window to window.
        let load = 1.0 + 0.1 * self.random.normal();
        let mut window: [Vec<f64>; 3] = Default::default();
        for ((channel, spread), mean) in window.iter_mut().zip(spreads).zip(means) {
            channel.extend((0..LENGTH).map(|_| mean + load * spread * self.random.normal()));
        }
        match fault {
            Fault::None => {}
            Fault::Variance => {
                let mean = means[0];
                let wider = 1.5_f64.sqrt();
                window[0].iter_mut().for_each(|value| *value = mean + (*value - mean) * wider);
            }
            Fault::Dead => window[0].fill(0.37),
            Fault::Unit => window.iter_mut().flatten().for_each(|value| *value /= 9.80665),
            Fault::Axes => window.swap(1, 2),
        }
        window.iter_mut().flatten().for_each(|value| *value /= 10.0);
        window
    }
}
