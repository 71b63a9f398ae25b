use super::captures::TopicCaptures;
use super::pattern::capture;
use super::result_topic::may_answer;
use super::router::Router;
use crate::config::{Level, Stream, TopicPattern};
use crate::pipeline::reject::Reject;
use crate::pipeline::tests::fixture;

fn pattern(text: &str) -> TopicPattern {
    TopicPattern { levels: levels(text) }
}

pub(super) fn levels(text: &str) -> Vec<Level> {
    let level = |level: &str| match level.strip_prefix('{').and_then(|l| l.strip_suffix('}')) {
        Some(name) => Level::Capture(name.to_owned()),
        None => Level::Literal(level.to_owned()),
    };
    text.split('/').map(level).collect()
}

#[test]
fn a_topic_matches_as_the_mqtt_filter_does() {
    let table = [
        ("sensors/{device}/imu", "sensors/watch-7/imu", true),
        ("sensors/{device}/imu", "sensors//imu", true),
        ("sensors/{device}/imu", "sensors/watch-7", false),
        ("sensors/{device}/imu", "sensors/watch-7/imu/x", false),
        ("sensors/{device}/imu", "/sensors/watch-7/imu", false),
        ("{a}/{b}", "$SYS/uptime", false),
        ("{a}/{b}", "x/$y", true),
        ("plain", "plain", true),
        ("plain", "plain/", false),
    ];
    for (text, topic, expected) in table {
        assert_eq!(capture(&pattern(text), topic).is_some(), expected, "{text} on {topic}");
    }
}

#[test]
fn one_topic_may_belong_to_several_streams() {
    let patterns = ["a/{x}", "{y}/b", "c/{x}"].map(|text| vec![pattern(text)]).to_vec();
    let router = Router { patterns };
    let route = |topic| {
        let told = router.route(topic);
        let told =
            told.map(|it| (it.stream, it.captures.levels(topic).collect::<Vec<_>>().join(" ")));
        told.collect::<Vec<_>>()
    };
    assert_eq!(route("a/b"), [(0, "b".to_owned()), (1, "a".to_owned())]);
    assert_eq!(route("c/d"), [(2, "d".to_owned())]);
    assert_eq!(route("d/d"), []);
}

/// Reads a topic as the router and then the pipeline of a stream with this topic do.
fn read(text: &str, topic: &str) -> Result<TopicCaptures, Reject> {
    let stream = Stream { topic: pattern(text), ..fixture::stream() };
    let mut captured = TopicCaptures::new(&stream);
    captured.read(topic, &capture(&stream.topic, topic).unwrap_or_default())?;
    Ok(captured)
}

#[test]
fn the_device_is_the_capture_of_that_name_or_all_of_them() {
    let table = [
        ("site/{site}/{device}", "site/s1/d1", "d1"),
        ("site/{site}/x/{unit}", "site/s1/x/u1", "s1/u1"),
        ("site/{site}", "site/s2", "s2"),
        ("site/all", "site/all", "-"),
    ];
    for (text, topic, device) in table {
        assert_eq!(read(text, topic).unwrap().device(), device, "{text} on {topic}");
    }
}

#[test]
fn a_capture_must_name_something() {
    let long = format!("s/{}", "x".repeat(129));
    for topic in ["s/", "s/a\u{7}", "s/a+", "other/a", long.as_str()] {
        let reject = read("s/{device}", topic).unwrap_err();
        assert_eq!(reject.code(), "topic", "{topic:?}");
    }
    let both = format!("{}/{}", "x".repeat(100), "y".repeat(100));
    assert!(read("{a}/{b}", &both).is_err());
    assert_eq!(
        read("s/{device}", "s/").unwrap_err().to_string(),
        "topic \"s/\": has an empty level where a name belongs; publish to a topic whose every \
         level names something"
    );
}

#[test]
fn only_a_topic_that_can_be_published_to_is_answered() {
    assert!(may_answer("reply/to/me"));
    let long = "x".repeat(70_000);
    for topic in ["", "$SYS/x", "a/+", "a/#", "a\0", long.as_str()] {
        assert!(!may_answer(topic));
    }
}
