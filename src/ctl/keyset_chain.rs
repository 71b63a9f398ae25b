//! The keysets that an operator names: the newest is current, the older ones verify what was released
//! before a rotation of keys.

use std::path::{Path, PathBuf};

use crate::ctl::files::read;
use crate::terminal::{Exit, Failure};
use crate::update::{
    Deployment, Envelope, Keyset, Manifest, PackError, PackedRelease, Trust, Verified,
};

/// Keysets that follow one another without a gap.
#[derive(Clone, Debug)]
pub(super) struct KeysetChain {
    /// Oldest first, the current one left out.
    former: Vec<Trust>,
    current: Trust,
}

/// A release, and the newest keyset whose release role signed it.
#[derive(Debug)]
pub(super) struct SignedRelease {
    pub(super) packed: PackedRelease,
    pub(super) manifest: Verified<Manifest>,
    pub(super) keyset: u64,
}

impl KeysetChain {
    /// Reads keyset files; the first is taken as provisioned, each later one must follow.
    pub(super) fn load(paths: &[PathBuf]) -> Result<Self, Failure> {
        let refused = |path: &Path| {
            let path = path.display().to_string();
            move |error| Failure::new(Exit::Failed, format!("{path}: {error}"))
        };
        let Some((first, rest)) = paths.split_first() else {
            return Err(Failure::new(Exit::Usage, "no keyset given; name it with --keyset"));
        };
        let mut current = Trust::provisioned(&read(first)?).map_err(refused(first))?;
        let mut former = Vec::new();
        for path in rest {
            let next = current.advance(&read(path)?).map_err(refused(path))?;
            former.push(std::mem::replace(&mut current, next));
        }
        Ok(Self { former, current })
    }

    /// The current keyset.
    pub(super) fn current(&self) -> &Trust {
        &self.current
    }

    pub(super) fn into_current(self) -> Trust {
        self.current
    }

    fn newest_first(&self) -> impl Iterator<Item = &Trust> {
        std::iter::once(&self.current).chain(self.former.iter().rev())
    }

    /// A deployment that the deploy role of any of these keysets signed.
    pub(super) fn deployment(&self, bytes: &[u8]) -> Option<Verified<Deployment>> {
        self.newest_first().find_map(|trust| trust.deployment(bytes).ok())
    }

    /// A manifest that the release role of any of these keysets signed.
    pub(super) fn manifest(&self, bytes: &[u8]) -> Option<Verified<Manifest>> {
        self.newest_first().find_map(|trust| trust.manifest(bytes).ok())
    }

    /// Reads a release that the release role of any of these keysets signed, and verifies every byte.
    pub(super) fn release(&self, path: &Path) -> Result<SignedRelease, Failure> {
        let named =
            |error: PackError| Failure::new(Exit::Failed, format!("{}: {error}", path.display()));
        let packed = PackedRelease::read(&read(path)?).map_err(named)?;
        let signed = packed.manifest_bytes();
        let trust = self.newest_first().find(|trust| trust.manifest(&signed).is_ok());
        let trust = trust.unwrap_or(&self.current);
        let installable = packed.clone().verify(trust).map_err(|error| match error {
            PackError::Verify(error) => Failure::new(Exit::Failed, self.unsigned(path, &error)),
            other => named(other),
        })?;
        let (manifest, keyset) = (installable.manifest().clone(), trust.keyset().version);
        Ok(SignedRelease { packed, manifest, keyset })
    }

    /// The current keyset's number.
    pub(super) fn number(&self) -> u64 {
        self.current.keyset().version
    }

    fn unsigned(&self, path: &Path, error: &impl std::fmt::Display) -> String {
        let first = self.former.first().unwrap_or(&self.current).keyset().version;
        let message = format!("{}: {error}", path.display());
        if first == 1 {
            return message;
        }
        format!(
            "{message}; if it was released for a keyset before keyset {first}, also name that \
             keyset with --keyset"
        )
    }
}

/// The trust at the end of a chain of keyset files, the first of which is taken as provisioned.
pub(super) fn load_trust(paths: &[PathBuf]) -> Result<Trust, Failure> {
    KeysetChain::load(paths).map(KeysetChain::into_current)
}

/// The keysets with their numbers, as they are published. Check them with [`load_trust`] first.
pub(super) fn numbered_keysets(paths: &[PathBuf]) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
    let numbered = |path: &PathBuf| {
        let bytes = read(path)?;
        let keyset: Keyset = Envelope::read::<Keyset>(&bytes)?.unverified()?;
        Ok((keyset.version, bytes))
    };
    paths.iter().map(numbered).collect()
}
