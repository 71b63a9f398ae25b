//! Protocol between local commands and the running daemon: one line of JSON in each direction over a
//! Unix socket, then the connection is closed. Described in `docs/control.md`.

pub mod client;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Digest;

/// The version of this protocol. Answers may get more fields under the same one.
pub const VERSION: u32 = 1;
/// The socket's name in `control.dir`.
pub const SOCKET: &str = "control.sock";
/// The longest request in bytes, its newline counted.
pub const MAX_REQUEST_SIZE: usize = 16 << 10;
/// The largest release that is taken through the socket, in bytes: it is held in memory.
pub const MAX_RELEASE_SIZE: u64 = 128 << 20;
/// The longest answer in bytes.
pub const MAX_RESPONSE_SIZE: usize = 8 << 20;
/// Records that one look at the queue shows at most.
pub const MAX_PEEK_RECORDS: u32 = 1000;

/// A request to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum ControlRequest {
    /// Health, including findings, and models.
    Status,
    /// All installed model versions.
    Models,
    /// Activate an installed version; without a digest, the built-in one.
    Use { model: String, digest: Option<Digest> },
    /// Size of the queue.
    QueueStat,
    /// The oldest queued results on disk, at most `limit`.
    QueuePeek { limit: u32 },
    /// Send queued results without regard to `outbox.drain_rate`.
    QueueDrain,
    /// Install a signed release, whose `bytes` follow the request's line.
    Install { bytes: u64 },
    /// Roll back to the previous version.
    Rollback { model: String },
    /// Remove queued results from disk. Results that are being published are still sent.
    QueuePurge,
    /// The files with captured inputs, after everything in memory is written.
    CaptureList {
        #[serde(default)]
        stream: Option<String>,
        #[serde(default)]
        trigger: Option<String>,
    },
    /// Delete files with captured inputs.
    CapturePurge {
        #[serde(default)]
        stream: Option<String>,
        #[serde(default)]
        trigger: Option<String>,
    },
    /// Capture the next inputs of a stream.
    CaptureNow { stream: String, count: u32 },
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    v: u32,
    #[serde(flatten)]
    ask: ControlRequest,
}

/// The response, one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    Ok(Value),
    Refused(ErrorResponse),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ErrorResponse {
    pub code: ErrorCode,
    /// For people: what failed, where, and what to do.
    pub message: String,
}

/// Machine-readable error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Not a request of this protocol.
    BadRequest,
    /// A request of another version.
    Version,
    /// Too many requests at once, or the store does not keep up.
    Busy,
    /// The store is closed or failed.
    Store,
    /// Unknown model, or a version that is not installed or cannot be activated.
    Model,
    /// There is no connection to the broker.
    NoBroker,
    /// Updates are disabled.
    NoUpdates,
    /// The daemon is stopping.
    Stopping,
}

impl ErrorResponse {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The line for a request.
#[must_use]
pub fn request_line(ask: ControlRequest) -> Vec<u8> {
    line(&Envelope { v: VERSION, ask })
}

/// The line of a response. One that is too long is replaced by an error.
#[must_use]
pub fn response_line(answer: &Response) -> Vec<u8> {
    let bytes = line(answer);
    if bytes.len() <= MAX_RESPONSE_SIZE {
        return bytes;
    }
    let why = format!("the response would have {} bytes; request less", bytes.len());
    line(&Response::Refused(ErrorResponse::new(ErrorCode::BadRequest, why)))
}

/// Plain structs of numbers and text always serialize; an empty line would say otherwise.
fn line(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Parses a request from untrusted bytes.
///
/// # Errors
/// Anything but one whole line of this protocol's version.
pub fn parse_request(bytes: &[u8]) -> Result<ControlRequest, ErrorResponse> {
    let bad = |why: String| ErrorResponse::new(ErrorCode::BadRequest, why);
    if bytes.len() > MAX_REQUEST_SIZE {
        return Err(bad(format!("a request has at most {MAX_REQUEST_SIZE} bytes")));
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
            "the request has protocol version {}, the daemon supports {VERSION}: use the inferd \
             command of the same release",
            versioned.v
        );
        return Err(ErrorResponse::new(ErrorCode::Version, why));
    }
    let request: Envelope = serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
    Ok(request.ask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_reads_back() {
        for ask in [
            ControlRequest::Status,
            ControlRequest::QueuePeek { limit: 3 },
            ControlRequest::Install { bytes: 9 },
            ControlRequest::QueuePurge,
        ] {
            assert_eq!(parse_request(&request_line(ask.clone())), Ok(ask));
        }
        assert_eq!(
            parse_request(b"{\"ask\":\"queue-stat\",\"v\":1}\n"),
            Ok(ControlRequest::QueueStat)
        );
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_reason() {
        let code = |bytes: &[u8]| parse_request(bytes).unwrap_err().code;
        assert_eq!(code(b"{\"v\":2,\"ask\":\"status\"}\n"), ErrorCode::Version);
        assert_eq!(code(b"{\"v\":2,\"something\":\"new\"}\n"), ErrorCode::Version);
        let long = [b" ".repeat(MAX_REQUEST_SIZE), b"\n".to_vec()].concat();
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
            assert_eq!(code(bad), ErrorCode::BadRequest, "{bad:?}");
        }
        let deep = format!("{{\"v\":1,\"ask\":\"status\",\"x\":{}}}\n", "[".repeat(15_000));
        assert_eq!(code(deep.as_bytes()), ErrorCode::BadRequest, "nesting has an end");
    }

    #[test]
    fn an_answer_that_is_too_long_is_refused_not_cut() {
        let line = response_line(&Response::Ok(Value::String("x".repeat(MAX_RESPONSE_SIZE))));
        let answer: Response = serde_json::from_slice(&line).unwrap();
        assert!(matches!(
            answer,
            Response::Refused(ErrorResponse { code: ErrorCode::BadRequest, .. })
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn no_bytes_bring_the_parser_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse_request(&bytes));
            drop(parse_request(&[b"{\"v\":1,\"ask\":".as_slice(), &bytes, b"}\n"].concat()));
        }
    }
}
