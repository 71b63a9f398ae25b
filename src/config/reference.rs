//! Every option of the configuration, once: `config/inferd.toml` and `docs/configuration.md` are
//! written from this table, values are checked against it, and its defaults are the defaults.

use std::time::Duration;

use super::schema::Fallback::{Absent, Derived, Is, Required};
use super::schema::{Kind, Opt, options};

const MILLISECOND: u64 = 1;
const SECOND: u64 = 1000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const fn span(min: u64, max: u64) -> Kind {
    Kind::Span { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// MQTT's own bound on a topic is 65535 bytes; brokers stop far earlier.
const fn topic(form: &'static str) -> Kind {
    Kind::Text { max: 1024, form }
}

const fn name(form: &'static str) -> Kind {
    Kind::Text { max: 64, form }
}

const NAME: &str = "1 to 64 of a-z A-Z 0-9 . _ -, not starting with a dot";
const QOS: Kind = Kind::Int { min: 0, max: 1 };
const SCORE: Kind = Kind::Float { min: f64::MIN, max: f64::MAX };

/// In the order of the documentation.
pub const REFERENCE: &[Opt] = options! {
    "broker.url": Kind::Text { max: 300, form: "mqtt://HOST:PORT or mqtts://HOST:PORT" }
        => Is("\"mqtt://localhost:1883\""), eg "\"mqtts://broker.example:8883\"",
        "Where the broker is. `mqtts` is TLS. The broker must speak MQTT 5. Without a port: 1883, \
         or 8883 with TLS.";
    "broker.host": Kind::Text { max: 253, form: "a host name or an IP address" }
        => Derived("the host of `url`"), eg "\"10.0.0.5\"",
        "Replaces the host of `url`: for a gateway's own `conf.d` file or INFERD__BROKER__HOST.";
    "broker.port": Kind::Int { min: 1, max: 65535 } => Derived("the port of `url`"), eg "8883",
        "Replaces the port of `url`.";
    "broker.client_id": Kind::Text { max: 256, form: "1 to 256 bytes, unique at the broker" }
        => Derived("`gateway.id`"), eg "\"gw-17\"",
        "The MQTT client identifier. Two clients with the same one throw each other out.";
    "broker.ca_file": Kind::File => Derived("the system's roots"), eg "\"ca.pem\"",
        "PEM file with the certificates that may have signed the broker's. Needs `mqtts`.";
    "broker.client_cert_file": Kind::File => Absent, eg "\"client.pem\"",
        "PEM file with our certificate chain, for brokers that ask for one. Needs \
         `client_key_file`.";
    "broker.client_key_file": Kind::Secret => Absent, eg "\"client.key\"",
        "PEM file with the key of `client_cert_file`; looked up as `password_file` is.";
    "broker.keep_alive": span(5 * SECOND, 18 * HOUR) => Is("\"30s\""),
        "A connection that is silent for this long is asked for a sign of life.";
    "broker.connect_timeout": span(SECOND, 5 * MINUTE) => Is("\"10s\""),
        "An attempt to connect ends after this long.";
    "broker.session_expiry": span(0, 49_710 * DAY) => Is("\"1d\""),
        "The broker keeps our subscriptions, and the QoS 1 inputs that arrive, for this long \
         while we are away.";
    "broker.receive_maximum": Kind::Int { min: 1, max: 65535 } => Is("256"),
        "QoS 1 inputs the broker sends ahead of our acknowledgements. Under overload the rest \
         waits at the broker.";
    "broker.in_flight": Kind::Int { min: 1, max: 65535 } => Is("64"),
        "Results we publish ahead of the broker's acknowledgements.";
    "broker.max_packet": Kind::Size { min: KIB, max: 256 * MIB } => Is("\"1MiB\""),
        "The largest MQTT packet either way; announced to the broker, which keeps larger inputs \
         from us.";
    "broker.backoff_min": span(100 * MILLISECOND, MINUTE) => Is("\"1s\""),
        "The longest wait before the first attempt to connect again; doubled with each failure, \
         and the wait is drawn at random up to it.";
    "broker.backoff_max": span(SECOND, HOUR) => Is("\"2m\""),
        "The wait before a new attempt grows to this at most.";

    "broker.credentials.username": Kind::Text { max: 256, form: "1 to 256 bytes" }
        => Required, eg "\"gw-17\"",
        "The MQTT user name. Leave out `credentials` to log in by client certificate or not at \
         all.";
    "broker.credentials.password_file": Kind::Secret => Absent, eg "\"password\"",
        "The file with the password on its first line. Looked up among systemd's credentials \
         first, then beside the configuration file. Without a password the user name alone is \
         sent, as brokers that take tokens want it.";
    "broker.credentials.password_env": Kind::Env => Absent, eg "\"MQTT_PASSWORD\"",
        "The name of an environment variable that holds the password, in the place of \
         `password_file`. A file is safer: other processes of the same user can read the \
         environment.";

    "gateway.id": name(NAME) => Derived("the machine's host name"), eg "\"gw-17\"",
        "This gateway's name: one level of its topics and the start of every prediction's id. \
         Unique in the fleet.";
    "gateway.groups": Kind::Texts { max: 64, form: "group names" }
        => Is("[]"), eg "[\"line-a\", \"beta\"]",
        "The groups of the fleet that this gateway belongs to.";
    "gateway.prefix": topic("a topic without wildcards") => Is("\"inferd/v1\""),
        "Stands before every topic of the daemon itself: PREFIX/ID/status and so on.";

    "models.dir": Kind::Folder => Is("\"/usr/lib/inferd/models\""),
        "The models that came with the package: a folder NAME/ or a file NAME.bundle each.";

    "store.dir": Kind::Folder => Is("\"/var/lib/inferd\""),
        "What the daemon writes: results that wait for the broker, saved windows.";
    "store.max_bytes": Kind::Size { min: 8 * MIB, max: TIB } => Is("\"256MiB\""),
        "The room on disk for results that wait. Beyond it the oldest of the least priority go; \
         counted.";
    "store.max_records": Kind::Int { min: 100, max: 100_000_000 } => Is("1_000_000"),
        "As `max_bytes`, in results.";
    "store.reserve_bytes": Kind::Size { min: 0, max: TIB } => Is("\"64MiB\""),
        "Bytes of the file system that stay free whatever happens.";
    "store.group_records": Kind::Int { min: 1, max: 4096 } => Is("64"),
        "Results are written to disk in groups of at most this many: fewer wear flash more.";
    "store.group_delay": span(MILLISECOND, 10 * SECOND) => Is("\"500ms\""),
        "A group that is not full is written after this long.";
    "store.checkpoint_interval": span(100 * MILLISECOND, HOUR) => Is("\"5s\""),
        "Streams with windows = \"checkpoint\" save their partial windows this often: what a crash \
         may cost.";

    "outbox.memory_records": Kind::Int { min: 16, max: 1_000_000 } => Is("1024"),
        "Results without the broker's acknowledgement that are kept in memory before they go to \
         disk.";
    "outbox.drain_rate": Kind::Int { min: 0, max: 1_000_000 } => Is("0"),
        "Waiting results sent a second once the broker is back; 0 is as fast as it takes them.";
    "outbox.in_order": Kind::Bool => Is("false"),
        "Send nothing new before everything older has been sent.";

    "workers.threads": Kind::Int { min: 0, max: 256 } => Is("0"),
        "Threads that run models; 0 is one for each core. A stream stays on one of them.";
    "workers.queue": Kind::Int { min: 1, max: 65536 } => Is("256"),
        "Messages that may wait before each worker. When full, QoS 1 inputs wait at the broker \
         and QoS 0 inputs are dropped; counted.";
    "workers.stop_deadline": span(SECOND, 5 * MINUTE) => Is("\"20s\""),
        "A stop has this long to finish and save; keep it below the service's TimeoutStopSec.";

    "updates.keyset": Kind::File => Absent, eg "\"keyset-1.json\"",
        "The keyset that came with the gateway's provisioning (`inferctl keys`): who may release \
         and deploy models. Without it the shipped models serve and nothing is taken over the air. \
         Later keysets come over the broker.";
    "updates.max_bytes_per_s": Kind::Size { min: 0, max: TIB } => Is("0"),
        "The most bytes of a release fetched a second, for each model, whatever a deployment \
         allows; 0 is no limit of ours.";
    "updates.ca_file": Kind::File => Absent, eg "\"web-ca.pem\"",
        "PEM file with authorities that may have signed the certificate of a web server with models, \
         beside the system's.";
    "updates.probe_memory": Kind::Size { min: 16 * MIB, max: TIB } => Is("\"512MiB\""),
        "The most memory a candidate may take while it is tried in a process of its own.";
    "updates.probe_time": span(SECOND, HOUR) => Is("\"60s\""),
        "How long that may take, from its start to its answer.";

    "report.health_interval": span(SECOND, DAY) => Is("\"30s\""),
        "Time between two messages on the health topic.";
    "report.rejects_per_minute": Kind::Int { min: 0, max: 6000 } => Is("10"),
        "Samples of rejected inputs published a minute, over all streams.";

    "control.dir": Kind::Folder => Is("\"/run/inferd\""),
        "The control socket is made here, for the daemon's user and group only. A second daemon on \
         the same machine needs another folder.";

    "stream[].name": name(NAME) => Required, eg "\"motion\"",
        "The stream's name: unique here, and one level of its topics.";
    "stream[].model": name(NAME) => Required, eg "\"motion\"",
        "The model that reads it, by name.";
    "stream[].topic": topic("levels with {captures}, such as sensors/{device}/imu")
        => Required, eg "\"sensors/{device}/imu\"",
        "Where the samples come from. `{name}` matches one whole level and keeps it; the captures \
         together name the device whose window a sample belongs to; see also `payload.device`.";
    "stream[].qos": QOS => Is("1"),
        "The quality of service asked for: 1 waits at the broker while we are away, 0 does not.";
    "stream[].guarantee": Kind::Choice(&["at-least-once", "best-effort"])
        => Derived("at-least-once with `qos = 1`, else best-effort"), eg "\"at-least-once\"",
        "at-least-once: an input is acknowledged when its result is safe. best-effort: at once.";
    "stream[].windows": Kind::Choice(&["memory", "checkpoint", "journal"]) => Is("\"memory\""),
        "What a crash may cost of windows that are not full yet: all of them (nothing is written to \
         flash), the last seconds, or nothing (at the price of writing every sample to flash, in \
         groups every `store.group_delay`: `inferd check` says how much). A clean stop costs nothing.";
    "stream[].retained": Kind::Choice(&["ignore", "take", "mark"]) => Is("\"ignore\""),
        "What is done with the messages that the broker retained, which it sends when a \
         subscription is new: their age is not known. ignore: they are dropped and counted. take: \
         they count like live ones. mark: the same, and their predictions have `\"retained\": true`.";
    "stream[].max_age": span(MILLISECOND, 365 * DAY) => Absent, eg "\"10s\"",
        "Samples older than this by their own time are rejected as stale. Needs `payload.time`.";
    "stream[].max_ahead": span(0, 365 * DAY) => Is("\"5m\""),
        "Samples whose own time is further ahead of our clock than this are rejected, once it is set (after 2020).";
    "stream[].max_keys": Kind::Int { min: 1, max: 1_000_000 } => Is("1024"),
        "Devices whose windows are kept; beyond it the one silent for longest is forgotten; \
         counted.";
    "stream[].key_ttl": span(SECOND, 365 * DAY) => Is("\"1h\""),
        "A device silent for this long is forgotten with its window. Keep it above the sensor's interval.";
    "stream[].max_payload": Kind::Size { min: 1, max: 256 * MIB } => Is("\"64KiB\""),
        "Larger payloads are rejected unread. At most `broker.max_packet`.";
    "stream[].priority": Kind::Int { min: 0, max: 9 } => Is("5"),
        "Of waiting results, those of the lowest priority leave a full store first.";

    "stream[].payload.format": Kind::Choice(&["json", "cbor", "csv", "f32le", "f64le", "i8", "u8", "i16le", "u16le", "i32le"])
        => Is("\"json\""),
        "How a payload is written: an object, an array of objects or an array of arrays (json, \
         cbor), lines (csv), or the tensor's bytes (the rest).";
    "stream[].payload.fields": Kind::Texts { max: 4096, form: "names, or JSON pointers such as /imu/ax" }
        => Is("[]"), eg "[\"ax\", \"ay\", \"az\", \"gx\", \"gy\", \"gz\"]",
        "The fields that make a sample, one for each channel of the model, in its order. None for \
         raw formats, and for arrays taken by position.";
    "stream[].payload.time": Kind::Text { max: 256, form: "a name or a JSON pointer" }
        => Absent, eg "\"ts\"",
        "The field with the sample's time: RFC 3339, or a number of seconds, milli-, micro- or \
         nanoseconds since 1970. Without it a sample is as old as its arrival.";
    "stream[].payload.earliest": Kind::Text { max: 64, form: "a date such as 2020-01-01, or RFC 3339" }
        => Is("\"2020-01-01\""),
        "A sample whose own time is before this is rejected: an uptime, or a clock that was never set. \
         Earlier for recordings that are older. Times after 2099 are always rejected.";
    "stream[].payload.device": Kind::Names { max: 8, form: "names, or JSON pointers such as /id" }
        => Absent, eg "\"id\"",
        "The field that names the device, where the topic does not: a text, a whole number or a \
         boolean, in the sample or in the object around `samples`. Several are joined by commas. \
         The topic's captures come before it.";
    "stream[].payload.samples": Kind::Text { max: 256, form: "a name or a JSON pointer" }
        => Absent, eg "\"/readings\"",
        "The array of samples, where an object encloses it (json, cbor).";

    "stream[].publish.topic": topic("a topic; {gateway}, {stream}, {model} and the captures of the stream's topic have values; {device} does with payload.device")
        => Derived("predictions/{stream}, a level for each capture, and {device} with payload.device"), eg "\"predictions/{stream}/{device}\"",
        "Where predictions go.";
    "stream[].publish.qos": QOS => Is("1"),
        "The quality of service of predictions; at-least-once needs 1.";
    "stream[].publish.retain": Kind::Bool => Is("false"),
        "The broker keeps the last prediction of each topic for those who subscribe later.";
    "stream[].publish.encoding": Kind::Choice(&["json", "cbor"]) => Is("\"json\""),
        "How predictions are written.";
    "stream[].publish.when": Kind::Choice(&["every", "change"]) => Is("\"every\""),
        "every: each prediction. change: only where the label differs from the device's last.";
    "stream[].publish.min_score": SCORE => Absent, eg "0.6",
        "Predictions with a lower score are not published.";
    "stream[].publish.leave_score": SCORE => Absent, eg "0.5",
        "Once a device's score has reached `min_score`, predictions go on until it falls below \
         this. At most `min_score`.";
    "stream[].publish.consecutive": Kind::Int { min: 1, max: 1000 } => Is("1"),
        "A label counts once it has been seen this many times in a row.";
};

/// The tables in the order of the documentation, with what each is about.
pub const TABLES: &[(&str, &str)] = &[
    ("broker", "The connection to the MQTT broker."),
    ("broker.credentials", "User and password."),
    ("gateway", "Who this gateway is."),
    ("models", "Where models come from."),
    ("store", "What is kept on disk while the broker is away."),
    ("outbox", "How results are sent."),
    ("workers", "The threads that run models."),
    ("updates", "Models over the air."),
    ("report", "What the daemon says of itself."),
    ("control", "How `inferd status`, `queue` and `models` reach the running daemon."),
    ("stream[]", "A sensor input and the model that reads it. As many as there are inputs."),
    ("stream[].payload", "How its messages are written."),
    ("stream[].publish", "What is published, where and when."),
];
