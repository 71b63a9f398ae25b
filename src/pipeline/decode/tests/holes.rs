//! Samples that lack numbers.

use proptest::prelude::*;

use super::{Case, case, cbor, json};
use crate::config::{Format, Missing, MissingRules};
use crate::pipeline::decode::{Samples, ValueOrder};

fn with(case: Case, rule: Missing) -> Case {
    case.reading(|reading| {
        reading.missing = MissingRules {
            default: rule,
            values: vec!["unavailable".into(), "--".into(), "-127".into()],
            ..MissingRules::default()
        };
    })
}

/// The numbers, with none in place of holes.
fn numbers(samples: &Samples) -> Vec<Option<f64>> {
    samples.values.iter().map(|value| (!value.is_nan()).then_some(*value)).collect()
}

#[test]
fn a_hole_is_null_absent_not_finite_or_a_value_that_is_named() {
    let taken = |payload: &str| {
        let read = with(json(), Missing::Hold).read(payload).unwrap();
        assert!(read.has_holes, "{payload}");
        numbers(&read)
    };
    for hole in
        ["null", "NaN", "-Infinity", "1e39", "\"\"", "\"Unavailable\"", "\"--\"", "-127", "\"nan\""]
    {
        let payload = format!(r#"{{"a":1,"b":{hole}}}"#);
        assert_eq!(taken(&payload), [Some(1.0), None], "{payload}");
        if !hole.contains("inf") {
            assert_eq!(taken(&format!("[{hole},2]")), [None, Some(2.0)], "{hole}");
        }
    }
    assert_eq!(taken(r#"{"a":1}"#), [Some(1.0), None]);
    assert_eq!(taken(r#"[[1,null],[null,4]]"#), [Some(1.0), None, None, Some(4.0)]);
    let csv = with(case(Format::Csv), Missing::Hold);
    for line in ["1,", "1,--", "1,nan", "1,-127.0", "1,UNAVAILABLE", "a,b\n1,", "a,b\n1,nan"] {
        assert_eq!(numbers(&csv.read(line).unwrap()), [Some(1.0), None], "{line:?}");
    }
    let bytes = cbor(r#"{"a":1,"b":null}"#);
    let read = with(case(Format::Cbor), Missing::Hold).read(bytes).unwrap();
    assert_eq!(numbers(&read), [Some(1.0), None]);
    let raw = with(case(Format::Raw(crate::tensor::Dtype::F32)), Missing::Hold);
    let floats: Vec<u8> = [1.0, f32::NAN, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let read = raw.read(floats).unwrap();
    assert_eq!(numbers(&read), [Some(1.0), None, Some(3.0), Some(4.0)]);
    assert_eq!(read.times.len(), 2);
    assert_eq!(with(json(), Missing::Hold).code(r#"{"a":1,"b":"x"}"#), "not-a-number");
    let mut one = with(json().fields(&["v"]), Missing::Value(0.0));
    for word in ["unavailable", "null", "NaN", "\"--\""] {
        assert_eq!(one.read(word).unwrap().skipped, 1, "{word}");
    }
    one.whole = true;
    assert_eq!(one.read("unavailable").unwrap().skipped, 1);
}

#[test]
fn a_hole_in_a_field_that_nobody_reads_is_nothing() {
    assert_eq!(json().values(r#"{"a":1,"b":2,"c":null}"#), [1.0, 2.0]);
    assert!(!with(json(), Missing::Hold).read(r#"{"a":1,"b":2,"c":null}"#).unwrap().has_holes);
}

#[test]
fn samples_are_passed_over_or_rejected_as_their_fields_say() {
    let skip = |payload: &str| {
        let read = with(json(), Missing::Skip).read(payload).unwrap();
        (read.values.clone(), read.skipped, read.times.len())
    };
    assert_eq!(skip(r#"{"a":1,"b":null}"#), (vec![], 1, 0));
    assert_eq!(skip("[[1,2],[3,null],[5,6]]"), (vec![1.0, 2.0, 5.0, 6.0], 1, 2));
    let nothing = with(json(), Missing::Value(7.0)).read(r#"{"state":"ON"}"#).unwrap();
    assert_eq!((nothing.skipped, nothing.times.len()), (1, 0), "no field at all");
    let mixed = json().reading(|reading| {
        reading.missing.fields = vec![("b".into(), Missing::Hold)];
    });
    assert_eq!(numbers(&mixed.read(r#"{"a":1}"#).unwrap()), [Some(1.0), None]);
    assert_eq!(mixed.code(r#"{"b":1}"#), "missing-field");
    assert_eq!(mixed.code(r#"{"a":null,"b":1}"#), "not-a-number");
    let devices = with(json().device(&["id"]), Missing::Skip);
    let read = devices.read(r#"[{"id":"x","a":1},{"id":"y","a":2,"b":3}]"#).unwrap();
    let mut name = String::new();
    read.devices.write(0, &mut name);
    assert_eq!((name.as_str(), read.values), ("y", vec![2.0, 3.0]));
}

#[test]
fn whole_inputs_have_holes_too() {
    let whole = |rule| with(json().whole(2), rule);
    let columns = whole(Missing::Hold).read(r#"{"a":1}"#).unwrap();
    assert_eq!(columns.order, ValueOrder::Columns);
    assert_eq!(columns.spans, [0..1, 1..2]);
    assert_eq!(numbers(&columns), [Some(1.0), None]);
    assert_eq!(numbers(&whole(Missing::Hold).read("[null,2]").unwrap()), [None, Some(2.0)]);
    assert_eq!(whole(Missing::Skip).read(r#"{"a":1}"#).unwrap().skipped, 1);
    assert_eq!(whole(Missing::Skip).read("[1,null]").unwrap().skipped, 1);
    assert_eq!(whole(Missing::Hold).read(r#"{"a":null}"#).unwrap().skipped, 1);
    let long = with(json().whole(6), Missing::Nan).read(r#"{"b":[1,2,3]}"#).unwrap();
    assert_eq!(numbers(&long).iter().flatten().count(), 3);
    assert_eq!(long.spans, [3..6, 0..3]);
}

#[test]
fn few_bytes_do_not_become_many_numbers() {
    let fields: Vec<String> = (0..4096).map(|n| format!("f{n}")).collect();
    let names: Vec<&'static str> = fields.iter().map(|name| &*name.clone().leak()).collect();
    let wide = with(json().fields(&names), Missing::Value(0.0));
    let payload = format!("[{}{{}}]", r#"{"f1":1},"#.repeat(60_000));
    assert_eq!(wide.code(payload), "too-many-samples");
    assert_eq!(wide.read("{}").unwrap().skipped, 1);
}

#[test]
fn fields_may_be_arrays_with_a_number_for_each_sample() {
    let values = [1.0, 2.0, 3.0, 4.0];
    for format in [Format::Json, Format::Cbor] {
        let of = |text: &str| if format == Format::Cbor { cbor(text) } else { text.into() };
        assert_eq!(case(format).values(of(r#"{"a":[1,3],"b":[2,4]}"#)), values);
        let timed = case(format).time("t").device(&["id"]);
        let read = timed
            .read(of(r#"{"id":"x","a":[1,3],"t":[1795341600,1795341601],"b":[2,4]}"#))
            .unwrap();
        assert_eq!(read.times.iter().flatten().count(), 2);
        assert_ne!(read.times[0], read.times[1]);
        assert_eq!((read.devices.run_from(0), read.values), (Some(2), values.to_vec()));
        let one = case(format).time("t").read(of(r#"{"t":1795341600,"a":[1,3],"b":[2,4]}"#));
        assert_eq!(one.unwrap().times, [Some(super::SECOND); 2]);
        let columns = case(format).reading(|reading| {
            reading.arrays = crate::config::ArrayOrder::Columns;
        });
        assert_eq!(columns.values(of("[[1,3],[2,4]]")), values);
        assert_eq!(columns.code(of("[[1,3],[2,4],[5,6]]")), "wrong-length");
        assert_eq!(columns.code(of("[[1,3]]")), "missing-field");
        assert_eq!(columns.code(of("[[1,3],[2]]")), "wrong-length");
    }
    assert_eq!(json().samples("s").values(r#"{"s":[{"a":[1,3],"b":[2,4]}]}"#), values);
    assert_eq!(json().code(r#"{"a":[1,3],"b":[2]}"#), "wrong-length");
    assert_eq!(json().code(r#"{"a":[1,3]}"#), "missing-field");
    assert_eq!(json().code(r#"{"a":[[1],3],"b":[2,4]}"#), "not-a-number");
    assert_eq!(json().time("t").code(r#"{"t":[1795341600],"a":[1,3],"b":[2,4]}"#), "wrong-length");
    let holes = with(json(), Missing::Skip).read(r#"{"a":[1,null,5],"b":[2,4,6]}"#).unwrap();
    assert_eq!((holes.skipped, holes.values), (1, vec![1.0, 2.0, 5.0, 6.0]));
}

proptest! {
    #[test]
    fn with_holes_any_bytes_are_read_or_rejected(
        case in super::any_case(),
        value in super::value(),
        rule in prop_oneof![
            Just(Missing::Skip), Just(Missing::Hold), Just(Missing::Nan), Just(Missing::Value(0.0)),
        ],
        in_columns in any::<bool>(),
    ) {
        let case = with(case, rule).reading(|reading| {
            reading.numbers = crate::config::NumberForm::Lenient;
            if in_columns {
                reading.arrays = crate::config::ArrayOrder::Columns;
            }
        });
        if let Ok(samples) = case.read(value.to_string()) {
            prop_assert!(samples.has_holes || samples.values.iter().all(|v| v.is_finite()));
            prop_assert!(!samples.times.is_empty() || samples.skipped > 0);
            prop_assert!(case.whole || samples.values.len() == samples.times.len() * case.width);
        }
    }
}
