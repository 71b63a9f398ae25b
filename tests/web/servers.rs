//! Static servers by somebody else: nginx, which honours ranges, and Python's, which ignores them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use inferd::web::{Client, Settings, WebError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::{blob, client};
use crate::common::{PATIENCE, skipped};

struct Server {
    dir: TempDir,
    child: Child,
    plain: u16,
    secure: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Server {
    fn plain(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.plain)
    }

    fn secure(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.secure)
    }

    /// A client that trusts the server's authority beside the system's.
    fn trusting(&self) -> Client {
        let ca_file = Some(self.dir.path().join("ca.pem"));
        Client::new(Settings { ca_file, ..Settings::default() }).unwrap()
    }
}

fn free_ports() -> (u16, u16) {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (one, other) = (free(), free());
    (one.local_addr().unwrap().port(), other.local_addr().unwrap().port())
}

fn started(dir: TempDir, mut command: Command, plain: u16, secure: u16) -> Server {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut server = Server { dir, child, plain, secure };
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, plain)).is_err() {
        assert_eq!(server.child.try_wait().unwrap(), None, "the server ended");
        assert!(Instant::now() < until, "the server does not listen");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    server
}

fn certificates(dir: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &authority).unwrap();
    fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    fs::write(dir.join("server.pem"), server.pem()).unwrap();
    fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
}

fn nginx() -> Option<Server> {
    let program = Path::new("/usr/sbin/nginx");
    if !program.exists() {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    fs::write(dir.path().join("blob"), blob()).unwrap();
    let (plain, secure) = free_ports();
    let at = dir.path().display();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/errors;
         events {{}}
         http {{
           access_log off; root {at}; client_body_temp_path {at}/1; proxy_temp_path {at}/2;
           fastcgi_temp_path {at}/3; uwsgi_temp_path {at}/4; scgi_temp_path {at}/5;
           server {{
             listen 127.0.0.1:{plain};
             location = /busy {{ add_header Retry-After 17 always; return 503; }}
             location = /moved {{ return 301 https://localhost:{secure}/blob; }}
             location = /plainly {{ return 302 http://127.0.0.1:{plain}/blob; }}
           }}
           server {{
             listen 127.0.0.1:{secure} ssl;
             ssl_certificate {at}/server.pem; ssl_certificate_key {at}/server.key;
             location = /hop {{ return 307 /blob; }}
             location = /loop {{ return 302 /loop; }}
             location = /down {{ return 302 http://127.0.0.1:{plain}/blob; }}
           }}
         }}"
    );
    fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new(program);
    command.arg("-c").arg(dir.path().join("nginx.conf"));
    command.arg("-e").arg(dir.path().join("errors"));
    Some(started(dir, command, plain, secure))
}

fn python() -> Option<Server> {
    let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    Command::new(&python).arg("--version").stdout(Stdio::null()).status().ok()?;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("blob"), blob()).unwrap();
    let (plain, secure) = free_ports();
    let mut command = Command::new(python);
    command.args(["-m", "http.server", &plain.to_string(), "--bind", "127.0.0.1", "--directory"]);
    command.arg(dir.path());
    Some(started(dir, command, plain, secure))
}

/// The first chunk, one in between, the last, and one byte.
fn ranges_are_what_the_file_has(client: &Client, url: &str) {
    let blob = blob();
    let len = u64::try_from(blob.len()).unwrap();
    for (offset, len) in [(0, 65_536), (65_536, 65_536), (len - 1000, 1000), (7, 1)] {
        let bytes = client.range(url, offset, len).unwrap();
        let from = usize::try_from(offset).unwrap();
        assert!(bytes == blob[from..from + usize::try_from(len).unwrap()], "{url} {offset}");
    }
}

#[test]
fn nginx_gives_ranges_over_http_and_https() {
    let Some(server) = nginx() else { return skipped("ranges by nginx", "it is not installed") };
    ranges_are_what_the_file_has(&client(), &server.plain("blob"));
    ranges_are_what_the_file_has(&server.trusting(), &server.secure("blob"));
    let beyond = client().range(&server.plain("blob"), 1 << 30, 10).unwrap_err();
    assert!(matches!(beyond, WebError::Status { status: 416, .. }), "{beyond}");
    let over = client().range(&server.plain("blob"), 799_999, 10).unwrap_err();
    assert!(matches!(over, WebError::Range { .. }), "{over}");
    let missing = client().range(&server.plain("missing"), 0, 10).unwrap_err();
    assert!(matches!(missing, WebError::Status { status: 404, retry_after: None, .. }));
    let busy = client().range(&server.plain("busy"), 0, 10).unwrap_err();
    assert_eq!(busy.retry_after(), Some(Duration::from_secs(17)), "{busy}");
}

#[test]
fn a_server_whose_certificate_nobody_vouches_for_gives_nothing() {
    let Some(server) = nginx() else { return skipped("TLS of nginx", "it is not installed") };
    let stranger = client().range(&server.secure("blob"), 0, 10).unwrap_err();
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    let other_name = format!("https://127.0.0.1:{}/blob", server.secure);
    let other_name = server.trusting().range(&other_name, 0, 10).unwrap_err();
    assert!(other_name.to_string().contains("certificate"), "{other_name}");
    let ca_file = Some(server.dir.path().join("blob"));
    let refused = Client::new(Settings { ca_file, ..Settings::default() }).unwrap_err();
    assert!(refused.to_string().contains("contains no PEM certificate"), "{refused}");
}

#[test]
fn redirects_are_followed_to_https_and_five_times_only() {
    let Some(server) = nginx() else { return skipped("redirects", "nginx is not installed") };
    let client = server.trusting();
    let blob = blob();
    for url in [server.plain("moved"), server.secure("hop")] {
        assert_eq!(client.range(&url, 100, 50).unwrap(), blob[100..150], "{url}");
    }
    for url in [server.plain("plainly"), server.secure("down")] {
        let refused = client.range(&url, 0, 10).unwrap_err();
        assert!(refused.to_string().contains("https only"), "{refused}");
    }
    let refused = client.range(&server.secure("loop"), 0, 10).unwrap_err();
    assert!(refused.to_string().contains("sixth redirect"), "{refused}");
}

#[test]
fn a_server_that_ignores_ranges_serves_within_bounds() {
    let Some(server) = python() else {
        return skipped("ranges by Python's server", "there is no python3");
    };
    ranges_are_what_the_file_has(&client(), &server.plain("blob"));
    let strict = Client::new(Settings { whole_max: 100_000, ..Settings::default() }).unwrap();
    strict.range(&server.plain("blob"), 99_000, 1000).unwrap();
    let refused = strict.range(&server.plain("blob"), 99_001, 1000).unwrap_err();
    assert!(refused.to_string().contains("ignores ranges"), "{refused}");
    let over = client().range(&server.plain("blob"), 799_999, 10).unwrap_err();
    assert!(matches!(over, WebError::Range { .. }), "{over}");
}
