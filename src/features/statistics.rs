//! `stats`: numbers that describe a channel. Those of the population, as numpy and scipy (and Edge
//! Impulse's block "flatten") have them.

use super::block::Statistic;
use super::numeric::{mean, mean_of, moments, real, shape};

/// Appends the statistics of a channel in their order.
pub(super) fn statistics(wanted: &[Statistic], channel: &[f64], out: &mut Vec<f64>) {
    // Which zero `f64::min` returns of two is not the same everywhere.
    let least = channel.iter().fold(f64::INFINITY, |least, x| if *x < least { *x } else { least });
    let most = channel.iter().fold(f64::NEG_INFINITY, |most, x| if *x > most { *x } else { most });
    let rms = || mean_of(channel.iter().map(|x| x * x), channel.len()).sqrt();
    out.extend(wanted.iter().map(|statistic| match statistic {
        Statistic::Average => mean(channel),
        Statistic::Minimum => least,
        Statistic::Maximum => most,
        Statistic::PeakToPeak => most - least,
        Statistic::Rms => rms(),
        Statistic::Stdev => {
            let (_, [second, ..]) = moments(channel);
            second.sqrt()
        }
        Statistic::Skewness => shape(channel).0,
        Statistic::Kurtosis => shape(channel).1,
        Statistic::Crest => crest(if -least > most { -least } else { most }, rms()),
        Statistic::ZeroCrossings => real(crossings(channel)),
    }));
}

/// The largest absolute value, in units of the RMS; 0 of a channel of zeros.
fn crest(largest: f64, rms: f64) -> f64 {
    if rms > 0.0 { largest / rms } else { 0.0 }
}

/// How often a sample is below 0 and its neighbour is not.
fn crossings(channel: &[f64]) -> usize {
    let pairs = channel.iter().zip(channel.iter().skip(1));
    pairs.filter(|(before, after)| (**before < 0.0) != (**after < 0.0)).count()
}
