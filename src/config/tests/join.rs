//! Values on topics of their own.

use super::*;

const HEAT: &str = "[[stream]]\nname = \"heat\"\nmodel = \"heat\"\n";

fn by_channel(payload: &str) -> String {
    format!("{HEAT}topic = \"heat/{{device}}/{{channel}}\"\npayload = {{ {payload} }}\n")
}

fn sources(payload: &str, tables: &[&str]) -> String {
    let tables: String = tables.iter().map(|it| format!("[[stream.source]]\n{it}\n")).collect();
    format!("{HEAT}payload = {{ {payload} }}\n{tables}")
}

fn join(text: &str) -> Join {
    Config::parse(text).unwrap().streams.remove(0).join.unwrap()
}

#[test]
fn a_capture_names_the_channel_and_is_no_part_of_the_device() {
    let text = by_channel("join = { by = \"channel\" }");
    let stream = Config::parse(&text).unwrap().streams.remove(0);
    assert_eq!(stream.publish.topic.to_string(), "predictions/{stream}/{device}");
    let join = stream.join.unwrap();
    assert_eq!((join.value.as_str(), join.hold), ("value", Duration::from_secs(600)));
    assert_eq!((join.every, join.sources.len()), (JoinEvery::Any, 1));
    let shown = problem(&format!("{text}publish = {{ topic = \"p/{{channel}}\" }}"));
    assert!(shown.contains("has no value for {channel}"), "{shown}");
}

#[test]
fn every_is_a_word_or_the_step_of_a_grid() {
    let every =
        |text: &str| join(&by_channel(&format!("join = {{ by = \"channel\", {text} }}"))).every;
    assert_eq!(every("every = \"all\""), JoinEvery::All);
    let (step, method) = (Duration::from_millis(500), AlignMethod::Previous);
    let grid = Grid { step, method, max_lag: Duration::ZERO };
    assert_eq!(every("every = \"500ms\""), JoinEvery::Grid(grid));
    let text = "join = { by = \"channel\" }, align = { grid = \"500ms\", method = \"linear\" }";
    let grid = Grid { method: AlignMethod::Linear, max_lag: Duration::from_secs(2), ..grid };
    assert_eq!(join(&by_channel(text)).every, JoinEvery::Grid(grid));
}

#[test]
fn what_does_not_fit_a_join_is_a_problem() {
    let with = |payload: &str| problem(&by_channel(payload));
    assert!(with("join = { hold = \"1s\" }").contains("by: missing"));
    assert!(with("join = { by = \"quantity\" }").contains("does not capture {quantity}"));
    assert!(with("join = { by = \"device\" }").contains("names the device"));
    assert!(with("join = { by = \"channel\", every = \"often\" }").contains("not any, all or"));
    assert!(with("join = { by = \"channel\", every = \"0s\" }").contains("not any, all or"));
    let fine = "join = { by = \"channel\", hold = \"1h\", every = \"1ms\" }";
    assert!(with(fine).contains("3600000 points of a grid of 1ms; allowed: at most 10000"));
    let align = "join = { by = \"channel\", hold = \"1s\" }, align = { grid = \"1ms\" }";
    assert!(with(align).contains("2000 points of a grid of 1ms; allowed: at most 1000"));
    let both = "join = { by = \"channel\", every = \"any\" }, align = { grid = \"1s\" }";
    assert!(with(both).contains("one of the two"));
    assert!(Config::parse(&by_channel("align = { grid = \"1s\" }")).is_ok(), "samples on a grid");
}

#[test]
fn sources_share_what_they_do_not_say() {
    let text = sources(
        "format = \"csv\", time = \"ts\", join = { hold = \"1m\" }",
        &[
            "topic = \"a/{device}\"\nfields = [\"x\"]\noffset = \"-250ms\"",
            "topic = \"b/{device}\"\nfields = [\"y\"]\nformat = \"json\"\ntime = \"t\"",
        ],
    );
    let stream = Config::parse(&text).unwrap().streams.remove(0);
    let topics: Vec<_> = stream.topics().map(ToString::to_string).collect();
    assert_eq!(topics, ["a/{device}", "b/{device}"]);
    let [a, b] = &stream.join.as_ref().unwrap().sources[..] else { panic!() };
    assert_eq!((a.payload.format, a.payload.time.as_deref()), (Format::Csv, Some("ts")));
    assert_eq!((b.payload.format, b.payload.time.as_deref()), (Format::Json, Some("t")));
    assert_eq!((a.offset, b.offset), (-250_000, 0));
}

#[test]
fn sources_must_be_told_apart_and_have_the_same_devices() {
    let (x, y) = ("topic = \"a/{device}\"\nfields = [\"x\"]", "fields = [\"y\"]");
    let with = |second: &str| problem(&sources("", &[x, &format!("{second}\n{y}")]));
    assert!(with("topic = \"{device}/b\"").contains("belong to another source"));
    assert!(with("topic = \"b/{unit}\"").contains("captures other names"));
    assert!(with("topic = \"b/{device}\"\noffset = \"2d\"").contains("at most a day"));
    assert!(with("topic = \"b/{device}\"\nformat = \"i8\"\ntime = \"t\"").contains("has none"));
    let none = problem(&sources("", &["topic = \"a/{device}\""]));
    assert!(none.contains("fields: missing"), "{none}");
    let named = "topic = \"a/{device}/{channel}\"\nfields = [\"x\"]";
    let named = problem(&sources("join = { by = \"channel\" }", &[named]));
    assert!(named.contains("the topic names the channel"), "{named}");
    let topic = sources("", &[x]).replace("payload", "topic = \"a/b\"\npayload");
    assert!(problem(&topic).contains("topics of their own"));
}

#[test]
fn a_capture_of_several_levels_is_the_end_of_the_device_in_each_source() {
    let pair = |first: &str, second: &str| {
        let tables = [first, second].map(|topic| format!("topic = {topic:?}\nfields = [\"a\"]"));
        sources("time = \"ts\", join = { hold = \"1m\" }", &[&tables[0], &tables[1]])
    };
    assert!(Config::parse(&pair("a/{s}/{d#}", "b/{s}/{d#}")).is_ok());
    let shown = problem(&pair("a/{s}/{d}", "b/{d}/{s#}"));
    assert!(shown.contains("last part of the device's name"), "{shown}");
}
