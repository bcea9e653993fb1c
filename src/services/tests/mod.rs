//! Every provider against a real HTTP server on the loopback.
