use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::problem::Problem;
use super::reference::REFERENCE;
use super::schema::{Fallback, Kind};
use super::*;
use crate::message::Qos;

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

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    folder
}

fn surroundings(vars: &[(&str, &str)]) -> Surroundings {
    let vars = vars.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Surroundings { vars, host_name: Some("board".into()) }
}

fn load(folder: &TempDir, vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(&folder.path().join("inferd.toml"), &surroundings(vars))
}

fn mode(folder: &TempDir, name: &str, mode: u32) {
    fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
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
    let shown: Vec<String> = problems(text).iter().map(Problem::to_string).collect();
    let wanted = [
        "inferd.toml:2: broker.url = \"http://broker\": unknown scheme; \
         allowed: mqtt://HOST:PORT or mqtts://HOST:PORT",
        "inferd.toml:3: broker.kep_alive: unknown option; did you mean \"keep_alive\"?",
        "inferd.toml:4: broker.session_expiry = \"soon\": not a span of time; \
         allowed: \"0s\" to \"49710d\"",
        "inferd.toml:5: broker.receive_maximum = 70000: too large; allowed: 1 to 65535",
        "inferd.toml:8: workers.threads = \"four\": not a whole number; allowed: 0 to 256",
        "inferd.toml:11: stream[0].name = \"two words\": \"two words\" is not a name: 1 to 64 of \
         a-z A-Z 0-9 . _ - and not starting with a dot; \
         allowed: 1 to 64 of a-z A-Z 0-9 . _ -, not starting with a dot",
        "inferd.toml:13: stream[0].topic = \"sensors/+/imu\": has a wildcard: a whole level is \
         matched by {name}, more are not matched; \
         allowed: levels with {captures}, such as sensors/{device}/imu",
        "inferd.toml:14: stream[0].qos = 2: too large; allowed: 0 to 1",
        "inferd.toml:15: stream[0].payload.format = \"jsn\": not one of the choices; allowed: \
         \"json\", \"cbor\", \"csv\", \"f32le\", \"f64le\", \"i8\", \"u8\", \"i16le\", \"u16le\", \
         \"i32le\"",
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

/// TOML for a value just inside a bound and just outside it.
fn around(kind: Kind) -> Vec<(String, bool)> {
    let quoted = |text: String| format!("{text:?}");
    match kind {
        Kind::Int { min, max } => {
            let inside = [(min, true), (max, true), (max + 1, false), (min - 1, false)];
            inside.map(|(n, good)| (n.to_string(), good)).to_vec()
        }
        Kind::Span { min, max } => {
            let tick = Duration::from_millis(1);
            let mut spans = vec![(min, true), (max, true), (max + tick, false)];
            spans.extend(min.checked_sub(tick).map(|below| (below, false)));
            spans.into_iter().map(|(s, good)| (quoted(units::print_span(s)), good)).collect()
        }
        Kind::Size { min, max } => {
            let mut sizes = vec![(min, true), (max, true), (max + 1, false)];
            sizes.extend(min.checked_sub(1).map(|below| (below, false)));
            sizes.into_iter().map(|(s, good)| (quoted(units::print_size(s)), good)).collect()
        }
        Kind::Choice(words) => {
            let mut all: Vec<_> = words.iter().map(|w| (quoted((*w).to_owned()), true)).collect();
            all.push(("\"other\"".into(), false));
            all
        }
        Kind::Text { max, .. } => {
            let too_long = quoted("x".repeat(max + 1));
            vec![(too_long, false), ("\"\"".into(), false), ("\"a\\u0000\"".into(), false)]
        }
        Kind::Texts { max, .. } => {
            vec![(format!("[{}]", "\"x\",".repeat(max + 1)), false), ("[1]".into(), false)]
        }
        Kind::Float { .. } | Kind::Floats { .. } => {
            vec![("nan".into(), false), ("inf".into(), false), ("1.5".into(), true)]
        }
        Kind::Bool => vec![("true".into(), true), ("\"true\"".into(), false)],
        Kind::Counts { .. } => vec![("{ a = 1 }".into(), true), ("{ a = 0 }".into(), false)],
        Kind::Folder | Kind::File | Kind::Secret => vec![("3".into(), false)],
    }
}

#[test]
fn every_option_is_held_to_its_bounds() {
    for opt in REFERENCE {
        for (value, good) in around(opt.kind) {
            let node = tree::Node::value(&value, &tree::Origin::Other("".into())).unwrap();
            let checked = opt.kind.check(&node.value);
            assert_eq!(checked.is_ok(), good, "{} = {value}: {checked:?}", opt.path);
            // And the configuration asks the reference: what is refused there is refused here.
            if good {
                continue;
            }
            let (table, key) = opt.path.rsplit_once('.').unwrap();
            let text = match table.strip_prefix("stream[]") {
                Some("") => {
                    let others = STREAM.lines().filter(|line| !line.starts_with(key));
                    format!("{}\n{key} = {value}\n", others.collect::<Vec<_>>().join("\n"))
                }
                Some(below) => format!("{STREAM}[stream{below}]\n{key} = {value}\n"),
                None => format!("[{table}]\n{key} = {value}\n"),
            };
            let found = problems(&text);
            let path = opt.path.replace("[]", "[0]");
            assert!(
                found.iter().any(|problem| problem.path == path),
                "{path} = {value}: {found:?}"
            );
        }
        if let Fallback::Is(text) = opt.fallback {
            let default = opt.default_value().unwrap_or_else(|| panic!("{text} is not TOML"));
            assert!(opt.kind.check(&default.value).is_ok(), "the default of {}", opt.path);
        } else {
            assert!(!opt.example.is_empty(), "{} has neither default nor example", opt.path);
        }
    }
}

#[test]
fn conf_d_is_merged_in_the_order_of_names() {
    let folder = folder(&[
        ("inferd.toml", &format!("[broker]\nurl = \"mqtt://a\"\nin_flight = 5\n{STREAM}")),
        ("conf.d/20-site.toml", "[broker]\nin_flight = 7\n"),
        ("conf.d/10-site.toml", "[broker]\nin_flight = 6\nkeep_alive = \"9s\"\n"),
        ("conf.d/30-more.toml", &STREAM.replace("name = \"motion\"", "name = \"second\"")),
        ("conf.d/notes.txt", "not read"),
    ]);
    let config = load(&folder, &[]).unwrap();
    assert_eq!(config.broker.in_flight, 7);
    assert_eq!(config.broker.keep_alive, Duration::from_secs(9));
    assert_eq!(config.broker.host, "a");
    let names: Vec<_> = config.streams.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["motion", "second"]);
    assert_eq!(config.gateway.id.as_str(), "board");
}

#[test]
fn a_problem_names_the_file_it_is_in() {
    let folder = folder(&[("inferd.toml", ""), ("conf.d/a.toml", "\n[broker]\nin_flight = 0\n")]);
    let shown = load(&folder, &[]).unwrap_err().to_string();
    assert!(shown.contains("conf.d/a.toml:3: broker.in_flight = 0: too small"), "{shown}");
}

#[test]
fn the_environment_wins() {
    let folder = folder(&[("inferd.toml", &format!("[broker]\nurl = \"mqtts://a:1\"\n{STREAM}"))]);
    let vars = [
        ("INFERD__BROKER__HOST", "10.0.0.5"),
        ("INFERD__BROKER__PORT", "2883"),
        ("INFERD__BROKER__MAX_PACKET", "2MiB"),
        ("INFERD__GATEWAY__GROUPS", "[\"beta\"]"),
        ("INFERD__GATEWAY__ID", "17"),
        ("INFERD__STREAM__0__QOS", "0"),
        ("INFERD__STREAM__0__PUBLISH__RETAIN", "true"),
        ("INFERD_CONFIG", "is no override"),
    ];
    let config = load(&folder, &vars).unwrap();
    assert_eq!(config.broker.to_string(), "mqtts://10.0.0.5:2883");
    assert_eq!(config.broker.max_packet, 2 << 20);
    assert_eq!(config.gateway.groups, ["beta"]);
    assert_eq!(config.gateway.id.as_str(), "17");
    assert_eq!(config.streams[0].qos, Qos::AtMostOnce);
    assert_eq!(config.streams[0].guarantee, Guarantee::BestEffort);
    assert!(config.streams[0].publish.retain);
}

#[test]
fn a_variable_that_sets_nothing_is_a_problem() {
    let folder = folder(&[("inferd.toml", "")]);
    let vars = [
        ("INFERD__BROKER__HOTS", "x"),
        ("INFERD__BROKER__PORT", "many"),
        ("INFERD__STREAM__0__QOS", "1"),
    ];
    let shown = load(&folder, &vars).unwrap_err().to_string();
    assert!(shown.contains("environment INFERD__BROKER__HOTS: broker.hots: no such"), "{shown}");
    assert!(shown.contains("broker.port = \"many\": not a whole number"), "{shown}");
    assert!(shown.contains("stream.0.qos: there is no such stream"), "{shown}");
}

#[test]
fn secrets_are_files_closed_to_others() {
    let text = "[broker]\ncredentials = { username = \"u\", password_file = \"password\" }\n";
    let folder = folder(&[("inferd.toml", text)]);
    let shown = load(&folder, &[]).unwrap_err().to_string();
    assert!(shown.contains("broker.credentials.password_file"), "{shown}");
    assert!(shown.contains("cannot be read: No such file"), "{shown}");

    fs::write(folder.path().join("password"), "secret").unwrap();
    mode(&folder, "password", 0o640);
    let shown = load(&folder, &[]).unwrap_err().to_string();
    assert!(shown.contains("its mode is 0640"), "{shown}");
    assert!(shown.contains("0600"), "{shown}");
    for good in [0o600, 0o400] {
        mode(&folder, "password", good);
        let login = load(&folder, &[]).unwrap().broker.login.unwrap();
        assert_eq!(login.password_file, folder.path().join("password"));
    }
}

#[test]
fn systemds_credentials_come_first() {
    let text = "[broker]\ncredentials = { username = \"u\", password_file = \"password\" }\n";
    let folder = folder(&[("inferd.toml", text), ("creds/password", "secret")]);
    // An access list shows as group bits.
    mode(&folder, "creds/password", 0o440);
    let creds = folder.path().join("creds");
    let config = load(&folder, &[("CREDENTIALS_DIRECTORY", creds.to_str().unwrap())]).unwrap();
    assert_eq!(config.broker.login.unwrap().password_file, creds.join("password"));
}

#[test]
fn tls_files_are_looked_for_and_need_tls() {
    let text = "[broker]\nurl = \"mqtts://a\"\nca_file = \"ca.pem\"\n";
    let folder = folder(&[("inferd.toml", text), ("ca.pem", "")]);
    let tls = load(&folder, &[]).unwrap().broker.tls.unwrap();
    assert_eq!(tls.ca_file, Some(folder.path().join("ca.pem")));
    assert!(problem("[broker]\nca_file = \"ca.pem\"").contains("the connection is not TLS"));
    let half = "[broker]\nurl = \"mqtts://a\"\nclient_cert_file = \"c.pem\"";
    assert!(problem(half).contains("a certificate without its key"));
}

#[test]
fn what_does_not_fit_together_is_a_problem() {
    let with = |more: &str| problem(&format!("{STREAM}{more}"));
    assert!(with("qos = 0\nguarantee = \"at-least-once\"").contains("comes at most once"));
    assert!(with("publish = { qos = 0 }").contains("need an acknowledgement"));
    assert!(with("max_age = \"1s\"").contains("no time of their own"));
    assert!(with("max_payload = \"2MiB\"").contains("larger than a packet"));
    assert!(with("payload = { format = \"i8\", fields = [\"a\"] }").contains("has none"));
    assert!(with("payload = { format = \"csv\", samples = \"/a\" }").contains("has none"));
    assert!(with("payload = { fields = [\"a\", \"a\"] }").contains("\"a\" is there twice"));
    assert!(with("publish = { topic = \"p/{devcie}\" }").contains("no value for {devcie}"));
    assert!(with(STREAM).contains("another stream has this name"));
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
    let url = |text| build::Url::parse(text).map(|url| (url.tls, url.host, url.port));
    assert_eq!(url("mqtt://a"), Ok((false, "a".into(), 1883)));
    assert_eq!(url("mqtts://a/"), Ok((true, "a".into(), 8883)));
    assert_eq!(url("mqtt://[::1]:99"), Ok((false, "::1".into(), 99)));
    assert!(url("mqtt://u:p@a").unwrap_err().contains("credentials"));
    for bad in ["a", "tcp://a", "mqtt://", "mqtt://a:0", "mqtt://a:x", "mqtt://a/b", "mqtt://[::1"]
    {
        assert!(url(bad).is_err(), "{bad}");
    }
}

/// The options that are switched on by taking the # away.
fn uncommented(file: &str, upto: &str) -> String {
    let lines = file.split(upto).next().unwrap().lines();
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => rest.to_owned(),
        _ => line.to_owned(),
    };
    lines.map(on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_files_defaults_are_the_defaults() {
    let file = print::sample_file();
    let defaults = Config::parse("").unwrap();
    assert_eq!(Config::parse(&file).unwrap(), defaults);
    // The credentials have no default, so they are left out; then all tables but the streams.
    let credentials = file.find("\n# User and password.").unwrap();
    let gateway = file.find("\n# Who this gateway is.").unwrap();
    let file = [&file[..credentials], &file[gateway..]].concat();
    let switched_on = uncommented(&file, "\n# A sensor input");
    assert!(switched_on.contains("\nkeep_alive = \"30s\""));
    assert_eq!(Config::parse(&switched_on).unwrap(), defaults);
    // A stream of required options alone is the same as one with its defaults written out.
    let stream = uncommented(&file, "never");
    assert_eq!(Config::parse(&stream).unwrap().streams, Config::parse(STREAM).unwrap().streams);
}

#[test]
fn the_documents_are_those_of_the_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in
        [("config/inferd.toml", print::sample_file()), ("docs/configuration.md", print::page())]
    {
        let path = root.join(name);
        if std::env::var_os("INFERD_WRITE_REFERENCE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{name} is not what src/config/reference.rs says; write it anew with \
             INFERD_WRITE_REFERENCE=1 cargo test --lib config"
        );
    }
}
