//! A server that says what an attacker would: each answer is written by hand.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use inferd::web::{Client, Settings, WebError};

use super::client;
use crate::common::PATIENCE;

/// Listens, reads a request's head and answers it by `script`, connection after connection; the
/// heads come out of the receiver.
fn hostile(script: impl Fn(&mut TcpStream) + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/blob", listener.local_addr().unwrap());
    let (seen, heads) = channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.extend(byte);
            }
            if seen.send(String::from_utf8(head).unwrap()).is_err() {
                return;
            }
            script(&mut stream);
        }
    });
    (url, heads)
}

/// Answers with these bytes and hangs up.
fn answering(bytes: &'static str) -> (String, Receiver<String>) {
    hostile(move |stream| say(stream, bytes.as_bytes()))
}

/// That the client has gone is what some tests are about.
fn say(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap_or(());
}

fn says_for_ever(stream: &mut TcpStream, bytes: &[u8], pause: Duration) {
    while stream.write_all(bytes).is_ok() {
        std::thread::park_timeout(pause);
    }
}

type Script = fn(&mut TcpStream, Duration);

fn refused(answer: &'static str) -> WebError {
    let (url, _heads) = answering(answer);
    client().range(&url, 100, 10).unwrap_err()
}

const PART: &str = "HTTP/1.1 206 P\r\nContent-Range: bytes 100-109/200\r\n";

#[test]
fn a_range_is_asked_for_plainly_and_nothing_is_remembered() {
    let (url, heads) = answering(
        "HTTP/1.1 206 P\r\nContent-Range: bytes 100-109/200\r\nContent-Length: 10\r\n\
         Set-Cookie: a=b\r\nConnection: close\r\n\r\n0123456789",
    );
    let client = client();
    for _ in 0..2 {
        assert_eq!(client.range(&url, 100, 10).unwrap(), b"0123456789");
        let head = heads.recv().unwrap().to_lowercase();
        for line in [
            "get /blob http/1.1\r\n",
            "range: bytes=100-109\r\n",
            "accept-encoding: identity\r\n",
            concat!("user-agent: inferd/", env!("CARGO_PKG_VERSION"), "\r\n"),
        ] {
            assert!(head.contains(line), "{line:?} is missing in {head}");
        }
        assert!(!head.contains("cookie") && !head.contains("authorization"), "{head}");
    }
}

#[test]
fn another_range_than_the_one_asked_for_is_refused() {
    for answer in [
        "HTTP/1.1 206 P\r\nContent-Length: 10\r\n\r\n0123456789",
        "HTTP/1.1 206 P\r\nContent-Range: bytes 0-9/200\r\nContent-Length: 10\r\n\r\n0123456789",
        "HTTP/1.1 206 P\r\nContent-Range: bytes 100-108/200\r\nContent-Length: 9\r\n\r\n012345678",
        "HTTP/1.1 206 P\r\nContent-Range: bytes 100-109/200\r\nContent-Length: 4294967296\r\n\r\n0",
        "HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=a\r\n\r\n--a\r\n\r\n0123",
        "HTTP/1.1 206 P\r\nContent-Range: bytes 100-109/200\r\nContent-Encoding: gzip\r\n\r\n01234",
        "HTTP/1.1 200 OK\r\nContent-Length: 109\r\n\r\n0123456789",
    ] {
        let error = refused(answer);
        assert!(matches!(error, WebError::Range { .. }), "{answer:?}: {error}");
    }
    let error = refused("HTTP/1.1 204 No Content\r\n\r\n");
    assert!(matches!(error, WebError::Status { status: 204, .. }), "{error}");
}

#[test]
fn what_is_no_answer_is_refused() {
    for answer in [
        "",
        "\0\0\0\0\0\0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 206 P\r\nContent-Length: 10\r\nContent-Length: 11\r\n\r\n0123456789",
        "HTTP/1.1 206 P\r\nContent-Range: bytes 100-109/200\r\nTransfer-Encoding: \
         chunked\r\n\r\nXY\r\n",
    ] {
        let error = refused(answer);
        let told = matches!(error, WebError::Unreachable { .. } | WebError::Range { .. });
        assert!(told, "{answer:?}: {error}");
    }
    let (nobody, _heads) = answering("");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let nobody = nobody.rsplit_once(':').unwrap().0.to_owned() + &format!(":{port}/blob");
    let error = client().range(&nobody, 0, 10).unwrap_err();
    assert!(matches!(error, WebError::Unreachable { .. }), "{error}");
}

#[test]
fn a_body_that_ends_early_is_refused() {
    // With a length, without one, and in chunks that stop.
    for rest in [
        "Content-Length: 10\r\n\r\n01234",
        "\r\n01234",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n",
    ] {
        let answer = format!("{PART}{rest}");
        let (url, _heads) = hostile(move |stream| say(stream, answer.as_bytes()));
        let error = client().range(&url, 100, 10).unwrap_err();
        let short = matches!(error, WebError::Short { .. } | WebError::Unreachable { .. });
        assert!(short, "{rest:?}: {error}");
    }
    let error = refused("HTTP/1.1 200 OK\r\n\r\n01234");
    assert!(matches!(error, WebError::Short { found: 5, expected: 100, .. }), "{error}");
}

#[test]
fn a_body_without_end_is_refused_and_one_of_4_gib_is_not_read() {
    let (url, _heads) = hostile(|stream| {
        say(stream, format!("{PART}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
        says_for_ever(stream, b"4\r\n0123\r\n", Duration::ZERO);
    });
    let error = client().range(&url, 100, 10).unwrap_err();
    assert!(matches!(error, WebError::Long { expected: 10, .. }), "{error}");
    let (url, _heads) = hostile(|stream| {
        say(stream, format!("{PART}\r\n").as_bytes());
        says_for_ever(stream, &[7; 4096], Duration::ZERO);
    });
    let error = client().range(&url, 100, 10).unwrap_err();
    assert!(matches!(error, WebError::Long { expected: 10, .. }), "{error}");
    // Of a whole file without end the range is taken, and the connection closed.
    let (told, sent) = channel();
    let (url, _heads) = hostile(move |stream| {
        say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n");
        let mut bytes = 0_usize;
        while stream.write_all(&[7; 4096]).is_ok() {
            bytes += 4096;
        }
        told.send(bytes).unwrap_or(());
    });
    assert_eq!(client().range(&url, 100, 10).unwrap(), [7; 10]);
    let sent = sent.recv_timeout(PATIENCE).unwrap();
    assert!(sent < 64 << 20, "{sent} bytes went out before the connection was closed");
}

fn impatient(more: Settings) -> Client {
    Client::new(Settings { read: Duration::from_millis(300), ..more }).unwrap()
}

#[test]
fn whoever_is_too_slow_is_left() {
    let started = Instant::now();
    let drip = Duration::from_millis(20);
    // Nothing at all; a head without end; a body by the byte; a body that stops.
    let scripts: [(&str, Script); 4] = [
        ("silence", |stream, _| _ = stream.read(&mut [0])),
        ("a slow head", |stream, drip| says_for_ever(stream, b"H", drip)),
        ("a slow body", |stream, drip| {
            say(stream, b"HTTP/1.1 200 OK\r\n\r\n");
            says_for_ever(stream, b"0", drip);
        }),
        ("a body that stops", |stream, _| {
            say(stream, b"HTTP/1.1 200 OK\r\n\r\n01234");
            _ = stream.read(&mut [0]);
        }),
    ];
    for (what, script) in scripts {
        let (url, _heads) = hostile(move |stream| script(stream, drip));
        let error = impatient(Settings::default()).range(&url, 100, 10).unwrap_err();
        let left = matches!(error, WebError::Slow { .. } | WebError::Unreachable { .. });
        assert!(left, "{what}: {error}");
    }
    // Fast enough for the minimum, but not within the deadline.
    let (url, _heads) = hostile(move |stream| {
        say(stream, b"HTTP/1.1 200 OK\r\n\r\n");
        says_for_ever(stream, b"01", drip);
    });
    let deadline = Duration::from_millis(900);
    let settings = Settings { deadline, min_bytes_per_s: 1, ..Settings::default() };
    let error = impatient(settings).range(&url, 1 << 20, 10).unwrap_err();
    assert!(matches!(error, WebError::Slow { .. }), "{error}");
    assert!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
}

#[test]
fn headers_without_end_are_refused() {
    let (url, _heads) = hostile(|stream| {
        say(stream, b"HTTP/1.1 206 P\r\n");
        says_for_ever(stream, b"X-More: 0123456789\r\n", Duration::ZERO);
    });
    let error = client().range(&url, 100, 10).unwrap_err();
    assert!(matches!(error, WebError::Unreachable { .. }), "{error}");
}

#[test]
fn a_busy_server_says_when_to_come_again() {
    for (answer, seconds) in [
        ("HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n", Some(30)),
        (
            "HTTP/1.1 429 Slow down\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n",
            Some(3600),
        ),
        (
            "HTTP/1.1 503 Busy\r\nDate: Sun, 06 Nov 1994 08:49:07 GMT\r\n\
             Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
            Some(30),
        ),
        ("HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", None),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 99999999999\r\n\r\n", None),
    ] {
        let error = refused(answer);
        assert!(matches!(error, WebError::Status { .. }), "{error}");
        assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{error}");
    }
}

#[test]
fn a_redirect_leads_to_https_or_nowhere() {
    for answer in [
        "HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:1/blob\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 F\r\nLocation: /blob\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 301 M\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 N\r\n\r\n",
    ] {
        let error = refused(answer);
        assert!(matches!(error, WebError::Redirect { .. }), "{answer:?}: {error}");
    }
}
