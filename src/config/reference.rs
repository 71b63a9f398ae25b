//! All options of the configuration. `config/inferd.toml` and `docs/configuration.md` are generated
//! from this table, which also validates values and supplies defaults.

use super::kinds::{
    DAY, HOUR, KIB, MIB, MILLISECOND, MINUTE, NAME, SECOND, TIB, duration, name, topic,
};
use super::schema::DefaultValue::{Derived, Required, Unset, Value};
use super::schema::{Kind, OptionSpec, options};
use super::stream_options::STREAMS;

/// In the order of the documentation.
pub const REFERENCE: &[OptionSpec] = &chained::<{ DAEMON.len() + STREAMS.len() }>(DAEMON, STREAMS);

pub(crate) const fn chained<const N: usize>(
    mut first: &[OptionSpec],
    mut second: &[OptionSpec],
) -> [OptionSpec; N] {
    let nothing =
        OptionSpec { path: "", kind: Kind::Bool, default: Unset, meaning: "", example: "" };
    let mut all = [nothing; N];
    let mut left: &mut [OptionSpec] = &mut all;
    while let [place, places @ ..] = left {
        match (first, second) {
            ([option, options @ ..], _) => (*place, first) = (*option, options),
            ([], [option, options @ ..]) => (*place, second) = (*option, options),
            ([], []) => {}
        }
        left = places;
    }
    all
}

/// The options of the daemon; those of streams follow.
const DAEMON: &[OptionSpec] = options! {
    "broker.url": Kind::Text { max: 300, form: "mqtt://HOST:PORT or mqtts://HOST:PORT" }
        => Value("\"mqtt://localhost:1883\""), eg "\"mqtts://broker.example:8883\"",
        "Address of the broker, which must support MQTT 5. `mqtts` enables TLS. The default port \
         is 1883, or 8883 with TLS.";
    "broker.host": Kind::Text { max: 253, form: "a host name or an IP address" }
        => Derived("the host of `url`"), eg "\"10.0.0.5\"",
        "Overrides the host in `url`. Useful in a `conf.d` file or as INFERD__BROKER__HOST, where \
         one configuration is shared by several gateways.";
    "broker.port": Kind::Int { min: 1, max: 65535 } => Derived("the port of `url`"), eg "8883",
        "Overrides the port in `url`.";
    "broker.client_id": Kind::Text { max: 256, form: "1 to 256 bytes, unique at the broker" }
        => Derived("`gateway.id`"), eg "\"gw-17\"",
        "MQTT client identifier. Two clients with the same identifier disconnect each other.";
    "broker.ca_file": Kind::File => Derived("the system's roots"), eg "\"ca.pem\"",
        "PEM file with the CA certificates that are trusted to sign the broker's certificate. \
         Requires `mqtts`.";
    "broker.client_cert_file": Kind::File => Unset, eg "\"client.pem\"",
        "PEM file with the client certificate chain, for brokers that require one. Requires \
         `client_key_file`.";
    "broker.client_key_file": Kind::Secret => Unset, eg "\"client.key\"",
        "PEM file with the private key of `client_cert_file`. Looked up in the same places as \
         `password_file`.";
    "broker.keep_alive": duration(5 * SECOND, 18 * HOUR) => Value("\"30s\""),
        "MQTT keep-alive interval: how long a connection may be idle before it is checked with a \
         ping.";
    "broker.connect_timeout": duration(SECOND, 5 * MINUTE) => Value("\"10s\""),
        "Timeout of a connection attempt.";
    "broker.session_expiry": duration(0, 49_710 * DAY) => Value("\"1d\""),
        "MQTT session expiry interval: how long the broker keeps the subscriptions, and queues QoS \
         1 messages, while the daemon is disconnected.";
    "broker.receive_maximum": Kind::Int { min: 1, max: 65535 } => Value("256"),
        "MQTT receive maximum: how many QoS 1 messages the broker may send before they are \
         acknowledged. Under overload, the others are queued by the broker.";
    "broker.in_flight": Kind::Int { min: 1, max: 65535 } => Value("64"),
        "Maximum number of published results that the broker has not acknowledged yet.";
    "broker.max_packet": Kind::Size { min: KIB, max: 256 * MIB } => Value("\"1MiB\""),
        "Maximum size of an MQTT packet in either direction. It is announced to the broker, which \
         then does not deliver larger messages.";
    "broker.backoff_min": duration(100 * MILLISECOND, MINUTE) => Value("\"1s\""),
        "Upper bound of the delay before the first reconnection attempt. It doubles after each \
         failure, and the actual delay is a random value below it.";
    "broker.backoff_max": duration(SECOND, HOUR) => Value("\"2m\""),
        "Maximum of the reconnection delay.";

    "broker.credentials.username": Kind::Text { max: 256, form: "1 to 256 bytes" }
        => Required, eg "\"gw-17\"",
        "MQTT user name. Omit the table `credentials` to authenticate with a client certificate, \
         or not at all.";
    "broker.credentials.password_file": Kind::Secret => Unset, eg "\"password\"",
        "File with the password on its first line. It is looked up in the systemd credentials \
         first, then relative to the configuration file. Without a password, only the user name is \
         sent, which is how some brokers accept tokens.";
    "broker.credentials.password_env": Kind::Env => Unset, eg "\"MQTT_PASSWORD\"",
        "Name of an environment variable that contains the password, instead of `password_file`. A \
         file is safer: other processes of the same user can read the environment.";

    "gateway.id": name(NAME) => Derived("the machine's host name"), eg "\"gw-17\"",
        "Name of this gateway: a level of its topics, and the prefix of prediction ids. Must be \
         unique in the fleet.";
    "gateway.groups": Kind::Strings { max: 64, form: "group names" }
        => Value("[]"), eg "[\"line-a\", \"beta\"]",
        "Groups of the fleet that this gateway belongs to. Deployments can target a group.";
    "gateway.prefix": topic("a topic without wildcards") => Value("\"inferd/v1\""),
        "Prefix of all topics the daemon publishes, such as PREFIX/ID/status. Predictions are not \
         affected.";

    "models.dir": Kind::Folder => Value("\"/usr/lib/inferd/models\""),
        "Folder with the built-in models. Each is a folder NAME/ or a file NAME.bundle.";

    "store.dir": Kind::Folder => Value("\"/var/lib/inferd\""),
        "Folder for the daemon's state: queued results, saved windows, installed model versions.";
    "store.max_bytes": Kind::Size { min: 8 * MIB, max: TIB } => Value("\"256MiB\""),
        "Maximum disk space for queued results. When full, the oldest results of the lowest \
         priority are evicted (and counted).";
    "store.max_records": Kind::Int { min: 100, max: 100_000_000 } => Value("1_000_000"),
        "Maximum number of queued results. When full, results are evicted as with `max_bytes`.";
    "store.reserve_bytes": Kind::Size { min: 0, max: TIB } => Value("\"64MiB\""),
        "Space on the file system that the daemon never uses.";
    "store.group_records": Kind::Int { min: 1, max: 4096 } => Value("64"),
        "Maximum number of results written to disk at once. Smaller groups cause more flash wear.";
    "store.group_delay": duration(MILLISECOND, 10 * SECOND) => Value("\"500ms\""),
        "Maximum delay before an incomplete group is written.";
    "store.checkpoint_interval": duration(100 * MILLISECOND, HOUR) => Value("\"5s\""),
        "How often streams with windows = \"checkpoint\" save their partial windows. A crash loses \
         at most the samples of this interval.";

    "outbox.memory_records": Kind::Int { min: 16, max: 1_000_000 } => Value("1024"),
        "Maximum number of unacknowledged results kept in memory. Further results are written to \
         disk.";
    "outbox.drain_rate": Kind::Int { min: 0, max: 1_000_000 } => Value("0"),
        "Maximum number of queued results sent per second after a reconnection. 0 disables the \
         limit.";
    "outbox.in_order": Kind::Bool => Value("false"),
        "Deliver all results strictly in order: a new result waits until the whole backlog has \
         been sent. Otherwise only results of the same stream and topic wait.";

    "workers.threads": Kind::Int { min: 0, max: 256 } => Value("0"),
        "Number of inference threads. 0 means one per CPU core. Each stream is assigned to one \
         thread.";
    "workers.queue": Kind::Int { min: 1, max: 65536 } => Value("256"),
        "Maximum number of messages queued for each worker thread. When full, QoS 1 messages wait \
         at the broker, and QoS 0 messages are dropped (and counted).";
    "workers.stop_deadline": duration(SECOND, 5 * MINUTE) => Value("\"20s\""),
        "How long a shutdown may take to process queued messages and save state. Must be below \
         TimeoutStopSec of the systemd service.";

    "updates.keyset": Kind::File => Unset, eg "\"keyset-1.json\"",
        "The keyset with which the gateway was provisioned (see `inferctl keys`): the public keys \
         that may sign releases and deployments. Later keysets are received from the broker. \
         Without a keyset, over-the-air updates are disabled and the built-in models are used.";
    "updates.max_bytes_per_s": Kind::Size { min: 0, max: TIB } => Value("0"),
        "Maximum download rate for each model, in bytes per second. The lower of this and the \
         deployment's limit applies. 0 disables the local limit.";
    "updates.ca_file": Kind::File => Unset, eg "\"web-ca.pem\"",
        "PEM file with additional CA certificates for HTTPS servers that releases are downloaded \
         from.";
    "updates.probe_memory": Kind::Size { min: 16 * MIB, max: TIB } => Value("\"512MiB\""),
        "Maximum memory of the process that tests a candidate before it is activated.";
    "updates.probe_time": duration(SECOND, HOUR) => Value("\"60s\""),
        "Maximum duration of that test.";

    "report.health_interval": duration(SECOND, DAY) => Value("\"30s\""),
        "Interval between two messages on the health topic.";
    "report.rejects_per_minute": Kind::Int { min: 0, max: 6000 } => Value("10"),
        "Maximum number of rejected messages reported per minute, over all streams. Rejected \
         messages are always counted.";

    "control.dir": Kind::Folder => Value("\"/run/inferd\""),
        "Folder of the control socket, which is accessible to the daemon's user and group. A \
         second daemon on the same machine needs a different folder.";

    "http.listen": Kind::Text { max: 64, form: "an IP address and a port, such as 127.0.0.1:9617" }
        => Unset, eg "\"127.0.0.1:9617\"",
        "Address of the HTTP server with the status page, metrics and health. Unset, there is \
         none. Addresses that other machines can reach require `token_file`. There is no TLS.";
    "http.token_file": Kind::Secret => Unset, eg "\"http.token\"",
        "File with a token of at least 16 characters on its first line, which every request must \
         show as a bearer token or as the password of a browser's login. Looked up in the same \
         places as `broker.credentials.password_file`. What changes something always needs a \
         token.";
    "http.hosts": Kind::Strings { max: 16, form: "host names" }
        => Value("[]"), eg "[\"gw-17.local\"]",
        "Host names by which clients address the server. Requests to other names are refused; IP \
         addresses and `localhost` are always accepted.";
    "capture.max_bytes": Kind::Size { min: MIB, max: TIB } => Value("\"64MiB\""),
        "Maximum disk space for captured inputs, of all streams. When full, the oldest file of the \
         trigger with the most bytes is deleted (and counted).";
    "capture.max_age": duration(HOUR, 3650 * DAY) => Value("\"30d\""),
        "Files with captured inputs are deleted after this time.";
    "capture.write_interval": duration(SECOND, DAY) => Value("\"10m\""),
        "How long captured inputs may stay in memory before they are written. A file is written \
         earlier if 256 inputs or 1 MiB are complete. A crash loses at most the inputs of this \
         time.";

    "capture.upload_url": Kind::Text {
        max: 2048,
        form: "an https:// or http:// URL with {file}, and possibly {gateway} and {stream}"
    } => Unset, eg "\"https://captures.example/{gateway}/{stream}/{file}\"",
        "Upload files with captured inputs here by HTTP PUT. A file is deleted once the server has \
         accepted it. Query parameters, such as those of a presigned URL, are kept.";
    "capture.upload_token_file": Kind::Secret => Unset, eg "\"upload.token\"",
        "File with a token that is sent as `Authorization: Bearer TOKEN`. Requires https.";
    "capture.upload_ca_file": Kind::File => Unset, eg "\"upload-ca.pem\"",
        "PEM file with additional CA certificates for the server of `upload_url`.";
    "capture.upload_max_bytes_per_s": Kind::Size { min: 0, max: TIB } => Value("\"256KiB\""),
        "Maximum upload rate in bytes per second, by HTTP and over MQTT each. 0 disables the \
         limit.";
    "capture.mqtt": Kind::Bool => Value("false"),
        "Answer requests of `inferctl capture pull`: clients that may publish to \
         `PREFIX/GATEWAY/capture/get` can fetch captured inputs, and delete those that they have.";
};
