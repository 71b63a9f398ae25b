//! Who may connect, and to whom: TLS both ways, passwords.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use inferd::config::{Broker, Login, Password, Tls};
use inferd::link::Fault;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::common::broker::Mosquitto;
use crate::common::link_harness::{LinkHarness, broker};
use crate::common::skipped;

/// An authority, a server certificate for localhost and a client certificate, as PEM files.
fn certificates(dir: &Path) {
    certificates_by("test authority", dir);
}

fn certificates_by(authority: &str, dir: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, authority);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    for (name, subject) in [("server", "localhost"), ("client", "gw")] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        let certificate = params.signed_by(&key, &authority).unwrap();
        fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn server(extra: &str) -> Option<Mosquitto> {
    let tls = "cafile {dir}/ca.pem\ncertfile {dir}/server.pem\nkeyfile {dir}/server.key\n";
    Mosquitto::start_with(&format!("{tls}{extra}"), certificates)
}

fn secured(server: &Mosquitto, with_certificate: bool) -> Broker {
    let file = |name: &str| Some(server.dir().join(name));
    Broker {
        host: "localhost".into(),
        tls: Some(Tls {
            ca_file: file("ca.pem"),
            client_cert_file: file("client.pem").filter(|_| with_certificate),
            client_key_file: file("client.key").filter(|_| with_certificate),
        }),
        ..broker(server.port(), "gw")
    }
}

#[tokio::test]
async fn the_server_is_known_by_its_authority_and_its_name() {
    let Some(server) = server("") else {
        return skipped("TLS", "mosquitto is not installed");
    };
    LinkHarness::start(secured(&server, false), 8).up().await;

    let mut by_address = secured(&server, false);
    by_address.host = "127.0.0.1".into();
    let fault = LinkHarness::start(by_address, 8).down().await;
    assert!(
        matches!(&fault, Fault::Tls { reason } if reason.contains("the host in broker.url")),
        "{fault}"
    );

    let other = tempfile::tempdir().unwrap();
    certificates_by("another authority", other.path());
    let mut stranger = secured(&server, false);
    stranger.tls.as_mut().unwrap().ca_file = Some(other.path().join("ca.pem"));
    let fault = LinkHarness::start(stranger, 8).down().await;
    assert!(matches!(&fault, Fault::Tls { reason } if reason.contains("did not sign")), "{fault}");

    let mut system = secured(&server, false);
    system.tls.as_mut().unwrap().ca_file = None;
    let fault = LinkHarness::start(system, 8).down().await;
    assert!(matches!(&fault, Fault::Tls { .. } | Fault::Trust { .. }), "{fault}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_wanted() {
    let Some(server) = server("require_certificate true\n") else {
        return skipped("client certificates", "mosquitto is not installed");
    };
    LinkHarness::start(secured(&server, true), 8).up().await;
    let fault = LinkHarness::start(secured(&server, false), 8).down().await;
    assert!(
        matches!(&fault, Fault::Tls { reason } if reason.contains("client_cert_file")),
        "{fault}"
    );
}

#[tokio::test]
async fn a_renewed_authority_counts_without_a_restart() {
    let Some(server) = server("") else {
        return skipped("TLS rotation", "mosquitto is not installed");
    };
    let dir = tempfile::tempdir().unwrap();
    let mut config = secured(&server, false);
    let ca = dir.path().join("ca.pem");
    config.tls.as_mut().unwrap().ca_file = Some(ca.clone());
    let mut rig = LinkHarness::start(config, 8);
    let fault = rig.down().await;
    assert!(
        matches!(&fault, Fault::Content { what, .. } if what.contains(&*ca.to_string_lossy())),
        "{fault}"
    );
    let renewed = dir.path().join("new");
    fs::copy(server.dir().join("ca.pem"), &renewed).unwrap();
    fs::rename(renewed, &ca).unwrap();
    rig.up().await;
}

#[tokio::test]
async fn a_port_without_tls_and_a_port_with_it_are_told_apart() {
    let Some(server) = server("") else {
        return skipped("TLS by mistake", "mosquitto is not installed");
    };
    let mut plain = secured(&server, false);
    plain.tls = None;
    plain.connect_timeout = Duration::from_secs(2);
    let fault = LinkHarness::start(plain, 8).down().await;
    assert!(fault.to_string().contains("it uses TLS"), "{fault}");

    let Some(open) = Mosquitto::start("") else { unreachable!("there was one before") };
    let mut secret = secured(&server, false);
    secret.port = open.port();
    secret.connect_timeout = Duration::from_secs(2);
    let fault = LinkHarness::start(secret, 8).down().await;
    assert!(fault.to_string().contains("MQTT without TLS"), "{fault}");
}

#[tokio::test]
async fn a_refused_password_is_named_and_a_new_one_counts() {
    let passwords = |dir: &Path| {
        let file = dir.join("passwords");
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(&file)
            .args(["gw", "right"])
            .status();
        assert!(made.is_ok_and(|status| status.success()), "mosquitto_passwd failed");
    };
    let extra = "allow_anonymous false\npassword_file {dir}/passwords\n";
    let Some(server) = Mosquitto::start_with(extra, passwords) else {
        return skipped("passwords", "mosquitto is not installed");
    };
    let file = server.dir().join("secret");
    fs::write(&file, "wrong\n").unwrap();
    let mut config = broker(server.port(), "gw");
    config.login = Some(Login { username: "gw".into(), password: Password::File(file.clone()) });
    let mut rig = LinkHarness::start(config, 8);
    // Mosquitto says "not authorized" of a wrong password.
    let text = rig.down().await.to_string();
    assert!(text.contains("the user \"gw\"") && text.contains("password_file"), "{text}");
    assert!(text.contains(&*file.to_string_lossy()), "{text}");
    let renewed = server.dir().join("new");
    fs::write(&renewed, "right\n").unwrap();
    fs::rename(renewed, &file).unwrap();
    rig.up().await;
}

#[tokio::test]
async fn a_password_of_the_environment_and_a_user_without_one_log_in() {
    // Set by the test runner for every process.
    let password = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let passwords = move |dir: &Path| {
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(dir.join("passwords"))
            .args(["gw", &password])
            .status();
        assert!(made.is_ok_and(|status| status.success()), "mosquitto_passwd failed");
    };
    let extra = "allow_anonymous false\npassword_file {dir}/passwords\n";
    let Some(server) = Mosquitto::start_with(extra, passwords) else {
        return skipped("passwords", "mosquitto is not installed");
    };
    let mut config = broker(server.port(), "gw");
    let login = |password| Some(Login { username: "gw".into(), password });
    config.login = login(Password::Env("CARGO_MANIFEST_DIR".into()));
    LinkHarness::start(config.clone(), 8).up().await;
    config.login = login(Password::None);
    let text = LinkHarness::start(config.clone(), 8).down().await.to_string();
    assert!(text.contains("without a password"), "{text}");
    config.login = login(Password::Env("NO_SUCH_VARIABLE_OF_INFERD".into()));
    let text = LinkHarness::start(config, 8).down().await.to_string();
    assert!(text.contains("NO_SUCH_VARIABLE_OF_INFERD"), "{text}");
}

/// A server certificate made by openssl, in the way that `make` says, for mosquitto; the fault of a
/// client that trusts `ca.pem`.
async fn fault_of_certificate(make: &'static str) -> Option<String> {
    let prepare = |dir: &Path| {
        let made = Command::new("sh").arg("-ec").arg(make).current_dir(dir).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let extra = "certfile {dir}/server.pem\nkeyfile {dir}/server.key\n";
    let server = Mosquitto::start_with(extra, prepare)?;
    let fault = LinkHarness::start(secured(&server, false), 8).down().await;
    Some(fault.to_string())
}

#[tokio::test]
async fn a_certificate_that_will_not_do_is_named_with_what_mends_it() {
    let cases: [(&'static str, &[&str]); 5] = [
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.pem \
             -subj /CN=localhost -addext subjectAltName=DNS:localhost && cp server.pem ca.pem",
            &["CA:TRUE", "openssl req -x509", "basicConstraints=critical,CA:FALSE"],
        ),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=own && \
             openssl req -newkey rsa:2048 -nodes -keyout server.key -out s.csr -subj /CN=localhost \
             && openssl x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out \
             server.pem",
            &["version 1", "subjectAltName=DNS:localhost > san.ext", "openssl x509 -req"],
        ),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=own && \
             openssl req -newkey rsa:2048 -nodes -keyout server.key -out s.csr -subj /CN=localhost \
             && echo keyUsage=digitalSignature > ext && openssl x509 -req -in s.csr -CA ca.pem \
             -CAkey ca.key -CAcreateserial -extfile ext -out server.pem",
            &["no subject alternative name", "the common name (localhost) does not count"],
        ),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=own && \
             openssl req -newkey rsa:2048 -nodes -keyout server.key -out s.csr -subj /CN=localhost \
             && echo subjectAltName=DNS:b7.example,IP:10.0.0.5 > ext && openssl x509 -req -in \
             s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -out server.pem",
            &["certificate (b7.example, 10.0.0.5)", "the host in broker.url, localhost"],
        ),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=own && \
             openssl req -newkey rsa:2048 -nodes -keyout server.key -out s.csr -subj /CN=localhost \
             && echo subjectAltName=DNS:localhost > ext && openssl x509 -req -in s.csr -days -1 \
             -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -out server.pem",
            &["is not valid now", "clock", "x509 -noout -dates"],
        ),
    ];
    for (make, texts) in cases {
        let Some(fault) = fault_of_certificate(make).await else {
            return skipped("TLS advice", "mosquitto is not installed");
        };
        for text in texts {
            assert!(fault.contains(text), "{text} is not in: {fault}");
        }
    }
}
