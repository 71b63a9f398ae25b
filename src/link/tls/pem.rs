//! Certificate and key files: why one cannot be used, and the command that fixes it.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::link::Fault;

/// The largest file to read, in bytes. A certificate has a few kilobytes, all of Mozilla's have 230.
const MAX_FILE_SIZE: u64 = 4 << 20;

/// What a file should contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Certificate,
    Key,
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(
    option: &str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let bytes = read(option, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() && !has_byte_order_mark(&bytes) => Ok(found),
        Ok(_) => Err(content(option, path, &explain(&bytes, path, Wanted::Certificate))),
        Err(error) => Err(content(option, path, &invalid(&error.to_string(), path))),
    }
}

/// The key of a PEM file.
pub(super) fn key(option: &str, path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let bytes = read(option, path)?;
    if has_byte_order_mark(&bytes) {
        return Err(content(option, path, &explain(&bytes, path, Wanted::Key)));
    }
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| content(option, path, &explain(&bytes, path, Wanted::Key)))
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, Fault> {
    let failed = |reason: String| Fault::Content {
        what: format!("{option} {}", path.display()),
        reason: format!("{reason}; check the path and the permissions"),
    };
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > MAX_FILE_SIZE {
        return Err(failed(format!("{length} bytes is too large for a certificate or a key")));
    }
    std::fs::read(path).map_err(|error| failed(error.to_string()))
}

pub(super) fn content(option: &str, path: &Path, reason: &str) -> Fault {
    Fault::Content { what: format!("{option} {}", path.display()), reason: reason.to_owned() }
}

fn invalid(error: &str, path: &Path) -> String {
    format!(
        "its PEM is invalid ({error}); for details: openssl x509 -noout -text -in {}",
        path.display()
    )
}

/// Whether the file starts with a byte order mark, which some Windows editors add.
fn has_byte_order_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xef, 0xbb, 0xbf])
        || bytes.starts_with(&[0xff, 0xfe])
        || bytes.starts_with(&[0xfe, 0xff])
}

/// Why a file does not contain what it should.
fn explain(bytes: &[u8], path: &Path, wanted: Wanted) -> String {
    let text = String::from_utf8_lossy(bytes);
    let begins = |what: &str| text.contains(&format!("-----BEGIN {what}-----"));
    let path = path.display();
    let noun = match wanted {
        Wanted::Certificate => "no PEM certificate in it",
        Wanted::Key => "no PEM key in it",
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return format!("{noun}: the file is empty");
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        return format!(
            "it starts with a byte order mark (BOM); remove it: sed -i '1s/^\\xEF\\xBB\\xBF//' \
             {path}"
        );
    }
    if has_byte_order_mark(bytes) {
        return format!(
            "it is UTF-16 text; convert it: iconv -f UTF-16 -t ASCII {path} > {path}.pem"
        );
    }
    if bytes.first() == Some(&0x30) {
        let tool = match wanted {
            Wanted::Certificate => "x509",
            Wanted::Key => "pkey",
        };
        return format!(
            "{noun}: it is binary (DER); convert it: openssl {tool} -inform DER -in {path} -out \
             {path}.pem (a .p12 or .pfx file: openssl pkcs12 -in {path} -nodes -out {path}.pem)"
        );
    }
    if begins("ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return format!(
            "the key is encrypted with a passphrase; decrypt it: openssl pkey -in {path} -out \
             {path}.plain, and chmod 600 {path}.plain"
        );
    }
    if begins("OPENSSH PRIVATE KEY") {
        return format!("the key is one of OpenSSH; convert it: ssh-keygen -p -m PEM -f {path}");
    }
    if begins("TRUSTED CERTIFICATE") {
        return format!(
            "it is a certificate with openssl's trust settings; convert it: openssl x509 -in \
             {path} -out {path}.pem"
        );
    }
    let has_key = text.contains("PRIVATE KEY-----");
    if wanted == Wanted::Certificate && has_key {
        return format!("{noun}, but a private key: are the certificate and the key swapped?");
    }
    if wanted == Wanted::Key && begins("CERTIFICATE") {
        return format!("{noun}, but a certificate: are the certificate and the key swapped?");
    }
    if begins("CERTIFICATE REQUEST") {
        return format!("{noun}, but a request for one; name the signed certificate");
    }
    if begins("PUBLIC KEY") {
        return format!("{noun}, but a public key; name the private key");
    }
    format!("{noun}; it must be text with lines such as -----BEGIN CERTIFICATE-----")
}

/// Why a valid key and a valid certificate cannot be used together.
pub(super) fn mismatch(certificate: &Path, key: &Path, error: &rustls::Error) -> Fault {
    let (certificate, path) = (certificate.display(), key.display());
    let reason = match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "the key does not belong to the certificate {certificate}; these two must print the \
             same: openssl x509 -in {certificate} -noout -pubkey; openssl pkey -in {path} -pubout"
        ),
        other => format!(
            "the key cannot be used ({other}); make one that can: openssl ecparam -name prime256v1 \
             -genkey -noout -out {path}"
        ),
    };
    content("broker.client_key_file", key, &reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8], wanted: Wanted) -> String {
        explain(bytes, Path::new("f"), wanted)
    }

    #[test]
    fn a_file_of_another_kind_is_named_with_the_command_that_fixes_it() {
        use Wanted::{Certificate, Key};
        let key = "-----BEGIN PRIVATE KEY-----\n";
        let bom = [b"\xef\xbb\xbf".as_slice(), b"-----BEGIN CERTIFICATE-----\n"].concat();
        let cases: &[(&[u8], Wanted, &str)] = &[
            (b" \n", Certificate, "the file is empty"),
            (&bom, Certificate, "sed -i"),
            (b"\xff\xfe-\0", Certificate, "iconv -f UTF-16"),
            (b"\x30\x82\x01\x00", Certificate, "openssl x509 -inform DER"),
            (b"\x30\x82\x01\x00", Key, "openssl pkey -inform DER"),
            (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", Key, "openssl pkey -in f"),
            (b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", Key, "passphrase"),
            (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", Key, "ssh-keygen"),
            (b"-----BEGIN TRUSTED CERTIFICATE-----\n", Certificate, "openssl x509 -in f"),
            (key.as_bytes(), Certificate, "swapped"),
            (b"-----BEGIN CERTIFICATE-----\n", Key, "swapped"),
            (b"-----BEGIN CERTIFICATE REQUEST-----\n", Certificate, "a request"),
            (b"-----BEGIN PUBLIC KEY-----\n", Key, "a public key"),
            (b"<html>", Certificate, "no PEM certificate"),
        ];
        for (bytes, wanted, text) in cases {
            let said = said(bytes, *wanted);
            assert!(said.contains(text), "{text}: {said}");
        }
    }
}
