//! A response as bytes.

use bytes::Bytes;

/// In every response. The page loads nothing from elsewhere, is in no frame, and sends no form.
const SECURITY_HEADERS: &str = "Content-Security-Policy: default-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Cache-Control: no-store\r\n";

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
    /// One more header, a line without its end.
    pub(super) header: Option<&'static str>,
}

impl Response {
    /// A response with this status and body.
    #[must_use]
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: body.into(), header: None }
    }

    /// One line of text for people.
    #[must_use]
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.push('\n');
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    /// A JSON document.
    #[must_use]
    pub fn json(status: u16, value: &impl serde::Serialize) -> Self {
        // Plain structs of numbers and text always serialize.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self::new(status, "application/json", body)
    }

    pub(super) fn with_header(self, line: &'static str) -> Self {
        Self { header: Some(line), ..self }
    }

    /// The bytes before the body.
    pub(super) fn head(&self, keep_alive: bool) -> Vec<u8> {
        let Self { status, content_type, .. } = self;
        let mut head = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n",
            reason(*status),
            self.body.len()
        );
        head += SECURITY_HEADERS;
        if let Some(line) = self.header {
            head += line;
            head += "\r\n";
        }
        head += if keep_alive { "\r\n" } else { "Connection: close\r\n\r\n" };
        head.into_bytes()
    }
}

/// The reason phrase of RFC 9110; clients ignore it.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
