//! Whose certificates count.

use std::path::Path;

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use super::WebError;

/// The system's authorities, and those of the file.
pub(super) fn roots(ca_file: Option<&Path>) -> Result<RootCerts, WebError> {
    let found = rustls_native_certs::load_native_certs();
    let system = found.certs.iter().map(|certificate| Certificate::from_der(certificate));
    let mut roots: Vec<_> = system.map(|certificate| certificate.to_owned()).collect();
    if let Some(path) = ca_file {
        roots.extend(read(path)?);
    }
    if roots.is_empty() {
        log::warn!(
            "there are no CA certificates on this system: nothing can be fetched over https; \
             install ca-certificates or name a CA file"
        );
    }
    Ok(RootCerts::new_with_certs(&roots))
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>, WebError> {
    let failed = |why: String| WebError::CaFile { path: path.to_owned(), why };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        match item.map_err(|error| failed(error.to_string()))? {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            _ => log::debug!("{}: something that is no certificate is left out", path.display()),
        }
    }
    if certificates.is_empty() {
        return Err(failed("it contains no PEM certificate".to_owned()));
    }
    Ok(certificates)
}
