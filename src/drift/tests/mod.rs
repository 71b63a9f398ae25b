//! The statistics beside those of scipy.

#[path = "../../../tools/drift_simulation/source.rs"]
pub(super) mod source;

use serde_json::Value;

use super::*;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn near(found: f64, wanted: &Value, what: &str) {
    let wanted = wanted.as_f64().unwrap();
    let off = (found - wanted).abs();
    assert!(off <= 1e-9 * wanted.abs().max(1.0), "{what}: {found} instead of {wanted}");
}

#[test]
fn the_statistics_are_those_of_scipy() {
    let sets: Vec<Value> = serde_json::from_str(include_str!("statistics.json")).unwrap();
    assert_eq!(sets.len(), 100);
    for set in &sets {
        let (expected, found) = (numbers(&set["expected"]), numbers(&set["found"]));
        near(psi(&expected, &found), &set["psi"], "psi");
        near(chi_squared(&expected, &found), &set["chi_squared"], "chi-squared");
        let allowance = set["allowance"].as_f64().unwrap();
        let mut cusum = Cusum::default();
        numbers(&set["values"]).iter().for_each(|value| cusum.add(*value, [allowance; 2]));
        near(cusum.up, &set["cusum"][0], "cusum");
        near(cusum.down, &set["cusum"][1], "cusum");
        let run_length = set["run_length"].as_f64().unwrap();
        near(cusum_threshold(allowance, run_length), &set["threshold"], "threshold");
        let (freedom, alpha) = (set["freedom"].as_f64().unwrap(), set["alpha"].as_f64().unwrap());
        let quantile = chi_squared_upper_quantile(freedom, alpha);
        near(quantile, &set["chi_squared_quantile"], "chi-squared quantile");
        near(normal_quantile(alpha), &set["normal_quantile"], "normal quantile");
    }
}

#[test]
fn probabilities_outside_of_0_to_1_have_a_quantile() {
    assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
    assert_eq!(normal_quantile(1.0), f64::INFINITY);
    assert_eq!(chi_squared_upper_quantile(3.0, 0.0), f64::INFINITY);
    assert_eq!(chi_squared_upper_quantile(3.0, 1.0), 0.0);
    assert_eq!(chi_squared_upper_quantile(0.0, 0.5), f64::INFINITY);
}

#[test]
fn a_device_at_half_its_rate_is_found_and_one_pause_is_not() {
    use crate::clock::Timestamp;
    let mut rate = DeviceRate::default();
    let mut time = 0;
    let mut after = |seconds: i64| {
        time += seconds * 1_000_000;
        rate.window(Timestamp(time))
    };
    for _ in 0..50 {
        assert_eq!(after(10), None);
    }
    assert_eq!(after(3_600), None, "one pause");
    for _ in 0..20 {
        assert_eq!(after(10), None);
    }
    let found: Vec<_> = (0..6).filter_map(|_| after(20)).collect();
    assert!(found.len() >= 2, "{found:?}");
    assert!((found[0].factor - 0.5).abs() < 0.01, "{found:?}");
    let back = (0..40).map(|_| after(10)).take_while(Option::is_some).count();
    assert!(back < 40, "it is not over after {back} windows");
}
