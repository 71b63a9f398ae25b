//! The head of a request: request line and headers. The only file that names `httparse`.

use httparse::{EMPTY_HEADER, Error, Status};

use super::response::Response;

/// Bytes of request line and headers.
pub(super) const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// Bytes of path and query.
const MAX_TARGET_BYTES: usize = 2048;

/// The parts of a head that are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// As it was sent: `GET`.
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) accept: String,
    pub(super) host: Option<String>,
    pub(super) origin: Option<String>,
    /// `Sec-Fetch-Site`, by which browsers say from where a request comes.
    pub(super) fetch_site: Option<String>,
    pub(super) authorization: Option<String>,
    /// Bytes of the body; 0 without the header.
    pub(super) content_length: usize,
    pub(super) keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
}

/// The length of the head that `bytes` begin with; `None` if its end is not there yet. `searched`:
/// how many bytes had no end at the last call.
pub(super) fn head_length(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(3);
    let ends = bytes.iter().enumerate().skip(from).filter(|(_, byte)| **byte == b'\n');
    for (at, _) in ends {
        match bytes.get(at + 1..)? {
            [b'\n', ..] => return Some(at + 2),
            [b'\r', b'\n', ..] => return Some(at + 3),
            _ => {}
        }
    }
    None
}

/// Parses a complete head.
///
/// # Errors
/// The response to what is no request of HTTP/1, or is out of bounds. The connection ends with it:
/// where its next request begins is unknown.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, Response> {
    let bad = |why: &str| Response::text(400, why);
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(bad("the head of the request is incomplete")),
        Err(Error::TooManyHeaders) => {
            return Err(Response::text(431, format!("at most {MAX_HEADERS} headers are allowed")));
        }
        Err(Error::Version) => return Err(Response::text(505, "HTTP/1.1 is expected")),
        Err(error) => return Err(bad(&format!("this is no HTTP request: {error}"))),
    }
    let target = request.path.unwrap_or_default();
    if target.len() > MAX_TARGET_BYTES {
        let why = format!("path and query have at most {MAX_TARGET_BYTES} bytes");
        return Err(Response::text(414, why));
    }
    if !target.starts_with('/') {
        return Err(bad("the target of a request is a path"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        keep_alive: request.version == Some(1),
        ..Head::default()
    };
    let mut has_length = false;
    for header in request.headers.iter() {
        let text = || std::str::from_utf8(header.value).map(str::to_owned);
        let value = text().map_err(|_| bad("a header is no UTF-8"))?;
        let value = value.trim();
        let name = header.name.to_ascii_lowercase();
        match name.as_str() {
            "host" => once(&mut head.host, value)?,
            "origin" => once(&mut head.origin, value)?,
            "authorization" => once(&mut head.authorization, value)?,
            "sec-fetch-site" => once(&mut head.fetch_site, value)?,
            "accept" => value.clone_into(&mut head.accept),
            "transfer-encoding" => {
                return Err(Response::text(501, "send the body with Content-Length"));
            }
            "content-length" => {
                let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                let length = value.parse().ok().filter(|_| digits && !has_length);
                head.content_length = length.ok_or_else(|| bad("Content-Length is invalid"))?;
                has_length = true;
            }
            "connection" => {
                let mut options = value.split(',').map(str::trim);
                if options.any(|option| option.eq_ignore_ascii_case("close")) {
                    head.keep_alive = false;
                }
            }
            "expect" => head.expects_continue = value.eq_ignore_ascii_case("100-continue"),
            _ => {}
        }
    }
    Ok(head)
}

/// A second header of that name would be read differently by different programs.
fn once(place: &mut Option<String>, value: &str) -> Result<(), Response> {
    match place.replace(value.to_owned()) {
        None => Ok(()),
        Some(_) => Err(Response::text(400, "a header is there twice")),
    }
}
