//! Options of payloads that do not fit their format, or each other.

use super::*;

fn stream(payload: &str) -> String {
    let head = "[[stream]]\nname = \"s\"\nmodel = \"m\"\ntopic = \"t/{x}\"\n";
    format!("{head}[stream.payload]\n{payload}\n")
}

const LAYOUT: &str = "layout = [\"i16be t / 10\", \"u8 skip\"]";
const RECORDS: &str = "records = { name = \"n\", value = \"v\", time = \"t\" }";

#[test]
fn options_that_do_not_fit_are_problems() {
    let table = [
        ("format = \"bytes\"".to_owned(), "payload.bytes: the layout of the bytes is missing"),
        (
            format!("format = \"bytes\"\nbytes = {{ at = \"/d\", {LAYOUT} }}"),
            "payload.bytes.at = \"/d\": the whole payload is the bytes",
        ),
        (
            format!("bytes = {{ encoding = \"hex\", {LAYOUT} }}"),
            "payload.bytes.at: missing; allowed: the field with the bytes",
        ),
        (
            format!("bytes = {{ at = \"d\", {LAYOUT} }}"),
            "payload.bytes.encoding: JSON has no bytes",
        ),
        (
            "bytes = { at = \"d\", encoding = \"hex\", layout = [\"u8 skip\"] }".to_owned(),
            "names no number",
        ),
        (
            "bytes = { at = \"d\", encoding = \"hex\", layout = [\"u8 a\", \"u8 a\"] }".to_owned(),
            "\"u8 a\": the name is there twice",
        ),
        (
            "bytes = { at = \"d\", encoding = \"hex\", layout = [\"u9 a\"] }".to_owned(),
            "\"u9 a\": \"u9\" is no type",
        ),
        (format!("format = \"csv\"\nbytes = {{ {LAYOUT} }}"), "such a payload has none"),
        ("header = 4".to_owned(), "payload.header = 4: no bytes are read"),
        ("format = \"i16be\"\ntime = \"t\"".to_owned(), "such a payload has none"),
        ("records = { value = \"v\" }".to_owned(), "payload.records.name: missing"),
        ("records = { name = \"n\" }".to_owned(), "payload.records.value: missing"),
        (format!("format = \"influx\"\n{RECORDS}"), "such a payload has none"),
        (format!("time = [\"d\", \"t\"]\n{RECORDS}"), "a record has one time"),
        (
            format!("{RECORDS}\nbytes = {{ at = \"d\", encoding = \"hex\", {LAYOUT} }}"),
            "payload.bytes is set as well",
        ),
        ("format = \"senml\"\ndevice = \"n\"".to_owned(), "SenML has one name of the device"),
        ("format = \"senml\"\ntime = \"t\"".to_owned(), "such a payload has none"),
        ("format = \"senml\"\ntime_unit = \"s\"".to_owned(), "samples have no timestamp"),
        ("format = \"sparkplug\"\ndevice = \"d\"".to_owned(), "such a payload has none"),
    ];
    for (payload, why) in table {
        let shown: Vec<_> = problems(&stream(&payload)).iter().map(Problem::to_string).collect();
        assert!(shown.iter().any(|it| it.contains(why)), "{payload}: {shown:?}");
    }
}

#[test]
fn formats_with_times_of_their_own_may_have_a_bound_of_age() {
    let is_taken = |payload: &str| {
        let text = stream(payload);
        let aged = text.replace("[stream.payload]", "max_age = \"1m\"\n[stream.payload]");
        Config::parse(&aged).is_ok()
    };
    for format in ["senml", "influx", "sparkplug"] {
        assert!(is_taken(&format!("format = \"{format}\"")), "{format}");
    }
    assert!(is_taken(RECORDS) && is_taken("format = \"influx\"\ntime_unit = \"s\""));
    assert!(!is_taken("format = \"msgpack\"") && !is_taken("format = \"i16be\""));
    let records = Config::parse(&stream(RECORDS)).unwrap().streams.remove(0).payload;
    assert_eq!(records.time.as_deref(), Some("t"));
}

#[test]
fn the_type_of_a_sparkplug_message_is_no_part_of_the_device() {
    let of = |topic: &str| stream("format = \"sparkplug\"").replace("t/{x}", topic);
    let text = of("spBv1.0/{group}/{message}/{node}/{unit}");
    let stream = Config::parse(&text).unwrap().streams.remove(0);
    let publish = stream.publish.topic.to_string();
    assert_eq!(publish, "predictions/{stream}/{group}/{node}/{unit}");
    assert!(Config::parse(&of("spBv1.0/{group}/{kind}/{node}/{device}")).is_ok());
    assert!(Config::parse(&of("spBv1.0/{group}/DDATA/{node}/{unit}")).is_ok());
    let shown = problem(&of("spBv1.0/{group}/{kind}/{node}/{unit}"));
    assert!(shown.contains("captured as {kind}; allowed: {message}"), "{shown}");
    let joined = format!("{text}join = {{ by = \"unit\" }}\n");
    let shown: Vec<_> = problems(&joined).iter().map(Problem::to_string).collect();
    assert!(shown.iter().any(|it| it.contains("metrics of Sparkplug are not joined")), "{shown:?}");
}

#[test]
fn an_interval_needs_one_time_and_all_samples_of_a_message() {
    let with = |options: &str| format!("{STREAM}[stream.payload]\n{options}\n");
    let fine = with("time = \"ts\"\ninterval = \"2.5ms\"");
    let reading = Config::parse(&fine).unwrap().streams[0].payload.reading.clone();
    assert_eq!(reading.interval, Some(SampleInterval { nanos: 2_500_000, from_first: false }));
    let told = |options: &str| problem(&with(options));
    assert!(told("interval = \"1ms\"").contains("no timestamp"));
    for bad in ["", "1", "ms", "1 week", "0Hz", "2d", "1ns", "1.2.3s"] {
        let text = told(&format!("time = \"ts\"\ninterval = {bad:?}"));
        assert!(text.contains("interval"), "{bad}: {text}");
    }
    assert!(told("time = \"ts\"\ninterval_from = \"first\"").contains("no interval"));
    let missing = "time = \"ts\"\ninterval = \"1s\"\nmissing = \"skip\"";
    assert!(told(missing).contains("may be left out"));
}

#[test]
fn protobuf_needs_a_type_and_its_descriptors() {
    let with =
        |options: &str| format!("{STREAM}[stream.payload]\nformat = \"protobuf\"\n{options}\n");
    let fine =
        with("descriptors = \"a.desc\"\nmessage = \"m.R\"\nembedded = { \"m.R.b\" = \"m.S\" }");
    let protobuf = Config::parse(&fine).unwrap().streams[0].payload.protobuf.clone().unwrap();
    assert_eq!(protobuf.embedded, [("m.R.b".to_owned(), "m.S".to_owned())]);
    assert_eq!(problems(&with("")).len(), 2);
    assert!(problem(&with("descriptors = \"a.desc\"")).contains("message: missing"));
    let other = format!("{STREAM}[stream.payload]\ndescriptors = \"a.desc\"\nmessage = \"m.R\"\n");
    assert_eq!(problems(&other).len(), 2, "of other formats");
}
