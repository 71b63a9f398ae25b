//! Keysets: the public keys that a fleet trusts.

use serde::{Deserialize, Serialize};

use super::envelope::{Document, Envelope};
use super::keys::PublicKey;

/// The most keys of one role.
const MAX_KEYS: usize = 8;

/// The keys a fleet trusts, numbered without gaps. A gateway gets one with its provisioning; each
/// later one is signed by the release roles of the one before and of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyset {
    /// 1, 2, 3 …
    pub version: u64,
    /// Vouches for models (manifests) and for the next keyset; kept offline.
    pub release: Role,
    /// Says which models run where (deployments); in use every day.
    pub deploy: Role,
}

/// Keys, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    pub keys: Vec<PublicKey>,
    pub threshold: usize,
}

impl Role {
    /// How many of the role's keys signed, or the shortfall.
    pub(super) fn judge(&self, envelope: &Envelope) -> Result<(), usize> {
        let signed = envelope.signers(&self.keys);
        if signed >= self.threshold { Ok(()) } else { Err(signed) }
    }

    fn check(&self, name: &str) -> Result<(), String> {
        let mut distinct = self.keys.clone();
        distinct.sort();
        distinct.dedup();
        if distinct.len() != self.keys.len() {
            return Err(format!("duplicate {name} key"));
        }
        if !(1..=MAX_KEYS).contains(&self.keys.len()) {
            return Err(format!("{} {name} keys; 1 to {MAX_KEYS} are allowed", self.keys.len()));
        }
        if !(1..=self.keys.len()).contains(&self.threshold) {
            let count = self.keys.len();
            return Err(format!(
                "the threshold {} does not fit {count} {name} keys",
                self.threshold
            ));
        }
        Ok(())
    }
}

impl Document for Keyset {
    const TYPE: &'static str = "application/vnd.inferd.keyset.v1+json";
    const NAME: &'static str = "keyset";
    const MAX_SIZE: usize = 16 << 10;

    fn check(&self) -> Result<(), String> {
        if self.version == 0 {
            return Err("the version is 0; the first keyset has version 1".into());
        }
        self.release.check("release")?;
        self.deploy.check("deploy")?;
        // A key in daily use must not be able to vouch for models.
        if self.release.keys.iter().any(|key| self.deploy.keys.contains(key)) {
            return Err("a key is in both roles".into());
        }
        Ok(())
    }
}
