//! Requests on a connection in memory.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::access::{Access, Token};
use super::connection::{Connection, Times};
use super::places::Places;
use super::request::{Method, Request};
use super::response::Response;

const TOKEN: &str = "correct-horse-battery";

fn times() -> Times {
    let long = Duration::from_secs(20);
    let short = Duration::from_millis(30);
    Times { idle: short, head: short, body: short, response: long }
}

/// What the server sends for these bytes.
async fn answer(access: &Access, bytes: &[u8]) -> String {
    let (mut client, server) = duplex(1 << 20);
    let places = Places::new(4);
    let place = places.take().unwrap();
    let echo = |request: Request| {
        let Request { method, path, query, body, .. } = request;
        let text = format!("{method:?} {path} {query} {}", body.len());
        std::future::ready(Response::text(200, text))
    };
    let serve = Connection::new(server, &place, access, times()).serve(&echo);
    let ask = async {
        // The server may close before it has read everything.
        client.write_all(bytes).await.ok();
        client.shutdown().await.ok();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.ok();
        answer
    };
    let (_, answer) = tokio::join!(serve, ask);
    String::from_utf8(answer).unwrap()
}

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:9617\r\n{headers}\r\n").into_bytes()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn with_token() -> Access {
    Access { token: Some(Token::of(TOKEN)), hosts: vec!["gw-17.example".into()] }
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let two = [get("/a?x=1", ""), get("/b", "Connection: close\r\n"), get("/c", "")].concat();
    let answer = answer(&Access::default(), &two).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answer}");
    let (a, b) = (answer.find("Get /a x=1 0").unwrap(), answer.find("Get /b  0").unwrap());
    assert!(a < b && !answer.contains("/c"), "{answer}");
    assert!(answer.contains("X-Content-Type-Options: nosniff\r\n"), "{answer}");
    assert!(answer.contains("default-src 'self'"), "{answer}");
    assert!(!answer.contains("Access-Control"), "{answer}");
}

#[tokio::test]
async fn a_head_request_has_the_length_and_no_body() {
    let bytes = b"HEAD /a HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let answer = answer(&Access::default(), bytes).await;
    assert!(answer.contains("Content-Length: 10\r\n"), "{answer}");
    assert!(answer.ends_with("Connection: close\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let long = "x".repeat(20_000);
    let rows: [(Vec<u8>, u16); 16] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/2.0\r\n\r\n".to_vec(), 505),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 421),
        (b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_vec(), 400),
        (get("/", "Host: 127.0.0.1\r\n"), 400),
        (get("/", "Transfer-Encoding: chunked\r\n"), 501),
        (get("/", "Content-Length: 5\r\n"), 400),
        (get("/", "Content-Length: +5\r\n"), 400),
        (get("/", "Content-Length: 0\r\nContent-Length: 0\r\n"), 400),
        (get("/", &"A: b\r\n".repeat(80)), 431),
        (get("/", &format!("A: {long}\r\n")), 431),
        (get(&format!("/{}", &long[..3000]), ""), 414),
        (get("/", "Accept: \u{fffd}\r\n"), 200),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: \xff\r\n\r\n".to_vec(), 400),
        (b"DELETE / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_vec(), 405),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_vec(), 403),
    ];
    for (bytes, code) in rows {
        let answer = answer(&Access::default(), &bytes).await;
        let shown = String::from_utf8_lossy(&bytes).chars().take(80).collect::<String>();
        assert_eq!(status(&answer), code, "{shown}: {answer}");
        assert_eq!(answer.contains("Connection: close"), code != 200, "{answer}");
    }
}

#[tokio::test]
async fn only_known_hosts_and_the_own_origin_are_answered() {
    let rows = [
        ("127.0.0.1:9617", "", 200),
        ("127.0.0.1", "http://127.0.0.1", 200),
        ("[::1]:9617", "http://[::1]:9617", 200),
        ("LOCALHOST:9617", "", 200),
        ("gw-17.example", "http://gw-17.example", 200),
        ("evil.example", "", 421),
        ("127.0.0.1.evil.example", "", 421),
        ("127.0.0.1:9617", "http://evil.example", 403),
        ("127.0.0.1:9617", "http://127.0.0.1:80", 403),
        ("127.0.0.1:9617", "null", 403),
        ("", "", 421),
        ("127.0.0.1:x", "", 421),
    ];
    let access = Access { hosts: vec!["gw-17.example".into()], ..Access::default() };
    for (host, origin, code) in rows {
        let origin =
            if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
        let answer = answer(&access, bytes.as_bytes()).await;
        assert_eq!(status(&answer), code, "{host} {origin}: {answer}");
    }
}

#[tokio::test]
async fn a_token_opens_and_nothing_else_does() {
    use base64ct::{Base64, Encoding as _};
    let basic = |password: &str| Base64::encode_string(format!("me:{password}").as_bytes());
    let rows = [
        (String::new(), 401),
        (format!("Authorization: Bearer {TOKEN}\r\n"), 200),
        (format!("Authorization: Bearer {TOKEN}x\r\n"), 401),
        ("Authorization: Bearer\r\n".to_owned(), 401),
        (format!("Authorization: Digest {TOKEN}\r\n"), 401),
        (format!("Authorization: Basic {}\r\n", basic(TOKEN)), 200),
        (format!("Authorization: Basic {}\r\n", basic("wrong")), 401),
        ("Authorization: Basic !!!\r\n".to_owned(), 401),
    ];
    for (header, code) in rows {
        let answer = answer(&with_token(), &get("/metrics", &header)).await;
        assert_eq!(status(&answer), code, "{header}: {answer}");
        assert_eq!(answer.contains("WWW-Authenticate: Basic"), code == 401, "{answer}");
    }
    assert_eq!(status(&answer(&with_token(), &get("/livez", "")).await), 200);
}

#[tokio::test]
async fn a_change_needs_the_token_and_the_same_site() {
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let post = |headers: &str| {
        format!(
            "POST /api/try HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n{headers}\r\nhello"
        )
    };
    let rows = [
        (bearer.clone(), 200),
        (format!("{bearer}Origin: http://localhost\r\n"), 200),
        (format!("{bearer}Sec-Fetch-Site: same-origin\r\n"), 200),
        (format!("{bearer}Sec-Fetch-Site: cross-site\r\n"), 403),
        (format!("{bearer}Origin: http://evil.example\r\n"), 403),
        (String::new(), 401),
    ];
    for (headers, code) in rows {
        let answer = answer(&with_token(), post(&headers).as_bytes()).await;
        assert_eq!(status(&answer), code, "{headers}: {answer}");
        assert_eq!(answer.contains("Post /api/try  5"), code == 200, "{answer}");
    }
    let large =
        format!("POST / HTTP/1.1\r\nHost: localhost\r\n{bearer}Content-Length: 9999999999\r\n\r\n");
    assert_eq!(status(&answer(&with_token(), large.as_bytes()).await), 413);
    let continued = post(&format!("{bearer}Expect: 100-continue\r\n"));
    let (head, body) = continued.split_at(continued.len() - 5);
    let answer = answer(&with_token(), &[head, body].concat().into_bytes()).await;
    assert!(answer.contains("Post /api/try  5"), "{answer}");
}

/// A client that never ends its request is closed in its time.
#[tokio::test]
async fn a_slow_client_is_closed() {
    for (bytes, code) in
        [(&b""[..], 0), (b"GET / HTT", 408), (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: ", 408)]
    {
        let (mut client, server) = duplex(1 << 16);
        let (places, access) = (Places::new(4), Access::default());
        let place = places.take().unwrap();
        let handler = |_| std::future::ready(Response::text(200, "ok"));
        let serve = Connection::new(server, &place, &access, times()).serve(&handler);
        let ask = async {
            client.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            drop(client);
            String::from_utf8(answer).unwrap()
        };
        let (_, answer) = tokio::join!(serve, ask);
        assert_eq!(status(&answer), code, "{answer}");
    }
}

#[test]
fn a_token_file_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    assert!(Token::read(&path).is_err());
    for (text, good) in [
        ("short\n", false),
        ("0123456789abcdef\n", true),
        ("0123456789abcdef", true),
        ("0123456789 abcdef\n", false),
        (&"x".repeat(2000), false),
        (&"x".repeat(5000), false),
    ] {
        std::fs::write(&path, text).unwrap();
        let read = Token::read(&path);
        assert_eq!(read.is_ok(), good, "{text:?}");
        let told = read.map_or_else(|error| error.to_string(), |token| format!("{token:?}"));
        assert!(!told.contains(text.trim()), "{told}");
    }
}

/// Pieces of requests, and arbitrary bytes.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "GET ",
        "POST ",
        "/",
        "/v2/models/",
        " HTTP/1.1",
        "\r\n",
        "\n",
        "\r",
        "Host: localhost",
        "Content-Length: ",
        "3",
        "99999999999999999999",
        "Transfer-Encoding: chunked",
        ": ",
        "?a=%",
        "Expect: 100-continue",
        "Authorization: Basic ",
        "Connection: close",
        "\0",
        " ",
    ];
    let word = prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec());
    prop_oneof![4 => word, 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 400, ..ProptestConfig::default()
    })]

    /// Whatever comes, the server answers with whole responses or closes, and the handler sees only
    /// requests that passed the checks.
    #[test]
    fn no_bytes_bring_the_server_down(pieces in prop::collection::vec(piece(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let bytes = pieces.concat();
        let answer = runtime.block_on(answer(&Access::default(), &bytes));
        prop_assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 "), "{}", answer);
        prop_assert!(!answer.contains("Post "), "no token is set: {}", answer);
    }

    #[test]
    fn a_head_in_pieces_is_the_same_head(cuts in prop::collection::vec(1..40_usize, 0..8)) {
        let bytes = get("/v2/models/motion?x=1", "Accept: text/plain\r\n");
        let (mut searched, mut end) = (0, 0);
        let mut found = None;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            end = (end + cut).min(bytes.len());
            found = found.or_else(|| super::head::head_length(&bytes[..end], searched));
            searched = end;
        }
        prop_assert_eq!(found, Some(bytes.len()));
        let head = super::head::parse(&bytes).unwrap();
        prop_assert_eq!((head.path.as_str(), head.query.as_str()), ("/v2/models/motion", "x=1"));
        prop_assert_eq!(Access::default().check(&head).unwrap(), Method::Get);
    }
}
