//! Numbers that samples lack, and clocks of the devices' own, through the pipeline.

use std::time::Duration;

use super::fixture::{Harness, constant, echo, prediction, stream, whole, windowed};
use crate::bundle::card::OutputKind;
use crate::clock::Clock as _;
use crate::config::{Config, DeviceClock, Missing, Stream, TimeUnit, WindowSafety};
use crate::pipeline::CompatibilityError;

fn missing(rule: Missing) -> Stream {
    let mut config = stream();
    config.payload.reading.missing.default = rule;
    config.payload.reading.missing.hold = Duration::from_secs(60);
    config
}

/// The numbers that the model got.
fn taken(bench: &mut Harness, device: &str, payload: &str) -> Option<Vec<f64>> {
    let (outcome, out) = bench.step(&format!("sensors/{device}/imu"), payload);
    assert!(outcome.rejects.is_empty(), "{outcome:?}");
    let message = out.first()?;
    let data = prediction(&message.message.payload)["tensor"]["data"].clone();
    serde_json::from_value(data).unwrap()
}

#[test]
fn the_last_number_of_a_device_stands_for_a_missing_one() {
    let window = (windowed(1, 1), echo(&[1, 2]));
    let input = (whole(OutputKind::Raw), echo(&[2]));
    for (card, model) in [window, input] {
        let mut bench = Harness::new(missing(Missing::Hold), card, model);
        assert_eq!(taken(&mut bench, "x", r#"{"a":1,"b":2}"#), Some(vec![1.0, 2.0]));
        assert_eq!(taken(&mut bench, "x", r#"{"a":3}"#), Some(vec![3.0, 2.0]));
        assert_eq!(taken(&mut bench, "x", r#"{"b":4,"a":null}"#), Some(vec![3.0, 4.0]));
        assert_eq!(taken(&mut bench, "x", r#"{"battery":4}"#), None, "nothing of it is read");
        assert_eq!(taken(&mut bench, "x", "[null,5]"), Some(vec![3.0, 5.0]));
        let (outcome, _) = bench.step("sensors/y/imu", r#"{"b":9}"#);
        assert_eq!(outcome.rejects[0].reject.code(), "missing-field", "another device's");
        assert!(outcome.rejects[0].reject.to_string().contains("payload.missing"));
        assert_eq!(taken(&mut bench, "y", r#"{"a":8}"#), Some(vec![8.0, 9.0]), "partial updates");
        bench.clock.pass(Duration::from_secs(61));
        let (outcome, _) = bench.step("sensors/x/imu", r#"{"a":1}"#);
        assert_eq!(outcome.rejects[0].reject.code(), "missing-field", "too old");
        assert_eq!(taken(&mut bench, "x", r#"{"b":2}"#), Some(vec![1.0, 2.0]));
    }
}

#[test]
fn a_number_or_nan_stands_for_a_missing_one_or_the_sample_is_passed_over() {
    let of = |rule| Harness::new(missing(rule), windowed(1, 1), echo(&[1, 2]));
    assert_eq!(taken(&mut of(Missing::Value(7.5)), "x", r#"{"a":1}"#), Some(vec![1.0, 7.5]));
    let mut skip = of(Missing::Skip);
    let (outcome, out) = skip.step("sensors/x/imu", r#"[{"a":1},{"a":2,"b":3}]"#);
    assert_eq!((outcome.skipped, outcome.samples, out.len()), (1, 1, 1));
    let (outcome, _) = skip.step("sensors/x/imu", r#"{"a":1}"#);
    assert_eq!((outcome.skipped, outcome.samples, outcome.rejects.len()), (1, 0, 0));
    let (model, got) =
        super::fixture::taking(vec![super::fixture::spec("x", crate::tensor::Dtype::F32, &[1, 2])]);
    let mut nan = Harness::new(missing(Missing::Nan), windowed(1, 1), model);
    nan.step("sensors/x/imu", r#"{"a":1}"#);
    let crate::tensor::Data::F32(numbers) = &got.lock().unwrap()[0] else { panic!() };
    assert!(numbers[0] == 1.0 && numbers[1].is_nan());
}

#[test]
fn rules_that_the_model_cannot_take_are_refused() {
    let problems = |config: Stream, dtype| {
        let mut model = constant(&[1, 2], &[0.0]);
        model.inputs[0].dtype = dtype;
        let refused = Harness::try_new(config, windowed(1, 1), model).unwrap_err();
        refused.iter().map(CompatibilityError::to_string).collect::<Vec<_>>().join("\n")
    };
    let refused = problems(missing(Missing::Nan), crate::tensor::Dtype::I32);
    assert!(refused.contains("payload.missing"), "{refused}");
    let mut config = missing(Missing::Reject);
    config.payload.reading.missing.fields = vec![("c".into(), Missing::Skip)];
    assert!(problems(config, crate::tensor::Dtype::F32).contains("\"c\" is none of the fields"));
}

#[test]
fn after_a_restart_the_last_sample_of_the_window_is_held() {
    for journal in [true, false] {
        let mut config = missing(Missing::Hold);
        config.windows = WindowSafety::Journal;
        let mut bench = Harness::new(config.clone(), windowed(3, 3), echo(&[3, 2]));
        let base = bench.pipeline.base(1, bench.clock.now());
        assert_eq!(taken(&mut bench, "x", r#"{"a":1,"b":2}"#), None);
        assert_eq!(taken(&mut bench, "x", r#"{"a":3}"#), None);
        let mut again = Harness::new(config, windowed(3, 3), echo(&[3, 2]));
        let now = bench.clock.now();
        if journal {
            let addition = bench.pipeline.addition(now).unwrap();
            again.pipeline.replay(&base, [&addition.bytes[..]], now, &mut Vec::new()).unwrap();
        } else {
            again.pipeline.restore(&bench.pipeline.snapshot(now), now).unwrap();
        }
        let window = taken(&mut again, "x", r#"{"b":5}"#);
        assert_eq!(window, Some(vec![1.0, 2.0, 3.0, 2.0, 3.0, 5.0]), "journal {journal}");
    }
}

#[test]
fn times_of_a_devices_own_clock_become_those_of_arrival() {
    let mut config = stream();
    config.payload.time = Some("t".into());
    config.payload.reading.times.clock = DeviceClock::Own;
    config.payload.reading.times.unit = Some(TimeUnit::Millis);
    for card in [windowed(1, 1), whole(OutputKind::Raw)] {
        let shape: &[usize] = if card.window.is_some() { &[1, 2] } else { &[2] };
        let mut bench = Harness::new(config.clone(), card, echo(shape));
        let mut time = |payload: &str| {
            let (outcome, out) = bench.step("sensors/x/imu", payload);
            assert!(outcome.rejects.is_empty(), "{outcome:?}");
            bench.clock.pass(Duration::from_secs(1));
            prediction(&out[0].message.payload)["time"].as_str().unwrap().to_owned()
        };
        assert_eq!(time(r#"{"t":5000,"a":1,"b":2}"#), "2026-11-22T10:00:00.000Z");
        assert_eq!(time(r#"{"t":5900,"a":1,"b":2}"#), "2026-11-22T10:00:00.900Z");
        assert_eq!(time(r#"{"t":10,"a":1,"b":2}"#), "2026-11-22T10:00:02.000Z", "a restart");
    }
}

#[test]
fn the_options_are_read_from_the_configuration() {
    let text = |payload: &str| {
        format!(
            "[[stream]]\nname = \"s\"\nmodel = \"m\"\ntopic = \"t/{{device}}\"\n\
             [stream.payload]\nfields = [\"a\", \"b\"]\n{payload}\n"
        )
    };
    let reading =
        |payload: &str| Config::parse(&text(payload)).unwrap().streams.remove(0).payload.reading;
    let rules = reading("missing = { b = \"hold\", a = 3 }\nhold = \"10m\"").missing;
    assert_eq!((rules.of("a"), rules.of("b")), (Missing::Value(3.0), Missing::Hold));
    assert_eq!(reading("missing = \"skip\"").missing.default, Missing::Skip);
    assert_eq!(reading("missing = 0").missing.default, Missing::Value(0.0));
    assert_eq!(reading("words = { ON = 1, \"off now\" = 0.5 }").words.len(), 2);
    let times = reading("time = [\"d\", \"/t\"]\nzone = \"+01:00\"").times;
    assert_eq!(times.time_of_day.as_deref(), Some("/t"));
    assert!(times.zone.is_some());
    let refused = |payload: &str| Config::parse(&text(payload)).unwrap_err().to_string();
    assert!(refused("missing = \"hold\"").contains("payload.hold"));
    assert!(refused("hold = \"10m\"").contains("nothing is held"));
    assert!(refused("missing = \"drop\"").contains("\"skip\""));
    assert!(refused("missing_values = [\"--\"]").contains("payload.missing_values"));
    assert!(refused("zone = \"utc\"").contains("no timestamp"));
    assert!(refused("time = \"t\"\nzone = \"Europe/Atlantis\"").contains("tzdata"));
    assert!(refused("time = \"t\"\nclock = \"device\"").contains("time_unit"));
    assert!(refused("words = { ON = \"x\" }").contains("given no number"));
    assert!(refused("delimiter = \";\"").contains("payload.delimiter"));
    assert!(refused("format = \"csv\"\ncomment = \"x\"").contains("comment"));
    assert!(refused("format = \"i8\"\nnumbers = \"lenient\"").contains("payload.numbers"));
}
