use proptest::prelude::*;

use super::*;

#[test]
fn a_pattern_is_subscribed_to_with_a_wildcard_for_each_capture() {
    let pattern = TopicPattern::parse("site/{line}/sensors/{device}").unwrap();
    assert_eq!(pattern.captures().collect::<Vec<_>>(), ["line", "device"]);
    let table = [
        ("site/{line}/sensors/{device}", "site/+/sensors/+"),
        ("/a/b", "/a/b"),
        ("a//b/", "a//b/"),
        ("//{x}", "//+"),
        ("/", "/"),
        ("shelly-{name}/status", "+/status"),
        ("a/{name}-ht/x-{other}-y", "a/+/+"),
        ("a/{place#}", "a/#"),
        ("{all#}", "#"),
        ("$aws/things/{thing}/shadow/update/accepted", "$aws/things/+/shadow/update/accepted"),
        ("$SYS/broker/{load#}", "$SYS/broker/#"),
    ];
    for (text, filter) in table {
        let pattern = TopicPattern::parse(text).unwrap();
        assert_eq!((pattern.filter().as_str(), pattern.to_string().as_str()), (filter, text));
    }
}

#[test]
fn what_is_no_topic_says_why() {
    use TopicError::*;
    let refused = |text| TopicPattern::parse(text).unwrap_err();
    assert_eq!(refused(""), Empty);
    assert_eq!(refused("$share/group/t/{x}"), Shared("$share".into()));
    assert_eq!(refused("$queue/t"), Shared("$queue".into()));
    assert_eq!(refused("$aws-{x}/t"), WildcardInReserved);
    assert_eq!(refused("a/+/b"), Wildcard);
    assert_eq!(refused("a/#"), Wildcard);
    assert_eq!(refused("a/x+{device}"), Wildcard);
    assert_eq!(refused("a/{device"), Brace);
    assert_eq!(refused("a/device}"), Brace);
    assert_eq!(refused("a/{a}-{b}"), TwoInLevel);
    assert_eq!(refused("a/{a#}/b"), NotLast("a".into()));
    assert_eq!(refused("a/x{a#}"), PartOfRest("a".into()));
    assert_eq!(refused("a/{}"), CaptureName(String::new()));
    assert_eq!(refused("a/{#}"), CaptureName(String::new()));
    assert_eq!(refused("a/{Device}"), CaptureName("Device".into()));
    assert_eq!(refused("{a}/{a#}"), Twice("a".into()));
    assert_eq!(refused("{gateway}/x"), Taken("gateway".into()));
}

#[test]
fn a_template_uses_only_names_that_have_a_value() {
    assert!(TopicTemplate::parse("p/{stream}/{device}", ["device"]).is_ok());
    assert!(TopicTemplate::parse("p/x-{stream}/{place#}", ["place"]).is_ok());
    assert_eq!(
        TopicTemplate::parse("p/{devcie}", ["device"]),
        Err(TopicError::NoValue("devcie".into()))
    );
    assert_eq!(TopicTemplate::parse("$SYS/{stream}", []), Err(TopicError::Reserved("$SYS".into())));
    assert!(TopicTemplate::parse("$aws/rules/{stream}", []).is_ok());
}

#[test]
fn a_template_may_meet_a_pattern() {
    let meets = |pattern: &str, template: &str| {
        let template = TopicTemplate::with_any_names(template).unwrap();
        TopicPattern::parse(pattern).unwrap().may_match(&template, &[("stream", "motion")])
    };
    assert!(meets("a/{x}", "a/b"));
    assert!(meets("a/b", "a/{device}"));
    assert!(meets("a/motion", "a/{stream}"));
    assert!(!meets("a/other", "a/{stream}"));
    assert!(!meets("a/{x}", "a/b/c"));
    assert!(!meets("a/{x}", "b/c"));
    assert!(meets("a/{x#}", "a/b/c"));
    assert!(meets("a/b/c", "a/{x#}"));
    assert!(!meets("a/{x#}", "a"));
    assert!(meets("a/x-{y}", "a/x-{stream}"));
    assert!(!meets("a/x-motion", "a/y-{stream}"));
    assert!(!meets("{x#}", "$aws/rules/motion"));
}

#[test]
fn patterns_overlap_where_a_topic_matches_both() {
    let table = [
        ("shelly-{x}/status", "tasmota-{x}/status", false, true),
        ("shelly-{x}/s", "{x}-ht/s", true, true),
        ("shelly-{x}/s", "shellyht/s", false, true),
        ("a/{x#}", "a", false, true),
        ("a/{x#}", "a/b/c", true, true),
        ("{x#}", "$SYS/x", false, false),
        ("{x}/y", "$aws/y", false, false),
        ("a//b", "a/{x}/b", true, true),
        ("a/{x#}", "b/{y#}", false, false),
    ];
    for (a, b, exact, filters) in table {
        let [left, right] = [a, b].map(|text| TopicPattern::parse(text).unwrap());
        for (left, right) in [(&left, &right), (&right, &left)] {
            assert_eq!(left.overlaps(right), exact, "{a} and {b}");
            assert_eq!(left.filters_overlap(right), filters, "filters of {a} and {b}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_a_topic_or_is_refused(text in "[a-c$/{}+#_-]{0,14}") {
        if let Ok(pattern) = TopicPattern::parse(&text) {
            prop_assert_eq!(pattern.to_string(), text);
        }
    }
}
