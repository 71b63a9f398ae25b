//! All options of the configuration. `config/inferd.toml` and `docs/configuration.md` are generated
//! from this table, which also validates values and supplies defaults.

use super::kinds::{
    DAY, HOUR, KIB, MIB, MILLISECOND, MINUTE, NAME, QOS, SCORE, SECOND, TIB, duration, name, topic,
};
use super::schema::DefaultValue::{Derived, Required, Unset, Value};
use super::schema::{Kind, OptionSpec, options};

/// In the order of the documentation.
pub const REFERENCE: &[OptionSpec] = options! {
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
        "Maximum upload rate in bytes per second. 0 disables the limit.";

    "stream[].name": name(NAME) => Required, eg "\"motion\"",
        "Name of the stream: a level of its topics. Must be unique on this gateway.";
    "stream[].model": name(NAME) => Required, eg "\"motion\"",
        "Name of the model to run on this stream.";
    "stream[].topic": topic("levels with {captures}, such as sensors/{device}/imu")
        => Required, eg "\"sensors/{device}/imu\"",
        "Topic to subscribe to. `{name}` matches one whole level and captures it. The captures \
         together identify the device; samples of each device go into a window of their own. See \
         also `payload.device`.";
    "stream[].qos": QOS => Value("1"),
        "QoS of the subscription. With 1, the broker queues messages while the daemon is \
         disconnected.";
    "stream[].guarantee": Kind::Choice(&["at-least-once", "best-effort"])
        => Derived("at-least-once with `qos = 1`, else best-effort"), eg "\"at-least-once\"",
        "When an input message is acknowledged. at-least-once: after its result has been delivered \
         or written to disk. best-effort: immediately.";
    "stream[].windows": Kind::Choice(&["memory", "checkpoint", "journal"]) => Value("\"memory\""),
        "How incomplete windows survive a crash. memory: they are lost. checkpoint: they are saved \
         every `store.checkpoint_interval`. journal: every sample is written to disk, in groups \
         every `store.group_delay`; `inferd check` estimates the flash wear. A clean shutdown \
         never loses windows.";
    "stream[].retained": Kind::Choice(&["ignore", "take", "mark"]) => Value("\"ignore\""),
        "How to handle retained messages, which the broker sends for each new subscription and \
         whose age is unknown. ignore: they are dropped (and counted). take: they are processed \
         like any other message. mark: like take, and their predictions contain `\"retained\": \
         true`.";
    "stream[].max_age": duration(MILLISECOND, 365 * DAY) => Unset, eg "\"10s\"",
        "Samples with a timestamp older than this are rejected as stale. Requires `payload.time`.";
    "stream[].max_ahead": duration(0, 365 * DAY) => Value("\"5m\""),
        "Samples with a timestamp further in the future than this are rejected. Not checked while \
         the system clock is before 2020.";
    "stream[].max_keys": Kind::Int { min: 1, max: 1_000_000 } => Value("1024"),
        "Maximum number of devices with a window. Beyond it, the device that has been silent for \
         longest is evicted (and counted).";
    "stream[].key_ttl": duration(SECOND, 365 * DAY) => Value("\"1h\""),
        "A device that has been silent for this long is removed together with its window. Must be \
         longer than the interval of the sensor.";
    "stream[].max_payload": Kind::Size { min: 1, max: 256 * MIB } => Value("\"64KiB\""),
        "Maximum payload size. Larger messages are rejected without being parsed. At most \
         `broker.max_packet`.";
    "stream[].priority": Kind::Int { min: 0, max: 9 } => Value("5"),
        "Priority of queued results. Those of the lowest priority are evicted first when the store \
         is full.";

    "stream[].payload.format": Kind::Choice(&[
        "json", "ndjson", "cbor", "csv", "f32le", "f64le", "i8", "u8", "i16le", "u16le", "i32le",
    ])
        => Value("\"json\""),
        "Format of the payload. json and cbor: an object, an array of objects or an array of \
         arrays. ndjson: a JSON value on each line, a sample each. csv: lines. The others: the \
         elements of the input tensor, in binary.";
    "stream[].payload.fields": Kind::Strings {
        max: 4096,
        form: "names, or JSON pointers such as /imu/ax",
    }
        => Value("[]"), eg "[\"ax\", \"ay\", \"az\", \"gx\", \"gy\", \"gz\"]",
        "Fields of a sample, one for each channel of the model, in the order of the channels. \
         Empty for binary formats, and for arrays read by position.";
    "stream[].payload.time": Kind::Names {
        max: 2,
        form: "names or JSON pointers: the time, or date and time of day",
    }
        => Unset, eg "\"ts\"",
        "Field with the timestamp of a sample: an RFC 3339 string, or the seconds, milliseconds, \
         microseconds or nanoseconds since 1970. Two fields are the date and the time of day. \
         Without it, the time of arrival is used.";
    "stream[].payload.zone": Kind::Text {
        max: 64,
        form: "utc, local, an offset, a name such as Europe/Berlin, or a POSIX rule",
    }
        => Unset, eg "\"+01:00\"",
        "Time zone of timestamps without an offset. Names are looked up in /usr/share/zoneinfo \
         (package tzdata); `local` is the zone of this machine; the rule \
         CET-1CEST,M3.5.0,M10.5.0/3 needs no files. Without a zone, such timestamps are rejected.";
    "stream[].payload.clock": Kind::Choice(&["wall", "device"]) => Value("\"wall\""),
        "What timestamps count from. wall: they are dates. device: they count from the start of \
         the device, for instance; the last sample of a device's first message gets the time of \
         its arrival, and the others keep their distances. After a restart of the device or of the \
         daemon, and where the clocks have drifted apart by more than a minute, the next message \
         sets the origin anew.";
    "stream[].payload.time_unit": Kind::Choice(&["s", "ms", "us", "ns"]) => Unset, eg "\"ms\"",
        "Unit of timestamps that are numbers. Without it, the magnitude tells. Required with \
         `clock = \"device\"`.";
    "stream[].payload.earliest": Kind::Text {
        max: 64,
        form: "a date such as 2020-01-01, or RFC 3339",
    }
        => Value("\"2020-01-01\""),
        "Samples with an earlier timestamp are rejected: they come from a device whose clock is \
         not set. Set an earlier date to replay old recordings. Timestamps after 2099 are always \
         rejected.";
    "stream[].payload.device": Kind::Names { max: 8, form: "names, or JSON pointers such as /id" }
        => Unset, eg "\"id\"",
        "Field that identifies the device, if the topic does not: a string, an integer or a \
         boolean, in the sample or in the object that encloses `samples`. Several fields are \
         joined by commas. Captures of the topic come first.";
    "stream[].payload.samples": Kind::Text { max: 256, form: "a name or a JSON pointer" }
        => Unset, eg "\"/readings\"",
        "Path of the array of samples, if an object encloses it (json, cbor).";

    "stream[].payload.missing": Kind::Scalars {
        max: 4096,
        alone: true,
        form: "\"reject\", \"skip\", \"hold\", \"nan\" or a number; or a table FIELD = one of \
               these",
    }
        => Value("\"reject\""), eg "{ humidity = \"hold\", battery = 100 }",
        "What to do with a sample that lacks a field, or where the field is null, not finite or \
         one of `missing_values`. reject: reject it. skip: pass over the sample (and count it). \
         hold: use the last value of the device, if it is not older than `hold`. nan: give the \
         model NaN; for inputs in float only. A number: use that number. A sample that has none of \
         the fields is passed over whatever is set, except with reject. Fields that are not in the \
         table are rejected.";
    "stream[].payload.hold": duration(MILLISECOND, 365 * DAY) => Unset, eg "\"10m\"",
        "Maximum age of a value that `missing = \"hold\"` uses. Required with it.";
    "stream[].payload.missing_values": Kind::Strings {
        max: 64,
        form: "texts, or numbers in quotes",
    }
        => Value("[]"), eg "[\"unavailable\", \"--\", \"-127\"]",
        "Values that mean that there is none. Letter case does not matter. null, the empty string, \
         NaN and infinities always do.";
    "stream[].payload.numbers": Kind::Choice(&["strict", "lenient"]) => Value("\"strict\""),
        "How numbers are written. strict: as numbers. lenient: also as strings, with a unit \
         (\"21.5 °C\", \"40%\"), a decimal comma (\"21,5\"), in hexadecimal (\"0x1F\"), or as on, \
         off, yes, no, true or false (1 or 0).";
    "stream[].payload.words": Kind::Scalars {
        max: 256,
        alone: false,
        form: "a table WORD = number",
    }
        => Unset, eg "{ OPEN = 1, CLOSED = 0 }",
        "Strings that stand for a number. Letter case matters.";
    "stream[].payload.where": Kind::Scalars {
        max: 64,
        alone: false,
        form: "a table FIELD = value, or a list of values",
    }
        => Unset, eg "{ \"/type\" = \"telemetry\" }",
        "Values that fields of a message must have (json, cbor). Messages in which a field is \
         missing or has another value are passed over (and counted).";
    "stream[].payload.compression": Kind::Choice(&["none", "gzip", "zlib", "auto"])
        => Value("\"none\""),
        "Compression of the payload. auto: gzip or zlib where the first bytes say so. \
         `max_payload` limits the size before and after decompression.";
    "stream[].payload.arrays": Kind::Choice(&["rows", "columns"]) => Value("\"rows\""),
        "What an array of arrays holds (json, cbor). rows: an array for each sample. columns: an \
         array for each field.";
    "stream[].payload.delimiter": Kind::Choice(&[",", ";", "|", "tab", "space"]) => Value("\",\""),
        "Character between the columns of csv. With another than a comma, `numbers = \"lenient\"` \
         takes decimal commas.";
    "stream[].payload.comment": Kind::Text { max: 1, form: "one character" } => Unset, eg "\"#\"",
        "Lines of csv that start with this character are passed over.";

    "stream[].publish.topic": topic("a topic; {gateway}, {stream}, {model} and the captures of the \
                                     stream's topic have values; {device} does with payload.device")
        => Derived("predictions/{stream}, a level for each capture, and {device} with \
                    payload.device"), eg "\"predictions/{stream}/{device}\"",
        "Topic to publish predictions to.";
    "stream[].publish.qos": QOS => Value("1"),
        "QoS of published predictions. `guarantee = \"at-least-once\"` requires 1.";
    "stream[].publish.retain": Kind::Bool => Value("false"),
        "Publish predictions as retained messages: the broker sends the last one to each new \
         subscriber.";
    "stream[].publish.encoding": Kind::Choice(&["json", "cbor"]) => Value("\"json\""),
        "Encoding of predictions.";
    "stream[].publish.when": Kind::Choice(&["every", "change"]) => Value("\"every\""),
        "every: publish each prediction. change: publish only when the label of a device changes.";
    "stream[].publish.min_score": SCORE => Unset, eg "0.6",
        "Minimum score of published predictions.";
    "stream[].publish.leave_score": SCORE => Unset, eg "0.5",
        "Hysteresis: after the score of a device has reached `min_score`, its predictions are \
         published until the score falls below this value. At most `min_score`.";
    "stream[].publish.consecutive": Kind::Int { min: 1, max: 1000 } => Value("1"),
        "How many consecutive predictions must have the same label before it is published.";

    "stream[].drift.enabled": Kind::Bool => Value("true"),
        "Compare the windows and predictions with the baseline of the model, and report drift (see \
         docs/monitoring.md). Without a baseline in the bundle, one is learned first.";
    "stream[].drift.false_alarms":
        Kind::Text { max: 32, form: "COUNT/DURATION, 1/3650d to 1000/1h" } => Value("\"1/30d\""),
        "How many false alarms are accepted in how much time. All thresholds follow from this.";
    "stream[].drift.learn": duration(MINUTE, 365 * DAY) => Value("\"1d\""),
        "How long a baseline is learned if the bundle has none, at least until there are 50 \
         independent blocks of windows. Nothing is reported before that.";

    "stream[].labels.topic": topic("levels with {captures}; {stream} and {model} are replaced by \
                                    their names")
        => Required, eg "\"labels/{stream}/{device}\"",
        "Topic on which the true labels or values of predictions arrive, subscribed with the \
         stream's `qos`. inferd compares them with its predictions and reports the accuracy (see \
         docs/monitoring.md).";
    "stream[].labels.tolerance": duration(0, DAY) => Value("\"1s\""),
        "A label with a time and no prediction id belongs to the nearest prediction of its device, \
         if that is no further away than this.";
    "stream[].labels.remember": Kind::Int { min: 1, max: 262_144 } => Value("65_536"),
        "How many predictions are remembered for labels that arrive later. Each takes 16 bytes of \
         memory.";

    "stream[].capture.random": Kind::Int { min: 0, max: 86_400 } => Value("0"),
        "How many inputs to capture per day at random times. 0 disables this trigger.";
    "stream[].capture.margin": Kind::Float { min: 0.0, max: 1e9 } => Unset, eg "0.2",
        "Capture inputs whose two best scores differ by less than this; for anomaly scores, inputs \
         whose score is closer to the threshold.";
    "stream[].capture.disagree": Kind::Bool => Value("false"),
        "Capture inputs for which the candidate of a shadow run predicts something else.";
    "stream[].capture.reject": Kind::Bool => Value("false"),
        "Capture inputs that the model fails on, or whose output is not finite.";
    "stream[].capture.per_day": Kind::Int { min: 1, max: 1_000_000 } => Value("100"),
        "Maximum number of inputs captured per day (UTC) by each of `margin`, `disagree` and \
         `reject`.";
    "stream[].capture.hash_device": Kind::Bool => Value("false"),
        "Store the first 16 hex digits of the SHA-256 digest of the device name instead of the \
         name.";
};
