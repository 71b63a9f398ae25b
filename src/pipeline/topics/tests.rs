use proptest::prelude::*;

use super::captures::TopicCaptures;
use super::pattern::capture;
use super::result_topic::{ResultTopic, may_answer};
use super::router::Router;
use crate::config::{Level, Stream, TopicPattern, TopicTemplate};
use crate::ids::GatewayId;
use crate::pipeline::reject::Reject;
use crate::pipeline::tests::fixture;

fn pattern(text: &str) -> TopicPattern {
    TopicPattern::parse(text).unwrap()
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
        ("//{x}", "//a", true),
        ("//{x}", "/a", false),
        ("a/", "a/", true),
        ("a//b", "a//b", true),
        ("shelly-{name}/status", "shelly-kitchen/status", true),
        ("shelly-{name}/status", "shelly-/status", false),
        ("shelly-{name}/status", "tasmota-1/status", false),
        ("a/{x}-ht", "a/1-ht", true),
        ("a/x{n}x", "a/xx", false),
        ("a/{place#}", "a/b/c", true),
        ("a/{place#}", "a", false),
        ("a/{place#}", "ab/c", false),
        ("{all#}", "a", true),
        ("{all#}", "$SYS/x", false),
        ("$aws/things/{thing}/shadow", "$aws/things/t1/shadow", true),
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
        ("shelly-{name}/status", "shelly-kitchen/status", "kitchen"),
        ("z2m/{device#}", "z2m/room/shelf", "room/shelf"),
        ("{site}/{place#}", "s1/a/b", "s1/a/b"),
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
fn several_captured_levels_are_rejected_if_one_is_empty() {
    for topic in ["z2m/", "z2m//a", "z2m/a//b", "z2m/a/"] {
        assert_eq!(read("z2m/{device#}", topic).unwrap_err().code(), "topic", "{topic}");
    }
}

/// Where the result of a message goes.
fn result_topic(text: &str, template: &str, topic: &str) -> String {
    let mut stream = Stream { topic: pattern(text), ..fixture::stream() };
    let names: Vec<String> = stream.topic.captures().map(str::to_owned).collect();
    let names = names.iter().map(String::as_str);
    stream.publish.topic = TopicTemplate::parse(template, names).unwrap();
    let result = ResultTopic::new(&stream, &GatewayId::parse("gw").unwrap()).unwrap();
    result.render(&read(text, topic).unwrap()).unwrap()
}

#[test]
fn captured_levels_are_one_level_of_a_result_topic_or_levels_at_its_end() {
    let table = [
        ("z/{d#}", "p/{d}/out", "z/a/b", "p/a%2Fb/out"),
        ("z/{d#}", "p/{d}/out", "z/a%2Fb", "p/a%252Fb/out"),
        ("z/{d#}", "p/{d#}", "z/a/b", "p/a/b"),
        ("z/{d}", "p/{d}", "z/a%b", "p/a%b"),
        ("z/{d}", "p/{d#}", "z/a", "p/a"),
        ("shelly-{d}/s", "p/x-{d}-y/{stream}", "shelly-1/s", "p/x-1-y/motion"),
        ("t/{d}", "$aws/rules/{d}", "t/1", "$aws/rules/1"),
    ];
    for (text, template, topic, expected) in table {
        assert_eq!(result_topic(text, template, topic), expected, "{template}");
    }
}

/// The texts that a pattern captures of a topic, tried letter by letter.
fn naive(pattern: &[char], topic: &[char]) -> Option<Vec<String>> {
    let Some((first, rest)) = pattern.split_first() else {
        return topic.is_empty().then(Vec::new);
    };
    if *first != '{' {
        return topic
            .split_first()
            .filter(|(got, _)| *got == first)
            .and_then(|(_, t)| naive(rest, t));
    }
    let end = rest.iter().position(|c| *c == '}').unwrap();
    let (name, after) = (&rest[..end], &rest[end + 1..]);
    let takes_slashes = name.ends_with(&['#']);
    (0..=topic.len()).find_map(|len| {
        let (taken, left) = topic.split_at(len);
        if taken.contains(&'/') && !takes_slashes {
            return None;
        }
        let mut captured = naive(after, left)?;
        captured.insert(0, taken.iter().collect());
        Some(captured)
    })
}

/// Whether a broker would send a message of a topic to a subscriber of a filter (MQTT 5, 4.7).
fn filter_matches(filter: &str, topic: &str) -> bool {
    let (filter, levels): (Vec<_>, Vec<_>) =
        (filter.split('/').collect(), topic.split('/').collect());
    let is_wild = filter[0] == "+" || filter[0] == "#";
    if is_wild && topic.starts_with('$') {
        return false;
    }
    let is_met = |(place, level): (usize, &&str)| match *level {
        "#" => true,
        "+" => place < levels.len(),
        text => levels.get(place) == Some(&text),
    };
    let ends = filter.last() == Some(&"#") || filter.len() == levels.len();
    ends && filter.iter().enumerate().all(is_met)
}

fn any_pattern() -> impl Strategy<Value = String> {
    let level = prop_oneof!["[ab$]{0,2}", Just("{x}".to_owned()), "[ab]{0,2}\\{x\\}[ab]{0,2}",];
    let rest = prop_oneof![Just(String::new()), Just("/{r#}".to_owned())];
    (prop::collection::vec(level, 1..4), rest).prop_map(|(levels, rest)| {
        let name = |(place, level): (usize, String)| level.replace("{x}", &format!("{{c{place}}}"));
        levels.into_iter().enumerate().map(name).collect::<Vec<_>>().join("/") + &rest
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_pattern_captures_what_a_search_letter_by_letter_does(
        text in any_pattern(),
        topic in "[ab$/]{1,7}",
    ) {
        let Ok(pattern) = TopicPattern::parse(&text) else { return Ok(()) };
        let letters = |text: &str| text.chars().collect::<Vec<char>>();
        let is_wild = text.starts_with('{') || pattern.filter().starts_with('+');
        let expected = naive(&letters(&text), &letters(&topic))
            .filter(|_| !(is_wild && topic.starts_with('$')))
            // A part of a level is not empty.
            .filter(|captured| pattern.levels.iter().filter(|it| it.name().is_some()).zip(captured)
                .all(|(level, text)| !matches!(level, Level::Part { .. })
                    || !text.is_empty()));
        let captured = capture(&pattern, &topic);
        let levels = captured.map(|it| it.levels(&topic).map(str::to_owned).collect::<Vec<_>>());
        prop_assert_eq!(&levels, &expected, "{} on {}", text, topic);
        prop_assert!(levels.is_none() || filter_matches(&pattern.filter(), &topic));
    }

    #[test]
    fn several_captured_levels_never_share_a_result_topic(
        a in "[ab%]{1,2}(/[ab%]{1,2}){0,2}",
        b in "[ab%]{1,2}(/[ab%]{1,2}){0,2}",
    ) {
        prop_assume!(a != b);
        for template in ["p/{d}", "p/{d#}"] {
            let of = |name: &str| result_topic("z/{d#}", template, &format!("z/{name}"));
            prop_assert_ne!(of(&a), of(&b));
        }
    }
}

#[test]
fn only_a_topic_that_can_be_published_to_is_answered() {
    assert!(may_answer("reply/to/me"));
    let long = "x".repeat(70_000);
    for topic in ["", "$SYS/x", "a/+", "a/#", "a\0", long.as_str()] {
        assert!(!may_answer(topic));
    }
}
