//! The options of `[[stream]]`, the second part of the reference.

use super::kinds::{
    DAY, FIELD, FIELDS, FORMAT, MIB, MILLISECOND, MINUTE, NAME, QOS, SCORE, SECOND, duration, name,
    topic,
};
use super::schema::DefaultValue::{Derived, Required, Unset, Value};
use super::schema::{Kind, OptionSpec, options};

/// In the order of the documentation.
pub(super) const STREAMS: &[OptionSpec] = options! {
    "stream[].name": name(NAME) => Required, eg "\"motion\"",
        "Name of the stream: a level of its topics. Must be unique on this gateway.";
    "stream[].model": name(NAME) => Required, eg "\"motion\"",
        "Name of the model to run on this stream.";
    "stream[].topic": topic("levels with {captures}, such as sensors/{device}/imu")
        => Required, eg "\"sensors/{device}/imu\"",
        "Topic to subscribe to. `{name}` matches one level and captures it, `shelly-{name}` the \
         rest of a level, and `{name#}` at the end all levels from there on. The captures together \
         identify the device; samples of each device go into a window of their own. See also \
         `payload.device`. Not set if the stream has a `[[stream.source]]`.";
    "stream[].share": Kind::Text { max: 64, form: "a level of a topic" }
        => Unset, eg "\"gateways\"",
        "Share the messages with the other gateways that name the same group: the broker delivers \
         each message to one of them (`$share/GROUP/…` of MQTT 5). The samples of a device may \
         then go to different gateways.";
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
    "stream[].infer": Kind::Bool => Value("false"),
        "Allow clients of the HTTP server to run the model of this stream on tensors of their own \
         (see docs/http.md). Needs `http.token_file`.";

    "stream[].payload.format": FORMAT
        => Value("\"json\""),
        "Format of the payload. json, cbor and msgpack: an object, an array of objects or an array \
         of arrays. protobuf: a message of Protocol Buffers, with `descriptors` and `message`. \
         ndjson: a JSON value on each line, a sample each. csv: lines. senml: SenML in \
         JSON or CBOR. influx: InfluxDB line protocol. sparkplug: Sparkplug B. bytes: records of \
         mixed binary numbers, as `bytes` describes them. The others: binary numbers of one type, \
         as they are in the input tensor: i integers, u unsigned integers, f floats, le \
         little-endian, be big-endian, cdab big-endian with swapped words of 16 bits, as many \
         Modbus devices have it, badc little-endian within the words.";
    "stream[].payload.fields": FIELDS
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
         sets a new origin.";
    "stream[].payload.time_unit": Kind::Choice(&["s", "ms", "us", "ns"]) => Unset, eg "\"ms\"",
        "Unit of timestamps that are numbers. Without it, the magnitude tells. Required with \
         `clock = \"device\"`.";
    "stream[].payload.interval": Kind::Text {
        max: 32,
        form: "a duration such as \"10ms\" or \"62.5us\", or a rate such as \"16kHz\"",
    }
        => Unset, eg "\"10ms\"",
        "Time between the samples of a message that has one timestamp. Requires `time`.";
    "stream[].payload.interval_from": Kind::Choice(&["first", "last"]) => Value("\"last\""),
        "Which sample of a message has the timestamp, with `interval`.";
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
    "stream[].payload.samples": FIELD
        => Unset, eg "\"/readings\"",
        "Path of the array of samples, if an object encloses it (json, cbor, msgpack, protobuf).";

    "stream[].payload.descriptors": Kind::File => Unset, eg "\"sensors.desc\"",
        "Descriptor set with the types of protobuf, at most 4 MiB: `protoc --include_imports \
         --descriptor_set_out=FILE` writes it from .proto files. Relative to the folder of this \
         file.";
    "stream[].payload.message": Kind::Text { max: 256, form: "a type with its package" }
        => Unset, eg "\"sensors.Reading\"",
        "Type of the messages in `descriptors`. Fields have the names of the .proto file; enums \
         are numbers.";
    "stream[].payload.embedded": Kind::Scalars {
        max: 64,
        alone: false,
        form: "a table TYPE.FIELD = type",
    }
        => Unset, eg "{ \"meshtastic.Data.payload\" = \"meshtastic.Telemetry\" }",
        "Fields of bytes of protobuf that hold another message, and its type.";

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
        "Values that fields of a message must have (json, cbor, msgpack, protobuf), or columns of \
         a line of csv. Messages or lines in which a field is missing or has another value are \
         passed over (and counted).";
    "stream[].payload.compression": Kind::Choice(&["none", "gzip", "zlib", "auto"])
        => Value("\"none\""),
        "Compression of the payload. auto: gzip or zlib where the first bytes say so. \
         `max_payload` limits the size before and after decompression.";
    "stream[].payload.arrays": Kind::Choice(&["rows", "columns"]) => Value("\"rows\""),
        "What an array of arrays holds (json, cbor, msgpack). rows: an array for each sample. \
         columns: an array for each field.";
    "stream[].payload.delimiter": Kind::Choice(&[",", ";", "|", "tab", "space"]) => Value("\",\""),
        "Character between the columns of csv. With another than a comma, `numbers = \"lenient\"` \
         takes decimal commas.";
    "stream[].payload.comment": Kind::Text { max: 1, form: "one character" } => Unset, eg "\"#\"",
        "Lines of csv that start with this character are passed over.";
    "stream[].payload.header": Kind::Int { min: 0, max: 65_536 } => Value("0"),
        "Bytes before the first number that are passed over, in binary formats and in `bytes`.";

    "stream[].payload.bytes.at": FIELD => Unset, eg "\"/data\"",
        "Field with the bytes (json, cbor, msgpack, protobuf), as in the messages of a LoRaWAN \
         server.";
    "stream[].payload.bytes.encoding": Kind::Choice(&["base64", "hex"])
        => Unset, eg "\"base64\"",
        "How a text holds the bytes. Required for json. Without it, the bytes are taken as they \
         are.";
    "stream[].payload.bytes.layout": Kind::Strings {
        max: 4096,
        form: "numbers of a record: \"TYPE NAME\", \"TYPE NAME / 10 - 40\" or \"TYPE skip\"",
    }
        => Unset, eg "[\"u8 skip\", \"i16be t / 10\", \"u16be h\"]",
        "The numbers of a record, in order. TYPE is i8, u8, or i16, u16, i24, u24, i32, u32, i64, \
         u64, f16, f32, f64 followed by le or be for the byte order; from 32 bits on also cdab \
         or badc (see `format`). NAME is a field, or what \
         `time` or `device` names; skip passes a number over, and u8[5] skip five. Up to four \
         steps `*`, `/`, `+` or `-` scale a number. Records repeat until the bytes end, a sample \
         each.";

    "stream[].payload.records.name": FIELD => Unset, eg "\"n\"",
        "Field of a record with its name, which is one of `fields`. Records with other names are \
         ignored.";
    "stream[].payload.records.value": Kind::Names {
        max: 8,
        form: "names, or JSON pointers such as /value/double",
    }
        => Unset, eg "\"v\"",
        "Field of a record with its value. Of several, the first one that a record has is used.";
    "stream[].payload.records.time": FIELD => Unset, eg "\"t\"",
        "Field of a record with its timestamp, if records have one. `time` is the field in the \
         object around them.";

    "stream[].payload.join.by": Kind::Text { max: 64, form: "the name of a capture of the topic" }
        => Unset, eg "\"channel\"",
        "Capture that names the channel, for devices that publish each quantity to a topic of its \
         own: `topic = \"heat/{device}/{channel}\"`. Its values are the names in `fields`, or the \
         channels of the model; others are ignored. The values of a device are joined to samples.";
    "stream[].payload.join.value": FIELD
        => Value("\"value\""),
        "Field with the number, if a message with one channel is an object. A bare number needs \
         none.";
    "stream[].payload.join.hold": duration(MILLISECOND, 365 * DAY) => Value("\"10m\""),
        "How long the last value of a channel is used. A channel with an older value is missing: \
         no sample is made, and health counts it. With a grid, at most 10,000 grid points.";
    "stream[].payload.join.every": Kind::Text {
        max: 32,
        form: "\"any\", \"all\", or a duration such as \"500ms\"",
    }
        => Value("\"any\""),
        "When the values of a device become a sample. any: with each value. all: once each \
         channel has a new value. A duration: on a grid of that step, with the last value of each \
         channel. Samples are made when messages arrive.";
    "stream[].payload.align.grid": duration(MILLISECOND, DAY) => Required, eg "\"100ms\"",
        "Step of a grid in time, instead of `join.every`: samples are made for the multiples of \
         this step since 1970, by the timestamps of the values. A missing sample restarts the \
         window. Without `join.by` and sources, messages are samples, which are resampled.";
    "stream[].payload.align.method": Kind::Choice(&["previous", "linear"]) => Value("\"previous\""),
        "Value of a channel at a grid point. previous: the last one at or before it. linear: \
         interpolated between that one and the next, if they are at most `join.hold` apart.";
    "stream[].payload.align.max_lag": duration(0, DAY) => Value("\"2s\""),
        "How long a grid point waits for channels without a later value, measured by the \
         timestamps. Values that arrive later are rejected as out-of-order. At most 1,000 grid \
         points.";

    "stream[].source[].topic": topic("levels with {captures}, such as sensors/{device}/temperature")
        => Required, eg "\"heat/{device}/temperature\"",
        "Topic of one part of the samples. All sources capture the same names, which identify the \
         device, and `join.by` if the topic names the channel. No topic may match two sources.";
    "stream[].source[].format": FORMAT
        => Derived("`payload.format`"), eg "\"json\"",
        "Format of the messages of this source.";
    "stream[].source[].fields": FIELDS
        => Value("[]"), eg "[\"temperature\"]",
        "Channels that the messages of this source have, by their names in `payload.fields` or in \
         the model.";
    "stream[].source[].time": FIELD
        => Derived("`payload.time`"), eg "\"ts\"",
        "Field with the timestamp, as `payload.time`.";
    "stream[].source[].samples": FIELD
        => Unset, eg "\"/readings\"",
        "Path of the array of samples, as `payload.samples`.";
    "stream[].source[].offset": Kind::Text {
        max: 32,
        form: "a duration of at most a day, or one after a minus sign",
    }
        => Unset, eg "\"-250ms\"",
        "Added to the timestamps of this source, to correct a constant delay.";

    "stream[].publish.topic": topic("a topic; {gateway}, {stream}, {model} and the captures of the \
                                     stream's topic have values; {device} does with payload.device")
        => Derived("predictions/{stream}, a level for each capture, and {device} with \
                    payload.device"), eg "\"predictions/{stream}/{device}\"",
        "Topic to publish predictions to. A capture of several levels is one level as `{name}`, \
         with `%2F` for each slash, and levels as `{name#}` at the end.";
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
    "stream[].drift.on_drift": Kind::Strings { max: 2, form: "\"capture\", \"rollback\"" }
        => Value("[]"),
        "What an alarm does beside its report. capture: the next inputs are captured, within \
         `capture.per_day`; needs a table `[stream.capture]`. rollback: the previous version of \
         the model becomes active if the one in use is on trial, or its trial ended less than \
         `rollback_within` ago; needs `updates.keyset`.";
    "stream[].drift.capture_inputs": Kind::Int { min: 1, max: 1_000_000 }
        => Derived("50, where alarms capture inputs"), eg "50",
        "How many inputs an alarm captures.";
    "stream[].drift.rollback_within": duration(MINUTE, 3650 * DAY)
        => Derived("7d, where alarms roll back"), eg "\"7d\"",
        "How long after the end of its trial a version is rolled back by an alarm.";

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
    "stream[].capture.outside": Kind::Bool => Value("false"),
        "Capture inputs with a value more than 5 % outside of the range of the baseline.";
    "stream[].capture.drift": Kind::Bool => Value("false"),
        "Capture inputs while the stream is in drift.";
    "stream[].capture.per_day": Kind::Int { min: 1, max: 1_000_000 } => Value("100"),
        "Maximum number of inputs captured per day (UTC) by each of `margin`, `disagree`, \
         `reject`, `outside` and `drift`.";
    "stream[].capture.hash_device": Kind::Bool => Value("false"),
        "Store the first 16 hex digits of the SHA-256 digest of the device name instead of the \
         name.";
};
