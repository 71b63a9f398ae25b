//! Ranges over HTTP(S): from servers by others, and from servers that mean harm.

mod hostile;
mod servers;

use inferd::web::{Client, Settings};

/// As patient as a test.
fn client() -> Client {
    Client::new(Settings::default()).unwrap()
}

/// What lies on the servers: every range of it is another one.
fn blob() -> Vec<u8> {
    (0..200_000_u32).flat_map(|n| n.to_le_bytes()).collect()
}
