//! Who may connect, and to whom: TLS both ways, passwords.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use inferd::config::{Broker, Login, Tls};
use inferd::link::Fault;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::common::broker::Mosquitto;
use crate::common::rig::{Rig, broker};
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
    Rig::start(secured(&server, false), 8).up().await;

    let mut by_address = secured(&server, false);
    by_address.host = "127.0.0.1".into();
    let fault = Rig::start(by_address, 8).down().await;
    assert!(
        matches!(&fault, Fault::Tls { reason } if reason.contains("the host in broker.url")),
        "{fault}"
    );

    let other = tempfile::tempdir().unwrap();
    certificates_by("another authority", other.path());
    let mut stranger = secured(&server, false);
    stranger.tls.as_mut().unwrap().ca_file = Some(other.path().join("ca.pem"));
    let fault = Rig::start(stranger, 8).down().await;
    assert!(matches!(&fault, Fault::Tls { reason } if reason.contains("did not sign")), "{fault}");

    let mut system = secured(&server, false);
    system.tls.as_mut().unwrap().ca_file = None;
    let fault = Rig::start(system, 8).down().await;
    assert!(matches!(&fault, Fault::Tls { .. } | Fault::Trust { .. }), "{fault}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_wanted() {
    let Some(server) = server("require_certificate true\n") else {
        return skipped("client certificates", "mosquitto is not installed");
    };
    Rig::start(secured(&server, true), 8).up().await;
    let fault = Rig::start(secured(&server, false), 8).down().await;
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
    let mut rig = Rig::start(config, 8);
    let fault = rig.down().await;
    assert!(matches!(&fault, Fault::File { path, .. } if *path == ca), "{fault}");
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
    let fault = Rig::start(plain, 8).down().await;
    assert!(matches!(fault, Fault::NoAnswer | Fault::Garbage { .. }), "{fault:?}");

    let Some(open) = Mosquitto::start("") else { unreachable!("there was one before") };
    let mut secret = secured(&server, false);
    secret.port = open.port();
    secret.connect_timeout = Duration::from_secs(2);
    let fault = Rig::start(secret, 8).down().await;
    assert!(matches!(fault, Fault::Tls { .. } | Fault::NoAnswer), "{fault:?}");
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
    config.login = Some(Login { username: "gw".into(), password_file: file.clone() });
    let mut rig = Rig::start(config, 8);
    // Mosquitto says "not authorized" of a wrong password, and so does the message.
    assert!(matches!(rig.down().await, Fault::BadPassword | Fault::NotAuthorized));
    let renewed = server.dir().join("new");
    fs::write(&renewed, "right\n").unwrap();
    fs::rename(renewed, &file).unwrap();
    rig.up().await;
}
