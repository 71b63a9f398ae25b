//! Verifies signed documents. Nothing is installed that was not verified here.

use super::deployment::Deployment;
use super::envelope::{Document, Envelope};
use super::error::VerifyError;
use super::keyset::{Keyset, Role};
use super::manifest::Manifest;
use crate::ids::Digest;

/// A document with valid signatures. Only [`Trust`] creates one:
///
/// ```compile_fail
/// use inferd::ids::Digest;
/// use inferd::update::{Manifest, Verified};
/// fn forge(manifest: Manifest, digest: Digest) -> Verified<Manifest> {
///     Verified { document: manifest, digest }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Verified<D> {
    document: D,
    digest: Digest,
}

impl<D> Verified<D> {
    /// The SHA-256 of the envelope, which identifies the document.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl<D> std::ops::Deref for Verified<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.document
    }
}

/// The trusted keyset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    keyset: Keyset,
}

impl Trust {
    /// Trusts the keyset that the gateway was provisioned with. It is trusted because of its place;
    /// its signature only detects damage.
    ///
    /// # Errors
    /// The bytes are not a keyset, or not signed by enough of its own keys.
    pub fn provisioned(bytes: &[u8]) -> Result<Self, VerifyError> {
        let envelope = Envelope::read::<Keyset>(bytes)?;
        let keyset: Keyset = envelope.unverified()?;
        judge::<Keyset>(&keyset.release, "release", &envelope)?;
        Ok(Self { keyset })
    }

    /// Trusts the next keyset, which must be exactly the next version, signed by the release roles of
    /// both. The deploy role, which is in daily use, cannot change the trusted keys.
    ///
    /// # Errors
    /// It is not that keyset.
    pub fn advance(&self, bytes: &[u8]) -> Result<Self, VerifyError> {
        let envelope = Envelope::read::<Keyset>(bytes)?;
        let keyset: Keyset = envelope.unverified()?;
        judge::<Keyset>(&self.keyset.release, "release", &envelope)?;
        judge::<Keyset>(&keyset.release, "release", &envelope)?;
        if Some(keyset.version) != self.keyset.version.checked_add(1) {
            let (trusted, found) = (self.keyset.version, keyset.version);
            return Err(VerifyError::Sequence { trusted, found });
        }
        Ok(Self { keyset })
    }

    /// # Errors
    /// The bytes are not a manifest, or not signed by enough release keys.
    pub fn manifest(&self, bytes: &[u8]) -> Result<Verified<Manifest>, VerifyError> {
        verify(&self.keyset.release, "release", bytes)
    }

    /// # Errors
    /// The bytes are not a deployment, or not signed by enough deploy keys.
    pub fn deployment(&self, bytes: &[u8]) -> Result<Verified<Deployment>, VerifyError> {
        verify(&self.keyset.deploy, "deploy", bytes)
    }

    #[must_use]
    pub fn keyset(&self) -> &Keyset {
        &self.keyset
    }
}

/// Checks the signatures first: the payload is parsed only if they are valid.
fn verify<D: Document>(
    role: &Role,
    name: &'static str,
    bytes: &[u8],
) -> Result<Verified<D>, VerifyError> {
    let envelope = Envelope::read::<D>(bytes)?;
    judge::<D>(role, name, &envelope)?;
    Ok(Verified { document: envelope.unverified()?, digest: Digest::of(bytes) })
}

fn judge<D: Document>(
    role: &Role,
    name: &'static str,
    envelope: &Envelope,
) -> Result<(), VerifyError> {
    role.judge(envelope).map_err(|signed| VerifyError::Threshold {
        what: D::NAME,
        role: name,
        signed,
        threshold: role.threshold,
    })
}
