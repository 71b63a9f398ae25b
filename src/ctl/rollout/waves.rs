//! Waves as an operator writes them: shares, or numbers of gateways.

use crate::ids::GatewayId;
use crate::update::rollout_bucket;

/// `10%`, or `25` gateways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ctl) enum Wave {
    Percent(f64),
    Count(usize),
}

pub(in crate::ctl) fn parse_wave(text: &str) -> Result<Wave, String> {
    let wrong = || "neither a share such as 10% nor a number of gateways".to_owned();
    match text.strip_suffix('%') {
        Some(number) => {
            let percent = number.parse().ok().filter(|p| (0.01..=100.0).contains(p));
            percent.map(Wave::Percent).ok_or_else(wrong)
        }
        None => text.parse().ok().filter(|n| *n > 0).map(Wave::Count).ok_or_else(wrong),
    }
}

/// Converts waves to percentages. A number becomes the share that selects at least as many of the known
/// gateways, because a deployment contains only shares, which also select gateways that join later.
pub(super) fn percents(
    waves: &[Wave],
    seed: &str,
    fleet: &[GatewayId],
) -> Result<Vec<f64>, String> {
    let mut places: Vec<u32> = fleet.iter().map(|id| rollout_bucket(seed, id)).collect();
    places.sort_unstable();
    let percent = |wave: &Wave| match *wave {
        Wave::Percent(percent) => percent,
        Wave::Count(count) => {
            places.get(count - 1).map_or(100.0, |place| f64::from(place + 1) / 100.0)
        }
    };
    let mut percents: Vec<f64> = waves.iter().map(percent).collect();
    if !percents.is_sorted() {
        return Err(format!(
            "the waves must be in increasing order; they are {percents:?} percent of the fleet"
        ));
    }
    // Two waves that come to the same are one.
    percents.dedup();
    Ok(percents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::is_selected;

    #[test]
    fn numbers_become_the_share_that_reaches_them() {
        let fleet: Vec<_> =
            (0..500).map(|i| GatewayId::parse(&format!("gw-{i}")).unwrap()).collect();
        let waves: Vec<_> =
            ["1", "7", "10%", "900"].iter().map(|w| parse_wave(w).unwrap()).collect();
        let percents = percents(&waves, "seed", &fleet).unwrap();
        let reached = |p: f64| fleet.iter().filter(|id| is_selected("seed", id, p)).count();
        assert_eq!((reached(percents[0]), reached(percents[3])), (1, 500));
        assert!((7..=8).contains(&reached(percents[1])), "{}", reached(percents[1]));
        assert_eq!(percents[2], 10.0);
        assert!(super::percents(&[Wave::Percent(50.0), Wave::Count(1)], "seed", &fleet).is_err());
    }

    #[test]
    fn what_is_no_wave_is_refused() {
        for bad in ["", "0", "0%", "101%", "-1", "x%", "1.5"] {
            assert!(parse_wave(bad).is_err(), "{bad:?}");
        }
    }
}
