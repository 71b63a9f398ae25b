//! Secret keys at rest: encrypted with a password (Argon2id, then ChaCha20-Poly1305), or in the
//! clear where the file itself is kept by something better (a hardware token's export, a sealed
//! secret store). Always mode 0600.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64, Encoding as _};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::update::{PublicKey, SecretKey};

/// The cost of deriving a key from a password: 64 MiB and three passes, the second choice of
/// RFC 9106, section 4.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// The most a key file may ask for: it may come from anywhere.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;

/// Why a key cannot be used or kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    #[error("cannot {act} {path}: {source}", path = path.display())]
    File { act: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is readable by other users (mode {mode:03o}): chmod 600 \
             {path}", path = path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("{path} is not a key file: {why}", path = path.display())]
    Malformed { path: PathBuf, why: String },
    #[error(
        "{path} is encrypted: give a file with its password with --key-password-file; on a \
         terminal it is asked for",
        path = path.display()
    )]
    Locked { path: PathBuf },
    #[error("wrong password for {path}, or the file is damaged", path = path.display())]
    Password { path: PathBuf },
    #[error("the system provides no random numbers")]
    Random,
}

/// A key file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyFile {
    public: PublicKey,
    /// The 32-byte seed: base64, encrypted if there is a `lock`.
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock: Option<Lock>,
}

/// How the password becomes the key that encrypts the secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    kdf: Kdf,
    memory_kib: u32,
    passes: u32,
    salt: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kdf {
    Argon2id,
}

/// Makes a key and writes it to a file that must not exist yet.
pub(super) fn generate(path: &Path, password: Option<&[u8]>) -> Result<PublicKey, KeyError> {
    let mut seed: [u8; 32] = random()?;
    let public = SecretKey::from_seed(&seed).public();
    let file = match password {
        None => KeyFile { public, secret: Base64::encode_string(&seed), lock: None },
        Some(password) => locked(public, &seed, password, path)?,
    };
    seed.fill(0);
    let text = serde_json::to_string_pretty(&file).unwrap_or_default() + "\n";
    let failed = |source| KeyError::File { act: "write", path: path.to_owned(), source };
    let mut out = OpenOptions::new();
    let out = out.write(true).create_new(true).mode(0o600).open(path);
    let written =
        out.and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()));
    written.map_err(failed)?;
    Ok(public)
}

/// Reads a key file that is closed to others.
pub(super) fn read(path: &Path) -> Result<KeyFile, KeyError> {
    let failed = |source| KeyError::File { act: "read", path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: path.to_owned(), mode });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    serde_json::from_str(&text)
        .map_err(|error| KeyError::Malformed { path: path.to_owned(), why: error.to_string() })
}

impl KeyFile {
    /// Whether it takes a password to open it.
    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// The key; `password` is used only where the file is encrypted. Errors name `path`.
    pub(super) fn open(&self, path: &Path, password: Option<&[u8]>) -> Result<SecretKey, KeyError> {
        let malformed = |why: String| KeyError::Malformed { path: path.to_owned(), why };
        let secret = Base64::decode_vec(&self.secret);
        let mut secret = secret.map_err(|_| malformed("its secret is not base64".into()))?;
        let seed = match (&self.lock, password) {
            (None, _) => secret.as_slice(),
            (Some(_), None) => return Err(KeyError::Locked { path: path.to_owned() }),
            (Some(lock), Some(password)) => {
                let wrong = || KeyError::Password { path: path.to_owned() };
                let key = derived(lock, password).map_err(malformed)?;
                let opened =
                    key.open_in_place(nonce(), Aad::from(self.public.to_string()), &mut secret);
                &*opened.map_err(|_| wrong())?
            }
        };
        let seed: &[u8; 32] = seed.try_into().map_err(|_| malformed("not 32 bytes".into()))?;
        let key = SecretKey::from_seed(seed);
        if key.public() != self.public {
            return Err(malformed("its public key is another key's".into()));
        }
        Ok(key)
    }
}

fn locked(
    public: PublicKey,
    seed: &[u8; 32],
    password: &[u8],
    path: &Path,
) -> Result<KeyFile, KeyError> {
    let malformed = |why: String| KeyError::Malformed { path: path.to_owned(), why };
    let salt: [u8; 16] = random()?;
    let salt = Base64::encode_string(&salt);
    let lock = Lock { kdf: Kdf::Argon2id, memory_kib: MEMORY_KIB, passes: PASSES, salt };
    let mut secret = seed.to_vec();
    derived(&lock, password)
        .map_err(malformed)?
        .seal_in_place_append_tag(nonce(), Aad::from(public.to_string()), &mut secret)
        .map_err(|_| KeyError::Random)?;
    Ok(KeyFile { public, secret: Base64::encode_string(&secret), lock: Some(lock) })
}

/// A key is derived from a fresh salt each time and seals one message, so one nonce will do.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn derived(lock: &Lock, password: &[u8]) -> Result<LessSafeKey, String> {
    let Kdf::Argon2id = lock.kdf;
    if lock.memory_kib > MEMORY_KIB_MAX || lock.passes > PASSES_MAX {
        return Err("it asks for more work than a key file may".into());
    }
    let salt = Base64::decode_vec(&lock.salt).map_err(|_| "its salt is not base64".to_owned())?;
    let params = Params::new(lock.memory_kib, lock.passes, 1, Some(32));
    let params = params.map_err(|error| error.to_string())?;
    let mut key = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, &salt, &mut key)
        .map_err(|error| error.to_string())?;
    let unbound = UnboundKey::new(&CHACHA20_POLY1305, &key);
    key.fill(0);
    Ok(LessSafeKey::new(unbound.map_err(|_| "the cipher takes no such key".to_owned())?))
}

fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(path: &Path, password: Option<&[u8]>) -> Result<SecretKey, KeyError> {
        read(path)?.open(path, password)
    }

    #[test]
    fn a_key_comes_back_with_its_password_and_with_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.key");
        let public = generate(&path, Some(b"correct horse")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&path, Some(b"correct horse")).unwrap().public(), public);
        assert!(matches!(load(&path, Some(b"wrong")), Err(KeyError::Password { .. })));
        assert!(matches!(load(&path, None), Err(KeyError::Locked { .. })));
        assert!(
            matches!(generate(&path, None), Err(KeyError::File { .. })),
            "nothing is overwritten"
        );
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_another_s_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deploy.key");
        let public = generate(&path, None).unwrap();
        assert_eq!(load(&path, None).unwrap().public(), public);
        let other = generate(&folder.path().join("other.key"), None).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(&public.to_string(), &other.to_string())).unwrap();
        assert!(matches!(load(&path, None), Err(KeyError::Malformed { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load(&path, None), Err(KeyError::Open { mode: 0o640, .. })));
    }
}
