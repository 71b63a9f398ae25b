//! Every integration test, linked once.

mod layers;
mod outbox;
