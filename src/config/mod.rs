//! The configuration of the gateway, typed and validated. Properties of a model are in its card.

mod binary;
mod cli_args;
mod descriptors;
pub mod docs;
mod identity;
mod join;
mod kinds;
mod load;
mod monitoring;
pub mod origin;
mod payload;
pub mod problem;
pub mod profile;
mod reading;
pub mod reference;
pub mod schema;
mod secret_files;
pub mod section;
mod stream_options;
mod tables;
#[cfg(test)]
mod tests;
mod topic;
pub mod tree;
mod units;
mod unknown;
mod validate;
mod validate_join;
mod validate_payload;
mod validate_reading;
mod validate_stream;
mod value;

use std::path::PathBuf;
use std::time::Duration;

pub use binary::{
    BinaryNumber, ByteOrder, Bytes, BytesEncoding, LayoutItem, NumberKind, ScalingStep,
};
pub use cli_args::{parse_duration, parse_size};
pub use identity::Containment;
pub use join::{AlignMethod, Grid, Join, JoinEvery, Source};
pub use load::{ConfigError, Environment};
pub use monitoring::{Capture, CaptureFiles, Drift, Labels, Upload};
pub use payload::{Format, Payload, Protobuf, Records};
pub use reading::{
    ArrayOrder, Compression, CsvDialect, DeviceClock, Missing, MissingRules, NumberForm, Reading,
    SampleInterval, TimeReading, TimeUnit,
};
pub use secret_files::secret_access;
pub use topic::TopicError;

use crate::ids::{GatewayId, ModelName, StreamName};

/// The configuration of the daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub broker: Broker,
    pub gateway: Gateway,
    pub models: Models,
    pub store: Store,
    pub outbox: Outbox,
    pub workers: Workers,
    pub updates: Updates,
    pub report: Report,
    pub control: Control,
    pub http: Http,
    pub capture: CaptureFiles,
    /// In the order of the file; a stream's place here is its number everywhere else.
    pub streams: Vec<Stream>,
    /// Why the default of `gateway.id` is a bad identity.
    pub identity_warning: Option<String>,
    /// Warnings found when the files were read, a sentence each.
    pub notes: Vec<String>,
}

/// `[broker]`
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    /// `None` for `mqtt://`.
    pub tls: Option<Tls>,
    pub client_id: String,
    pub login: Option<Login>,
    pub keep_alive: Duration,
    pub connect_timeout: Duration,
    /// How long the broker keeps our session, and the QoS 1 inputs in it, while we are away.
    pub session_expiry: Duration,
    /// Unacknowledged QoS 1 inputs the broker may send us; the rest waits there.
    pub receive_maximum: u16,
    /// Maximum number of unacknowledged publishes.
    pub in_flight: u16,
    /// Bytes; announced to the broker, and the bound on what we send.
    pub max_packet: u32,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
}

/// `[broker.tls]`; present for `mqtts://`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// PEM; `None` trusts the system's roots.
    pub ca_file: Option<PathBuf>,
    pub client_cert_file: Option<PathBuf>,
    pub client_key_file: Option<PathBuf>,
}

/// A user, and where the password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub password: Password,
}

/// Where a password is. It is read at each attempt to connect and kept nowhere, so no output of a
/// configuration can show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// The user name alone is sent: brokers that take tokens want that.
    None,
    /// On the first line of this file.
    File(PathBuf),
    /// In the environment variable of this name.
    Env(String),
    /// Typed on a terminal. The daemon never has one.
    Typed(Typed),
}

/// A password that somebody typed; no output shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Typed(pub String);

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed")
    }
}

/// `[gateway]`
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    pub id: GatewayId,
    pub groups: Vec<String>,
    /// Before every topic of the daemon itself; `inferd/v1` unless changed.
    pub prefix: String,
}

/// `[models]`
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    /// Built-in bundles: a folder `NAME/` or a file `NAME.bundle` each.
    pub dir: PathBuf,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    pub dir: PathBuf,
    /// Bytes on disk for waiting results, all of the database counted.
    pub max_bytes: u64,
    pub max_records: u64,
    /// Bytes of the file system that stay free whatever happens.
    pub reserve_bytes: u64,
    /// A group is written when it holds this many results …
    pub group_records: usize,
    /// … or its oldest has waited this long.
    pub group_delay: Duration,
    /// How often the partial windows of `checkpoint` streams are saved.
    pub checkpoint_interval: Duration,
}

/// `[outbox]`
#[derive(Clone, Debug, PartialEq)]
pub struct Outbox {
    /// Unacknowledged results kept in memory before they go to disk.
    pub memory_records: usize,
    /// Results a second taken from the backlog; 0 = as fast as the broker takes them.
    pub drain_rate: u32,
    /// Strictly in order: nothing live passes the backlog.
    pub in_order: bool,
}

/// `[workers]`
#[derive(Clone, Debug, PartialEq)]
pub struct Workers {
    /// 0 = one a core.
    pub threads: usize,
    /// Samples that may wait before each worker.
    pub queue: usize,
    /// A stop has this long to drain and save; below the service's `TimeoutStopSec`.
    pub stop_deadline: Duration,
}

/// `[updates]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updates {
    /// The provisioned keyset; `None` turns updates off.
    pub keyset: Option<PathBuf>,
    /// 0 is no limit.
    pub max_bytes_per_s: u64,
    /// Authorities of web servers beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Bytes that the probe of a candidate may take.
    pub probe_memory: u64,
    pub probe_time: Duration,
}

/// `[report]`
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub health_interval: Duration,
    /// Samples of rejected inputs published a minute, over all streams.
    pub rejects_per_minute: u32,
}

/// `[control]`
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// Where the control socket is made.
    pub dir: PathBuf,
}

/// `[http]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// `None` turns the server off.
    pub listen: Option<std::net::SocketAddr>,
    /// The file with the token that requests must show.
    pub token_file: Option<PathBuf>,
    /// Host names of the server, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// `[[stream]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub name: StreamName,
    pub model: ModelName,
    pub topic: TopicPattern,
    /// The group of gateways that share the messages, each of which one of them receives.
    pub share: Option<String>,
    pub qos: crate::message::Qos,
    pub payload: Payload,
    /// Set if a message has the value of one channel rather than a sample.
    pub join: Option<Join>,
    pub guarantee: Guarantee,
    pub windows: WindowSafety,
    pub retained: RetainedInput,
    pub max_age: Option<Duration>,
    /// A time stamp further ahead of our clock than this is rejected.
    pub max_ahead: Duration,
    pub max_keys: usize,
    /// A device silent for this long is forgotten.
    pub key_ttl: Duration,
    /// Bytes.
    pub max_payload: usize,
    /// The higher, the later it is evicted from a full store.
    pub priority: u8,
    pub publish: Publish,
    pub drift: Drift,
    /// `None`: no labels are expected.
    pub labels: Option<Labels>,
    /// `None`: nothing is captured.
    pub capture: Option<Capture>,
    /// Clients of the HTTP server may run the model.
    pub infer: bool,
}

/// What is promised for a stream's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    BestEffort,
    AtLeastOnce,
}

/// What a crash may cost of the partial windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSafety {
    Memory,
    Checkpoint,
    Journal,
}

/// How retained messages, whose age is unknown, are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainedInput {
    Ignore,
    /// They count like any other.
    Take,
    /// They count, and their predictions say that they do.
    Mark,
}

/// `[stream.publish]`
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    pub topic: TopicTemplate,
    pub qos: crate::message::Qos,
    pub retain: bool,
    pub encoding: Encoding,
    pub when: When,
    /// Below this score nothing is published.
    pub min_score: Option<f32>,
    /// With `min_score`: once above it, results go on being published until below this.
    pub leave_score: Option<f32>,
    /// A label counts once it has been seen this many times in a row.
    pub consecutive: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Cbor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Every,
    Change,
}

/// A topic to subscribe to, with captures: `sensors/{device}/imu`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPattern {
    pub levels: Vec<Level>,
}

/// A topic to publish to: `predictions/{stream}/{device}`. Known names: `gateway`, `stream`,
/// `model`, and every capture of the stream's own topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate {
    pub levels: Vec<Level>,
}

/// One level of a topic, or all levels from its place on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    Literal(String),
    /// `{name}`: a level.
    Capture(String),
    /// `shelly-{name}`: what is between two texts in a level, at least one character.
    Part {
        before: String,
        name: String,
        after: String,
    },
    /// `{name#}`, the last one: all levels from its place on, at least one.
    Rest(String),
}
