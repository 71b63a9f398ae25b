//! A small HTTP/1.1 server: requests within bounds, responses as whole bodies.
//!
//! `httparse` reads the head of a request; this module frames the body, holds the bounds of size
//! and time, and decides who may ask. There is no TLS, no chunked body and no compression: the
//! server is for loopback, a private network, or a reverse proxy.
//!
//! Every connection is one task. A client that is slow costs one of `MAX_CONNECTIONS`
//! places until another client needs it.

mod access;
mod connection;
mod head;
mod places;
mod request;
mod response;
mod server;
#[cfg(test)]
mod tests;

pub use access::{Access, MIN_TOKEN_BYTES, Token, TokenError};
pub use request::{Method, Request};
pub use response::Response;
pub use server::Server;
