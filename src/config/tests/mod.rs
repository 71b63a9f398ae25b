//! What a text becomes, and what is said of its mistakes.

mod files;
mod join;
mod payload;
mod reference;
mod topics;

use std::time::Duration;

use proptest::prelude::*;

use super::problem::Problem;
use super::*;

const STREAM: &str = r#"
[[stream]]
name = "motion"
model = "motion"
topic = "sensors/{device}/imu"
"#;

fn problems(text: &str) -> Vec<Problem> {
    match Config::parse(text) {
        Ok(config) => panic!("taken: {config:?}"),
        Err(ConfigError::Invalid(problems)) => problems,
        Err(other) => panic!("{other}"),
    }
}

/// The only problem, as it is shown.
fn problem(text: &str) -> String {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = Config::parse("").unwrap();
    assert_eq!(config.broker.to_string(), "mqtt://localhost:1883");
    assert_eq!(config.broker.client_id, "localhost");
    assert_eq!(config.broker.backoff_max, Duration::from_secs(120));
    assert_eq!(config.gateway.prefix, "inferd/v1");
    assert_eq!(config.store.max_bytes, 256 << 20);
    assert_eq!(config.workers.threads, 0);
    assert!(config.streams.is_empty());
    assert_eq!(config.warnings().len(), 1);
}

#[test]
fn the_streams_of_the_interface_are_read() {
    let config = Config::parse(
        r#"
[broker]
url = "mqtts://broker.example:8884"
client_id = "gw-17"
credentials = { username = "gw-17", password_file = "password" }
[gateway]
id = "gw-17"
groups = ["line-a", "beta"]
[[stream]]
name = "motion"
model = "motion-cnn"
topic = "sensors/{device}/imu"
qos = 1
payload = { format = "json", fields = ["ax","ay","az","gx","gy","gz"], time = "ts" }
guarantee = "at-least-once"
windows = "journal"
max_age = "10s"
[stream.publish]
topic = "predictions/{stream}/{device}"
when = "change"
min_score = 0.6
"#,
    )
    .unwrap();
    assert_eq!(config.broker.to_string(), "mqtts://broker.example:8884");
    assert_eq!(config.broker.login.unwrap().username, "gw-17");
    assert_eq!(config.gateway.groups, ["line-a", "beta"]);
    let [stream] = &config.streams[..] else { panic!("one stream") };
    assert_eq!(stream.model.as_str(), "motion-cnn");
    assert_eq!(stream.topic.filter(), "sensors/+/imu");
    assert_eq!(stream.payload.fields.len(), 6);
    assert_eq!(stream.payload.time.as_deref(), Some("ts"));
    assert_eq!(stream.guarantee, Guarantee::AtLeastOnce);
    assert_eq!(stream.windows, WindowSafety::Journal);
    assert_eq!(stream.max_age, Some(Duration::from_secs(10)));
    assert_eq!(stream.publish.topic.to_string(), "predictions/{stream}/{device}");
    assert_eq!(stream.publish.when, When::Change);
    assert_eq!(stream.publish.min_score, Some(0.6));
}

#[test]
fn ten_mistakes_are_ten_problems_each_with_its_place() {
    let text = r#"[broker]
url = "http://broker"
kep_alive = "30s"
session_expiry = "soon"
receive_maximum = 70000

[workers]
threads = "four"

[[stream]]
name = "two words"
model = "motion"
topic = "sensors/+/imu"
qos = 2
payload = { format = "jsn" }
publish = { min_score = 0.5, leave_score = 0.9 }
"#;
    let mut formats = crate::config::reference::REFERENCE.iter();
    let formats = formats.find(|it| it.path == "stream[].payload.format").unwrap();
    let (formats, shown) = (formats.kind.to_string(), problems(text));
    let shown = shown.iter().map(|it| it.to_string().replace(&formats, "FORMATS"));
    let shown: Vec<_> = shown.collect();
    let wanted = [
        "inferd.toml:2: broker.url = \"http://broker\": unknown scheme; \
         allowed: mqtt://HOST:PORT or mqtts://HOST:PORT",
        "inferd.toml:3: broker.kep_alive: unknown option; did you mean \"keep_alive\"?",
        "inferd.toml:4: broker.session_expiry = \"soon\": not a duration; \
         allowed: \"0s\" to \"49710d\"",
        "inferd.toml:5: broker.receive_maximum = 70000: too large; allowed: 1 to 65535",
        "inferd.toml:8: workers.threads = \"four\": not an integer; allowed: 0 to 256",
        "inferd.toml:11: stream[0].name = \"two words\": \"two words\" is not a name: 1 to 64 of \
         a-z A-Z 0-9 . _ - and not starting with a dot; \
         allowed: 1 to 64 of a-z A-Z 0-9 . _ -, not starting with a dot",
        "inferd.toml:13: stream[0].topic = \"sensors/+/imu\": has a wildcard: {name} matches a \
         level, and {name#} at the end all levels from there on; \
         allowed: levels with {captures}, such as sensors/{device}/imu",
        "inferd.toml:14: stream[0].qos = 2: too large; allowed: 0 to 1",
        "inferd.toml:15: stream[0].payload.format = \"jsn\": not one of the allowed values; \
         allowed: FORMATS",
        "inferd.toml:16: stream[0].publish.leave_score = 0.9: higher than min_score, or alone; \
         allowed: at most min_score",
    ];
    assert_eq!(shown, wanted);
}

#[test]
fn what_is_not_toml_is_reported_with_everything_else() {
    let shown = problems("[broker]\nurl = mqtt\nkeep_alive = \"1s\"\n[gateway\n");
    assert!(shown.len() >= 3, "{shown:?}");
    assert!(shown[0].to_string().starts_with("inferd.toml:2: not TOML: "), "{}", shown[0]);
    assert!(shown.iter().any(|problem| problem.path == "broker.keep_alive"), "{shown:?}");
}

#[test]
fn an_unknown_key_is_reported_wherever_it_is() {
    let shown = problem(&format!("{STREAM}[stream.publish]\ntopics = \"x\""));
    assert!(shown.contains("stream[0].publish.topics: unknown option"), "{shown}");
    let shown = problem("[brokr]\nurl = \"mqtt://a\"");
    assert_eq!(shown, "inferd.toml:1: brokr: unknown option; did you mean \"broker\"?");
    let shown = problem("keep_alive = \"30s\"");
    assert!(shown.contains("did you mean \"broker.keep_alive\"?"), "{shown}");
    assert!(problem("stream = 3").contains("not a list of tables"));
    assert!(problem("broker = 3").contains("not a table"));
}

#[test]
fn a_device_in_the_payload_fits_the_payload_and_the_topic() {
    let stream = STREAM.replace("{device}", "{site}");
    let with = |payload: &str| problem(&format!("{stream}payload = {{ {payload} }}"));
    assert!(with("device = [\"a\", \"a\"]").contains("\"a\" is there twice"));
    assert!(with("format = \"i8\", device = \"a\"").contains("has none"));
    assert!(with("time = \"a\", device = \"a\"").contains("payload.time too"));
    assert!(with("earliest = \"soon\"").contains("not a date"));
    let shown = problem(&format!("{STREAM}payload.device = \"a\""));
    assert!(shown.contains("another name for the capture"), "{shown}");
    let config = Config::parse(&format!("{stream}payload.device = \"/id\"")).unwrap();
    assert_eq!(config.streams[0].payload.device, ["/id"]);
    assert_eq!(config.streams[0].publish.topic.to_string(), "predictions/{stream}/{site}/{device}");
}

#[test]
fn what_does_not_fit_together_is_a_problem() {
    let with = |more: &str| problem(&format!("{STREAM}{more}"));
    assert!(with("qos = 0\nguarantee = \"at-least-once\"").contains("delivered at most once"));
    assert!(with("publish = { qos = 0 }").contains("need an acknowledgement"));
    assert!(with("max_age = \"1s\"").contains("no timestamp"));
    assert!(with("max_payload = \"2MiB\"").contains("larger than the maximum packet"));
    assert!(with("payload = { format = \"i8\", fields = [\"a\"] }").contains("has none"));
    assert!(with("payload = { format = \"csv\", samples = \"/a\" }").contains("has none"));
    assert!(with("payload = { fields = [\"a\", \"a\"] }").contains("\"a\" is there twice"));
    assert!(with("publish = { topic = \"p/{devcie}\" }").contains("no value for {devcie}"));
    assert!(with(STREAM).contains("another stream has this name"));
    let third = STREAM.replace("sensors/{device}/imu", "a//b");
    let shown = problems(&format!("{STREAM}{STREAM}{third}"));
    assert_eq!(shown.len(), 2, "one that cannot be built hides nothing of the others: {shown:?}");
    assert!(with("[broker]\nbackoff_min = \"1m\"\nbackoff_max = \"1s\"").contains("backoff_max"));
}

#[test]
fn predictions_do_not_come_back_as_samples() {
    let own = STREAM.replace("sensors/{device}/imu", "{kind}/{line}/{device}");
    let own =
        problem(&format!("{own}publish = {{ topic = \"predictions/{{stream}}/{{device}}\" }}"));
    assert!(own.contains("its own input (motion -> motion)"), "{own}");
    let first = STREAM.replace("sensors/{device}/imu", "predictions/b/{device}");
    let second = STREAM.replace("\"motion\"\nmodel", "\"b\"\nmodel");
    let second = second.replace("sensors/{device}/imu", "predictions/motion/{device}");
    let shown = problems(&format!("{first}{second}"));
    assert!(shown[0].to_string().contains("motion -> b -> motion"), "{shown:?}");
    assert_eq!(shown.len(), 2, "one for each stream of the circle");
    // A chain is no circle.
    assert!(Config::parse(&format!("{STREAM}{second}")).is_ok());
    let status = STREAM.replace("sensors/{device}/imu", "{a}/{b}/{c}/{d}");
    assert!(problems(&status).iter().any(|p| p.reason.contains("the daemon's own topics")));
}

#[test]
fn two_streams_may_read_one_topic() {
    let second = STREAM.replace("\"motion\"\nmodel", "\"second\"\nmodel");
    assert_eq!(Config::parse(&format!("{STREAM}{second}")).unwrap().streams.len(), 2);
}

#[test]
fn addresses_are_taken_apart() {
    let url = |text| validate::Url::parse(text).map(|url| (url.tls, url.host, url.port));
    assert_eq!(url("mqtt://a"), Ok((false, "a".into(), 1883)));
    assert_eq!(url("mqtts://a/"), Ok((true, "a".into(), 8883)));
    assert_eq!(url("mqtt://[::1]:99"), Ok((false, "::1".into(), 99)));
    assert!(url("mqtt://u:p@a").unwrap_err().contains("credentials"));
    for bad in ["a", "tcp://a", "mqtt://", "mqtt://a:0", "mqtt://a:x", "mqtt://a/b", "mqtt://[::1"]
    {
        assert!(url(bad).is_err(), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 64, ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_is_a_configuration_or_has_problems(
        lines in prop::collection::vec(
            (
                "(broker|gateway|stream|store|payload|publish|topic|url|id|qos|name|x){0,1}",
                "(\\[|\\[\\[|\\.|=| |\\{|)",
                "(\"[{}/+#$a-z:]{0,9}\"|-?[0-9]{1,20}|[a-z]{0,4}|1e999|\\]|\\]\\]|\\}|1979-05-27)",
            ),
            0..20,
        ),
    ) {
        let line = |(key, sign, value): &(String, String, String)| format!("{key}{sign}{value}\n");
        let text: String = lines.iter().map(line).collect();
        if let Err(error) = Config::parse(&text) {
            prop_assert!(matches!(&error, ConfigError::Invalid(problems) if !problems.is_empty()));
            prop_assert!(error.to_string().contains("in the configuration"));
        }
    }
}

#[test]
fn what_an_alarm_does_needs_what_it_acts_on() {
    let stream = "[[stream]]\nname = \"a\"\nmodel = \"m\"\ntopic = \"t/{device}\"\n";
    let problems = |more: &str| {
        let parsed = Config::parse(&format!("{stream}{more}"));
        parsed.map_or_else(|error| error.to_string(), |_| String::new())
    };
    let drift = |more: &str| problems(&format!("[stream.drift]\n{more}\n"));
    assert!(drift("on_drift = [\"reboot\"]").contains("\"reboot\" is unknown"));
    assert!(drift("on_drift = [\"capture\"]").contains("the stream captures nothing"));
    assert!(drift("on_drift = [\"rollback\"]").contains("updates are off"));
    assert!(drift("capture_inputs = 5").contains("used only if on_drift has \"capture\""));
    assert!(drift("rollback_within = \"1d\"").contains("used only if on_drift has \"rollback\""));
    let capture = "[stream.capture]\n";
    assert_eq!(drift(&format!("on_drift = [\"capture\"]\n{capture}")), "");
    let off = "enabled = false\non_drift = [\"capture\"]\n";
    assert!(drift(&format!("{off}{capture}")).contains("drift.enabled is false"));
    let off = format!("enabled = false\n{capture}");
    assert!(drift(&format!("{off}drift = true")).contains("nothing is compared with a baseline"));
    assert!(drift(&format!("{off}outside = true")).contains("nothing is compared"));
    assert!(problems("infer = true").contains("clients with a token"));
    let parsed = Config::parse(&format!(
        "{stream}[stream.drift]\non_drift = [\"capture\"]\n[stream.capture]\ndrift = true\n"
    ));
    let parsed = parsed.unwrap();
    assert_eq!(parsed.streams[0].drift.capture_inputs, Some(50));
    assert!(parsed.streams[0].capture.as_ref().unwrap().drift);
}
