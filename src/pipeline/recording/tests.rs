use serde_json::json;

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn read(text: &str, channels: &[&str]) -> Result<Vec<Recording>, String> {
    let channels = names(channels);
    let read = read_recordings(text.as_bytes(), ColumnNames::Channels(&channels), 10);
    read.map_err(|error| error.to_string())
}

#[test]
fn csv_json_lines_and_a_list_are_one_recording() {
    let csv = "y,time,label,x,note\n2,0.5,idle,1,a\n4,0.75,,3,b\n";
    let lines = "{\"x\":1,\"y\":2,\"time\":0.5,\"label\":\"idle\"}\n\
                 {\"time\":0.75,\"y\":4,\"x\":3,\"z\":{}}\n";
    let list = "[{\"x\":1,\"y\":2,\"ts\":0.5,\"label\":\"idle\"},{\"ts\":0.75,\"x\":3,\"y\":4}]";
    for text in [csv, lines, list, &format!("\u{feff}{csv}")] {
        let [found] = &read(text, &["x", "y"]).unwrap()[..] else { panic!("one recording") };
        let payloads: Vec<Value> = (0..2).map(|row| found.payload(row)).collect();
        assert!(payloads.iter().zip([(1.0, 2.0), (3.0, 4.0)]).all(|(payload, (x, y))| {
            payload["x"].as_f64() == Some(x) && payload["y"].as_f64() == Some(y)
        }));
        assert_eq!(found.times, [500_000, 750_000], "{text}");
        assert_eq!(found.labels, [Some("idle".to_owned()), None], "{text}");
        assert_eq!((found.label(0..=0), found.label(0..=1)), (Some("idle"), None));
    }
}

#[test]
fn recordings_and_devices_are_kept_apart() {
    let text = "recording,device,x\n1,a,10\n1,b,20\n2,a,30\n1,a,11\n";
    let found = read(text, &["x"]).unwrap();
    let titles: Vec<String> = found.iter().map(Recording::title).collect();
    assert_eq!(titles, ["1/a", "1/b", "2/a"]);
    assert_eq!(found[0].rows, [json!([10.0]), json!([11.0])]);
    // A channel of such a name is a channel.
    let [found] = &read("label,time\n1,2\n", &["time", "label"]).unwrap()[..] else {
        panic!("one")
    };
    assert_eq!(found.payload(0), json!({"label": 1.0, "time": 2.0}));
    assert!(found.times.is_empty() && found.labels.is_empty());
}

#[test]
fn times_are_seconds_or_what_sensors_send() {
    let at = |header: &str, cell: &str| {
        read(&format!("{header},x\n{cell},1\n"), &["x"]).map(|r| r[0].times[0])
    };
    assert_eq!(at("time", "1.5"), Ok(1_500_000));
    assert_eq!(at("ts", "1795341600125"), Ok(1_795_341_600_125_000));
    assert_eq!(at("timestamp", "2026-11-22T10:00:00.125Z"), Ok(1_795_341_600_125_000));
    assert_eq!(at("time_ms", "1500"), Ok(1_500_000));
    assert_eq!(at("time_us", "1500"), Ok(1_500));
    assert_eq!(at("time_ns", "1500000"), Ok(1_500));
    assert_eq!(at("time_s", "1795341600"), Ok(1_795_341_600_000_000));
    for bad in ["", "noon", "nan", "1e300"] {
        assert!(at("time", bad).unwrap_err().contains("is not a time"), "{bad:?}");
    }
}

#[test]
fn channels_that_are_pointers_lie_deeper() {
    let found = read("/imu/x,/imu/a~1b,c\n1,2,3\n", &["/imu/x", "/imu/a~1b", "c"]).unwrap();
    assert_eq!(found[0].payload(0), json!({"imu": {"x": 1.0, "a/b": 2.0}, "c": 3.0}));
    let nested = "{\"imu\":{\"x\":1},\"c\":3}\n";
    let found = read(nested, &["/imu/x", "c"]).unwrap();
    assert_eq!(found[0].payload(0), json!({"imu": {"x": 1}, "c": 3}), "as it came");
}

#[test]
fn rows_without_names_are_taken_where_the_card_has_none() {
    assert_eq!(read("[1,2]\n[3,4]\n", &[]).unwrap()[0].rows, [json!([1, 2]), json!([3, 4])]);
    assert_eq!(read("[[1,2],[3,4]]\n", &[]).unwrap()[0].rows, [json!([[1, 2], [3, 4]])]);
    assert_eq!(read("p,q\n1,2\n", &[]).unwrap()[0].payload(0), json!([1.0, 2.0]));
    assert_eq!(read("21.5\n22\n", &["t"]).unwrap()[0].payload(1), json!({"t": 22}));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let xy = &["x", "y"][..];
    let many = format!("x,y\n{}", "1,2\n".repeat(11));
    let lines = "{\"x\":1,\"y\":2}\n".repeat(11);
    for (text, channels, told) in [
        ("", xy, "the file is empty"),
        ("  \n", xy, "the file is empty"),
        ("x,y\n", xy, "a header and no row"),
        ("1,2\n3,4\n", xy, "line 1: the first line must name the columns"),
        ("1,2\n3,4\n", &[][..], "line 1: the first line must name the columns"),
        ("x,z\n1,2\n", xy, "line 1: no column for the card's channels [\"y\"]"),
        ("x;y\n1;2\n", xy, "line 1: its columns are not separated by commas: \"x;y\""),
        ("x,y,x\n1,2,3\n", xy, "line 1: two columns are named \"x\""),
        ("x,y,time,ts\n1,2,3,4\n", xy, "line 1: more than one column of times"),
        ("x,y\n1\n", xy, "line 2: 1 cells, the header has 2"),
        ("x,y\n1,2\n1,NaN\n", xy, "line 3: \"NaN\" is not a finite number"),
        ("x,y\n1,inf\n", xy, "line 2: \"inf\" is not a finite number"),
        (
            "x,y,time\n1,2,2\n1,2,1\n",
            xy,
            "recording -, row 1: its time is before that of the row above",
        ),
        (&many, xy, "more than 10 rows"),
        (&lines, xy, "more than 10 rows"),
        ("{\"x\":1,\"y\":2}\n{\"x\":", xy, "not JSON, or not one sample a line: EOF"),
        ("{\"x\":1,\"y\":2}\n\"x\"\n", xy, "line 2: \"x\" is not a sample"),
        ("{\"x\":1,\"y\":NaN}\n", xy, "not JSON"),
        ("[1,2]\n", xy, "line 1: a list has no names"),
        ("{\"x\":1,\"y\":2,\"time\":true}\n", xy, "line 1: time is true, not a time"),
        ("{\"recordings\":[]}", xy, "`format` is missing"),
        ("{\"format\":1,\"recordings\":[]}", xy, "no recordings"),
        ("{\"format\":1,\"recordings\":5}", xy, "`recordings` is not a list"),
        ("{\"format\":1,\"recordings\":[{\"rows\":[]}]}", xy, "recording #0: it has no rows"),
        ("{\"format\":1,\"recordings\":[{\"rows\":[[1,2]]}]}", xy, "its columns have no names"),
        ("{\"format\":1,\"recordings\":[{}]} 5", xy, "missing field `rows`"),
        ("x,x\n1,2\n", &["x", "x"][..], "the card has two channels named \"x\""),
    ] {
        let refused = read(text, channels).unwrap_err();
        assert!(refused.contains(told), "{text:?}: {refused}");
    }
    let apart: String = (0..1001).map(|n| format!("{n},1\n")).collect();
    let names = names(&["x"]);
    let text = format!("recording,x\n{apart}");
    let refused =
        read_recordings(text.as_bytes(), ColumnNames::Channels(&names), 10_000).unwrap_err();
    assert!(refused.to_string().contains("more than 1000 recordings"), "{refused}");
    let refused = read_recordings(&[b'x', 0xff], ColumnNames::Channels(&names), 10).unwrap_err();
    assert!(refused.to_string().contains("byte 1 is not UTF-8"), "{refused}");
}
