//! What a TLS error means and what to do about it, with an openssl command if one helps.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError as Bad, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::x509::Certificate;
use crate::clock::Timestamp;

/// Verifies servers as rustls does, and explains why a certificate is rejected.
#[derive(Debug)]
pub(super) struct ExplainingVerifier {
    pub(super) inner: Arc<WebPkiServerVerifier>,
    pub(super) port: u16,
}

/// The explanation, carried by an error of rustls.
#[derive(Debug)]
struct Explanation(String);

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Explanation {}

impl ServerCertVerifier for ExplainingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        verdict.map_err(|error| match error {
            Error::InvalidCertificate(bad) => {
                let host = server_name.to_str();
                let text = explain(&bad, end_entity, &host, self.port);
                let other = OtherError(Arc::new(Explanation(text)));
                Error::InvalidCertificate(Bad::Other(other))
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Why the broker's certificate is rejected.
fn explain(bad: &Bad, der: &[u8], host: &str, port: u16) -> String {
    let certificate = Certificate::read(der).unwrap_or_default();
    let name = certificate.common_name.clone().unwrap_or_else(|| "without a name".to_owned());
    if certificate.version == 1 {
        return format!(
            "the broker's certificate ({name}) is X.509 version 1, which has no host names in it; \
             sign it again with an extension file: {}",
            sign_again(host)
        );
    }
    match bad {
        Bad::Expired | Bad::NotValidYet => dates(&name, "is not valid now", host, port),
        Bad::ExpiredContext { time, not_after } => {
            let (now, end) = (date(*time), date(*not_after));
            dates(&name, &format!("expired at {end}, and it is {now} here"), host, port)
        }
        Bad::NotValidYetContext { time, not_before } => {
            let (now, start) = (date(*time), date(*not_before));
            dates(&name, &format!("is valid from {start} on, and it is {now} here"), host, port)
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            wrong_name(&certificate, &name, host)
        }
        Bad::UnknownIssuer | Bad::BadSignature => format!(
            "broker.ca_file did not sign the broker's certificate ({name}); name the file with the \
             certificate of the authority that did. This shows the issuer: openssl s_client \
             -connect {host}:{port} -showcerts </dev/null"
        ),
        _ if certificate.is_ca => format!(
            "the broker's certificate ({name}) is one of an authority (CA:TRUE) and not one of a \
             server; make a server certificate: {}, and name broker.crt in broker.ca_file",
            self_signed(host)
        ),
        other => format!(
            "the broker's certificate ({name}) is not accepted: {other:?}; look at it with \
             openssl s_client -connect {host}:{port} </dev/null | openssl x509 -noout -text"
        ),
    }
}

fn dates(name: &str, what: &str, host: &str, port: u16) -> String {
    format!(
        "the broker's certificate ({name}) {what}; renew the certificate, or set this machine's \
         clock (timedatectl). Its dates: openssl s_client -connect {host}:{port} </dev/null | \
         openssl x509 -noout -dates"
    )
}

fn wrong_name(certificate: &Certificate, name: &str, host: &str) -> String {
    if certificate.names.is_empty() {
        return format!(
            "the host in broker.url, {host}, is not in the broker's certificate: it has no subject \
             alternative name, and the common name ({name}) does not count; sign it again with an \
             extension file: {}",
            sign_again(host)
        );
    }
    format!(
        "the host in broker.url, {host}, is not in the broker's certificate ({}); use one \
         of these in broker.url, or sign it again with an extension file: {}",
        certificate.names.join(", "),
        sign_again(host)
    )
}

fn date(time: UnixTime) -> Timestamp {
    let micros = i64::try_from(time.as_secs()).unwrap_or(0).saturating_mul(1_000_000);
    Timestamp(micros)
}

/// `DNS:host` or `IP:address`.
fn alternative(host: &str) -> String {
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    format!("{}:{host}", if is_address { "IP" } else { "DNS" })
}

/// The command that signs a request again with one's own authority.
fn sign_again(host: &str) -> String {
    format!(
        "echo subjectAltName={} > san.ext && openssl x509 -req -in broker.csr -CA ca.crt -CAkey \
         ca.key -CAcreateserial -days 825 -extfile san.ext -out broker.crt",
        alternative(host)
    )
}

/// The command that creates a self-signed server certificate.
fn self_signed(host: &str) -> String {
    format!(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 825 -keyout broker.key -out broker.crt \
         -subj /CN={host} -addext subjectAltName={} -addext basicConstraints=critical,CA:FALSE",
        alternative(host)
    )
}

/// The text of a handshake error, with what to do about it.
pub(in crate::link) fn of_error(error: &Error) -> String {
    use rustls::AlertDescription as Alert;
    let advice = match error {
        Error::InvalidCertificate(Bad::Other(OtherError(inner))) => {
            return inner.to_string();
        }
        Error::AlertReceived(Alert::CertificateRequired) => {
            "the broker requires a client certificate; set broker.client_cert_file and \
             client_key_file"
        }
        Error::AlertReceived(Alert::CertificateExpired) => {
            "this client's certificate has expired, or the broker's clock is wrong; its dates: \
             openssl x509 -noout -dates -in CLIENT_CERT_FILE"
        }
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::HandshakeFailure
            | Alert::CertificateUnknown
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate
            | Alert::DecryptError
            | Alert::AccessDenied,
        ) => {
            "the broker refuses this client's certificate, or requires one; check \
             broker.client_cert_file: the authority that the broker trusts must have signed it \
             (openssl verify -CAfile ca.crt CLIENT_CERT_FILE)"
        }
        Error::AlertReceived(Alert::ProtocolVersion) => {
            "the broker offers no TLS 1.2 or 1.3; enable TLS 1.2 at the broker"
        }
        Error::AlertReceived(Alert::UnrecognisedName) => {
            "the broker does not serve this host name; check the host in broker.url"
        }
        Error::InvalidMessage(_) => "the port does not use TLS; is it mqtt:// instead of mqtts://?",
        Error::PeerIncompatible(_) => "enable TLS 1.2 or 1.3 with current ciphers at the broker",
        _ => "look in the broker's log",
    };
    format!("{error}; {advice}")
}
