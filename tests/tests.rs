//! Every integration test, linked once.

mod layers;
