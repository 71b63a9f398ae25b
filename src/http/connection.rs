//! One connection: requests one after the other, each within its bounds.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use super::access::Access;
use super::head::{self, Head, MAX_HEAD_BYTES};
use super::places::Place;
use super::request::{Method, Request};
use super::response::Response;

/// Bytes of a request's body.
const MAX_BODY_BYTES: usize = 256 << 10;
/// Bytes read at a time.
const READ_BYTES: usize = 4096;
/// Requests on one connection; then the client has to connect again.
const MAX_REQUESTS: usize = 1000;
/// Bytes that are read and thrown away before a connection is closed with an error: a side that
/// closes with unread bytes resets the connection, and the response is lost.
const MAX_DISCARDED_BYTES: usize = 4 << 20;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// To begin a request.
    pub(super) idle: Duration,
    /// To complete the head of a request, from its first byte.
    pub(super) head: Duration,
    /// To complete its body.
    pub(super) body: Duration,
    /// To take the response.
    pub(super) response: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15),
            head: Duration::from_secs(5),
            body: Duration::from_secs(10),
            response: Duration::from_secs(30),
        }
    }
}

/// A connection that is being served.
pub(super) struct Connection<'a, S> {
    stream: S,
    place: &'a Place,
    access: &'a Access,
    times: Times,
    /// What was read and belongs to no request yet.
    buffer: Vec<u8>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    pub(super) fn new(stream: S, place: &'a Place, access: &'a Access, times: Times) -> Self {
        Self { stream, place, access, times, buffer: Vec::new() }
    }

    /// Answers requests until the client closes the connection, is too slow, breaks the protocol,
    /// or has to give way.
    pub(super) async fn serve<H, F>(mut self, handler: &H) -> io::Result<()>
    where
        H: Fn(Request) -> F,
        F: Future<Output = Response>,
    {
        for number in 1..=MAX_REQUESTS {
            self.place.wait();
            let read = tokio::select! {
                read = read_head(&mut self.stream, &mut self.buffer, self.times) => read?,
                () = self.place.given_up() => return Ok(()),
            };
            let head = match read {
                HeadRead::Closed => return Ok(()),
                HeadRead::Refused(response) => return self.refuse(&response, true).await,
                HeadRead::Complete(head) => head,
            };
            let with_body = head.method != "HEAD";
            let method = match self.access.check(&head) {
                Ok(method) => method,
                // Its body is not read, so the next request cannot be found.
                Err(response) => return self.refuse(&response, with_body).await,
            };
            let body = match self.read_body(&head, method).await? {
                Ok(body) => body,
                Err(response) => return self.refuse(&response, with_body).await,
            };
            let keep_alive = head.keep_alive && number < MAX_REQUESTS;
            let Head { path, query, accept, .. } = *head;
            self.place.work();
            let response = handler(Request { method, path, query, accept, body }).await;
            self.write(&response, with_body, keep_alive).await?;
            if !keep_alive {
                break;
            }
        }
        self.stream.shutdown().await
    }

    async fn read_body(
        &mut self,
        head: &Head,
        method: Method,
    ) -> io::Result<Result<Vec<u8>, Response>> {
        let length = head.content_length;
        if method == Method::Get && length > 0 {
            return Ok(Err(Response::text(400, "a GET has no body")));
        }
        if length > MAX_BODY_BYTES {
            let why = format!("a body has at most {MAX_BODY_BYTES} bytes");
            return Ok(Err(Response::text(413, why)));
        }
        let deadline = Instant::now() + self.times.body;
        if head.expects_continue && self.buffer.len() < length {
            let go_on = self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            timeout_at(deadline, go_on).await??;
        }
        while self.buffer.len() < length {
            let read = tokio::select! {
                read = timeout_at(deadline, read_more(&mut self.stream, &mut self.buffer)) => read,
                () = self.place.given_up() => return Err(io::ErrorKind::TimedOut.into()),
            };
            match read {
                Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => _ = read?,
                Err(_) => return Ok(Err(Response::text(408, "the body did not come in time"))),
            }
        }
        let rest = self.buffer.split_off(length);
        Ok(Ok(std::mem::replace(&mut self.buffer, rest)))
    }

    async fn write(&mut self, response: &Response, body: bool, keep_alive: bool) -> io::Result<()> {
        let head = response.head(keep_alive);
        let write = async {
            if body {
                // One segment for a short response.
                self.stream.write_all(&[&head, response.body.as_ref()].concat()).await
            } else {
                self.stream.write_all(&head).await
            }
        };
        timeout(self.times.response, write).await?
    }

    /// Sends an error and closes the connection.
    async fn refuse(mut self, response: &Response, body: bool) -> io::Result<()> {
        self.write(response, body, false).await?;
        self.stream.shutdown().await?;
        self.place.wait();
        tokio::select! {
            discarded = timeout(self.times.head, discard(&mut self.stream)) => discarded?,
            () = self.place.given_up() => Ok(()),
        }
    }
}

/// What came of reading a head.
enum HeadRead {
    Complete(Box<Head>),
    /// The client has closed the connection, or has sent nothing in time.
    Closed,
    Refused(Response),
}

async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    times: Times,
) -> io::Result<HeadRead> {
    let mut searched = 0;
    let wait = if buffer.is_empty() { times.idle } else { times.head };
    let mut deadline = Instant::now() + wait;
    loop {
        // RFC 9112, 2.2: an empty line before a request is ignored.
        let empty = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if empty > 0 && searched == 0 {
            drop(buffer.drain(..empty));
        }
        let end = head::head_length(buffer, searched);
        if let Some(length) = end.filter(|length| *length <= MAX_HEAD_BYTES) {
            let rest = buffer.split_off(length);
            let bytes = std::mem::replace(buffer, rest);
            return Ok(match head::parse(&bytes) {
                Ok(head) => HeadRead::Complete(Box::new(head)),
                Err(response) => HeadRead::Refused(response),
            });
        }
        searched = buffer.len();
        if searched > MAX_HEAD_BYTES || end.is_some() {
            let why = format!("request line and headers have at most {MAX_HEAD_BYTES} bytes");
            return Ok(HeadRead::Refused(Response::text(431, why)));
        }
        match timeout_at(deadline, read_more(stream, buffer)).await {
            Err(_) if searched == 0 => return Ok(HeadRead::Closed),
            Err(_) => {
                let why = "the head of the request did not come in time";
                return Ok(HeadRead::Refused(Response::text(408, why)));
            }
            Ok(read) => {
                if read? == 0 {
                    return Ok(HeadRead::Closed);
                }
                if searched == 0 {
                    deadline = Instant::now() + times.head;
                }
            }
        }
    }
}

/// Reads some bytes behind those in the buffer; 0 at the end.
async fn read_more<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
) -> io::Result<usize> {
    let mut piece = [0; READ_BYTES];
    let read = stream.read(&mut piece).await?;
    buffer.extend_from_slice(piece.get(..read).unwrap_or_default());
    Ok(read)
}

async fn discard<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut piece = [0; READ_BYTES];
    let mut left = MAX_DISCARDED_BYTES;
    while left > 0 {
        match stream.read(&mut piece).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}
