//! TLS by rustls and ring: the certificates come from files that are read at every attempt to
//! connect, so that a renewed one counts without a restart.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Fault;
use crate::config::Tls;

/// The client's side of TLS as configured. Server names are always checked.
pub(super) fn client_config(tls: &Tls) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Tls { reason: error.to_string() })?
        .with_root_certificates(roots(tls.ca_file.as_deref())?);
    let (Some(cert_file), Some(key_file)) = (&tls.client_cert_file, &tls.client_key_file) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("client certificate", cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| bad_file("client key", key_file, &error))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| bad_file("client key", key_file, &error))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        for certificate in certificates("CA file", path)? {
            roots.add(certificate).map_err(|error| bad_file("CA file", path, &error))?;
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

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let all = all.map_err(|error| bad_file(what, path, &error))?;
    if all.is_empty() {
        let reason = "no PEM certificate in it".into();
        return Err(Fault::File { what, path: path.to_owned(), reason });
    }
    Ok(all)
}

fn bad_file(what: &'static str, path: &Path, error: &dyn std::fmt::Display) -> Fault {
    Fault::File { what, path: path.to_owned(), reason: error.to_string() }
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
        let fault = client_config(&tls(&missing)).unwrap_err().to_string();
        assert!(fault.contains("missing.pem") && fault.contains("No such file"), "{fault}");
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "not a certificate").unwrap();
        let fault = client_config(&tls(&empty)).unwrap_err().to_string();
        assert!(fault.contains("CA file") && fault.contains("no PEM certificate"), "{fault}");
    }
}
