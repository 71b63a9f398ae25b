use super::captures::TopicCaptures;
use super::pattern::matches;
use super::result_topic::may_answer;
use super::router::Router;
use crate::config::{Level, TopicPattern};

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
        assert_eq!(matches(&pattern(text), topic), expected, "{text} on {topic}");
    }
}

#[test]
fn one_topic_may_belong_to_several_streams() {
    let patterns = ["a/{x}", "{y}/b", "c/{x}"].map(pattern).to_vec();
    let router = Router { patterns };
    assert_eq!(router.streams("a/b").collect::<Vec<_>>(), [0, 1]);
    assert_eq!(router.streams("c/d").collect::<Vec<_>>(), [2]);
    assert_eq!(router.streams("d/d").count(), 0);
}

#[test]
fn the_device_is_the_capture_of_that_name_or_all_of_them() {
    let mut captured = TopicCaptures::default();
    let table = [
        ("site/{site}/{device}", "site/s1/d1", "d1"),
        ("site/{site}/x/{unit}", "site/s1/x/u1", "s1/u1"),
        ("site/{site}", "site/s2", "s2"),
        ("site/all", "site/all", "-"),
    ];
    for (text, topic, device) in table {
        captured.read(&pattern(text), topic).unwrap();
        assert_eq!(captured.device(), device, "{text} on {topic}");
    }
}

#[test]
fn a_capture_must_name_something() {
    let mut captured = TopicCaptures::default();
    let long = format!("s/{}", "x".repeat(129));
    for topic in ["s/", "s/a\u{7}", "s/a+", "other/a", long.as_str()] {
        let reject = captured.read(&pattern("s/{device}"), topic).unwrap_err();
        assert_eq!(reject.code(), "topic", "{topic:?}");
    }
    let both = format!("{}/{}", "x".repeat(100), "y".repeat(100));
    assert!(captured.read(&pattern("{a}/{b}"), &both).is_err());
    assert_eq!(
        captured.read(&pattern("s/{device}"), "s/").unwrap_err().to_string(),
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
