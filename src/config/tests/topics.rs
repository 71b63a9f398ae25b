//! Topics of streams that share messages or capture several levels.

use super::*;

fn stream(name: &str, topic: &str, more: &str) -> String {
    format!("[[stream]]\nname = {name:?}\nmodel = \"m\"\ntopic = {topic:?}\n{more}\n")
}

#[test]
fn several_levels_are_levels_of_the_topic_of_predictions() {
    let default = |topic: &str, more: &str| {
        let config = Config::parse(&stream("s", topic, more)).unwrap();
        config.streams[0].publish.topic.to_string()
    };
    assert_eq!(default("z/{site}/{place#}", ""), "predictions/{stream}/{site}/{place#}");
    assert_eq!(
        default("z/{place#}", "payload = { device = \"id\" }"),
        "predictions/{stream}/{place}/{device}"
    );
    let shown = problem(&stream("s", "a/{x#}", "publish = { topic = \"a/b/{x}\" }"));
    assert!(shown.contains("its own input"), "{shown}");
    assert!(Config::parse(&stream("s", "shelly-{x}/s", "publish = { topic = \"p/{x}\" }")).is_ok());
}

#[test]
fn the_type_of_a_sparkplug_message_is_no_part_of_the_device() {
    let sparkplug = |topic: &str| stream("s", topic, "payload = { format = \"sparkplug\" }");
    assert!(Config::parse(&sparkplug("spBv1.0/{group}/{message}/{node#}")).is_ok());
    for bad in ["spBv1.0/{group}/{all#}", "spBv1.0/{device#}", "spBv1.0/{g}/N{kind}/{node}"] {
        let told = problem(&sparkplug(bad));
        assert!(told.contains("{message} for the type of the message"), "{bad}: {told}");
    }
}

#[test]
fn a_group_shares_the_messages_of_topics_that_no_other_subscription_matches() {
    let share = "share = \"gateways\"";
    let config = Config::parse(&stream("s", "a/{x}", share)).unwrap();
    assert_eq!(config.streams[0].share.as_deref(), Some("gateways"));
    let both = |other: &str, more: &str| stream("s", "a/{x}", share) + &stream("t", other, more);
    assert!(Config::parse(&both("a/{y}", share)).is_ok());
    assert!(Config::parse(&both("b/{y}", "")).is_ok());
    for (other, more) in [("a/b", ""), ("{z}/b", share), ("a/shelly-{y}", "share = \"others\"")] {
        let told = problems(&both(other, more));
        assert!(told[0].to_string().contains("some of them are subscribed to"), "{told:?}");
    }
    let labels = "labels = { topic = \"a/{z}/x\" }";
    assert!(Config::parse(&stream("s", "a/{x}", &format!("{share}\n{labels}"))).is_ok());
    let labels = "labels = { topic = \"{z}/y-{a}\" }";
    let told = problems(&stream("s", "a/x-{x}", &format!("{share}\n{labels}")));
    assert!(told[0].to_string().contains("{z}/y-{a}"), "{told:?}");
    for bad in ["a/b", "+"] {
        let told = problem(&stream("s", "a/{x}", &format!("share = {bad:?}")));
        assert!(told.contains("one level"), "{told}");
    }
    let told = problem(&stream("s", "a/{x}", &format!("{share}\nretained = \"take\"")));
    assert!(told.contains("no retained messages"), "{told}");
    let told = problem(&stream("s", "$share/g/a/{x}", ""));
    assert!(told.contains("share = \"GROUP\""), "{told}");
}
