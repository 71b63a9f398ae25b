//! What the local commands and the running daemon say to each other: one line of JSON each way over
//! a Unix socket, then the connection is closed. Described in `docs/control.md`.

pub mod client;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Digest;

/// The version of this protocol. Answers may get more fields under the same one.
pub const VERSION: u32 = 1;
/// The socket's name in `control.dir`.
pub const SOCKET: &str = "control.sock";
/// The longest request in bytes, its newline counted.
pub const REQUEST_MAX: usize = 16 << 10;
/// The largest release that is taken through the socket, in bytes: it is held in memory.
pub const RELEASE_MAX: u64 = 128 << 20;
/// The longest answer in bytes.
pub const ANSWER_MAX: usize = 8 << 20;
/// Records that one look at the queue shows at most.
pub const PEEK_MAX: u32 = 1000;

/// What is asked of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// Health, models, and what is wrong.
    Status,
    /// Every model version here.
    Models,
    /// Have a version that is here serve from now on; without a digest, the shipped one.
    Use { model: String, digest: Option<Digest> },
    /// How much waits for the broker.
    QueueStat,
    /// The oldest results that wait on disk, `limit` of them at most.
    QueuePeek { limit: u32 },
    /// Send what waits as fast as the broker takes it, whatever `outbox.drain_rate` says.
    QueueDrain,
    /// Install a signed release, whose `bytes` follow the request's line.
    Install { bytes: u64 },
    /// Take the version before the active one back.
    Rollback { model: String },
    /// Remove what waits on disk. What is on its way to the broker is still sent.
    QueuePurge,
}

#[derive(Serialize, Deserialize)]
struct Request {
    v: u32,
    #[serde(flatten)]
    ask: Ask,
}

/// The one line that answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Ok(Value),
    Refused(Refused),
}

/// Why the daemon does not do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub code: Code,
    /// For people: what, where, and what to do.
    pub message: String,
}

/// Reasons that programs can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Not a request of this protocol.
    BadRequest,
    /// A request of another version.
    Version,
    /// Too many ask at once, or the store does not keep up.
    Busy,
    /// The store is closed or failed.
    Store,
    /// No such model, or a version that is not here or cannot serve.
    Model,
    /// The broker is away.
    NoBroker,
    /// Updates are off.
    NoUpdates,
    /// The daemon is stopping.
    Stopping,
}

impl Refused {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The line for a request.
#[must_use]
pub fn request_line(ask: Ask) -> Vec<u8> {
    line(&Request { v: VERSION, ask })
}

/// The line for an answer; one that is too long is refused in its place.
#[must_use]
pub fn answer_line(answer: &Answer) -> Vec<u8> {
    let bytes = line(answer);
    if bytes.len() <= ANSWER_MAX {
        return bytes;
    }
    let why = format!("the answer would have {} bytes; ask for less", bytes.len());
    line(&Answer::Refused(Refused::new(Code::BadRequest, why)))
}

/// Plain structs of numbers and text always serialize; an empty line would say otherwise.
fn line(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a request from a stranger's bytes.
///
/// # Errors
/// Anything but one whole line of this protocol's version.
pub fn parse_request(bytes: &[u8]) -> Result<Ask, Refused> {
    let bad = |why: String| Refused::new(Code::BadRequest, why);
    if bytes.len() > REQUEST_MAX {
        return Err(bad(format!("a request has at most {REQUEST_MAX} bytes")));
    }
    let line = bytes.strip_suffix(b"\n");
    let line = line.ok_or_else(|| bad("a request ends with a newline".into()))?;
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    let versioned: Versioned = serde_json::from_slice(line)
        .map_err(|error| bad(format!("a request is {{\"v\":{VERSION},\"ask\":…}}: {error}")))?;
    if versioned.v != VERSION {
        let why = format!(
            "version {} was asked for and this daemon speaks {VERSION}: use the inferd it came with",
            versioned.v
        );
        return Err(Refused::new(Code::Version, why));
    }
    let request: Request = serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
    Ok(request.ask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_reads_back() {
        for ask in
            [Ask::Status, Ask::QueuePeek { limit: 3 }, Ask::Install { bytes: 9 }, Ask::QueuePurge]
        {
            assert_eq!(parse_request(&request_line(ask.clone())), Ok(ask));
        }
        assert_eq!(parse_request(b"{\"ask\":\"queue-stat\",\"v\":1}\n"), Ok(Ask::QueueStat));
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_reason() {
        let code = |bytes: &[u8]| parse_request(bytes).unwrap_err().code;
        assert_eq!(code(b"{\"v\":2,\"ask\":\"status\"}\n"), Code::Version);
        assert_eq!(code(b"{\"v\":2,\"something\":\"new\"}\n"), Code::Version);
        let long = [b" ".repeat(REQUEST_MAX), b"\n".to_vec()].concat();
        for bad in [
            &b""[..],
            b"\n",
            b"{\"v\":1,\"ask\":\"status\"}",
            b"{\"v\":1,\"ask\":\"rm\"}\n",
            b"{\"v\":1,\"ask\":\"queue-peek\",\"limit\":-1}\n",
            b"{\"v\":1,\"ask\":\"queue-peek\"}\n",
            b"GET / HTTP/1.1\r\n",
            b"\xff\xfe\n",
            &long,
        ] {
            assert_eq!(code(bad), Code::BadRequest, "{bad:?}");
        }
        let deep = format!("{{\"v\":1,\"ask\":\"status\",\"x\":{}}}\n", "[".repeat(15_000));
        assert_eq!(code(deep.as_bytes()), Code::BadRequest, "nesting has an end");
    }

    #[test]
    fn an_answer_that_is_too_long_is_refused_not_cut() {
        let line = answer_line(&Answer::Ok(Value::String("x".repeat(ANSWER_MAX))));
        let answer: Answer = serde_json::from_slice(&line).unwrap();
        assert!(matches!(answer, Answer::Refused(Refused { code: Code::BadRequest, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_bring_the_parser_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse_request(&bytes));
            drop(parse_request(&[b"{\"v\":1,\"ask\":".as_slice(), &bytes, b"}\n"].concat()));
        }
    }
}
