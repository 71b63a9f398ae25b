//! TLS by rustls and ring. Certificates are read from their files at every connection attempt, so that
//! a renewed one is used without a restart.

pub(super) mod advice;
mod pem;
mod x509;

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::{ClientConfig, RootCertStore};

use self::advice::ExplainingVerifier;
use super::Fault;
use crate::config::Tls;

/// The client configuration. Server names are always checked.
pub(super) fn client_config(tls: &Tls, port: u16) -> Result<ClientConfig, Fault> {
    let refused = |error: &dyn std::fmt::Display| Fault::Tls { reason: error.to_string() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots(tls.ca_file.as_deref())?);
    let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| refused(&error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ExplainingVerifier { inner, port }));
    let (Some(cert_file), Some(key_file)) = (&tls.client_cert_file, &tls.client_key_file) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = pem::certificates("broker.client_cert_file", cert_file)?;
    let key = pem::key("broker.client_key_file", key_file)?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| pem::mismatch(cert_file, key_file, &error))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        for certificate in pem::certificates("broker.ca_file", path)? {
            roots.add(certificate).map_err(|error| {
                let reason = format!("one of its certificates cannot be trusted ({error})");
                pem::content("broker.ca_file", path, &reason)
            })?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let reason = format!("no CA certificates on this system ({})", errors.join("; "));
        return Err(Fault::Trust { reason });
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(ca: &Path) -> Tls {
        Tls { ca_file: Some(ca.to_owned()), client_cert_file: None, client_key_file: None }
    }

    #[test]
    fn a_bad_ca_file_is_named_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing.pem");
        let fault = client_config(&tls(&missing), 8883).unwrap_err().to_string();
        assert!(fault.contains("missing.pem") && fault.contains("No such file"), "{fault}");
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "not a certificate").unwrap();
        let fault = client_config(&tls(&empty), 8883).unwrap_err().to_string();
        assert!(
            fault.contains("broker.ca_file") && fault.contains("no PEM certificate"),
            "{fault}"
        );
    }
}
