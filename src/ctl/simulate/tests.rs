use super::*;

fn args(gateways: usize, failing: f64) -> Args {
    Args {
        gateways,
        waves: vec![1.0, 10.0, 50.0, 100.0],
        soak_s: 1800,
        abort_above: 5.0,
        min_reports: 10,
        failing,
        loss: 1.0,
        power_cuts: 5.0,
        model_kib: 12,
        spread_s: 900,
        seed: 1,
        json: false,
    }
}

#[test]
fn a_good_release_reaches_everyone_through_losses_and_power_cuts() {
    let outcome = fleet::run(&args(500, 0.0)).unwrap();
    assert!(!outcome.aborted);
    assert_eq!((outcome.touched, outcome.committed, outcome.rolled_back), (500, 500, 0));
    assert_eq!(outcome.waves.len(), 4);
    assert_eq!(outcome.controller_messages, 4, "one a wave, whatever the size of the fleet");
}

#[test]
fn a_release_that_fails_on_8_percent_stops_at_2_percent_of_the_fleet() {
    let outcome = fleet::run(&args(10_000, 8.0)).unwrap();
    assert!(outcome.aborted, "{outcome:?}");
    assert!(outcome.touched * 50 <= 10_000, "{outcome:?}");
}

#[test]
fn the_same_seed_is_the_same_fleet() {
    let outcome = fleet::run(&args(200, 3.0)).unwrap();
    assert_eq!(fleet::run(&args(200, 3.0)).unwrap(), outcome);
}

#[test]
fn percentages_are_read_with_and_without_their_sign() {
    assert_eq!((parse_percent("5%"), parse_percent("0.5")), (Ok(5.0), Ok(0.5)));
    for bad in ["", "%", "101%", "-1", "NaN", "five"] {
        assert!(parse_percent(bad).is_err(), "{bad:?}");
    }
}
