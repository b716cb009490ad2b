//! Many machines: chains that are spread over builders, binary caches that people share, and what happens when one of them
//! goes away.
//!
//! Each machine has its own Nix, store, users, process and mount namespace; the systems are this one and those that
//! `scripts/machines.sh` made (`make test-machines` does both). Where they are not made, or this is not root, every test
//! here says SKIPPED.

#[path = "../support/http.rs"]
mod http;
#[path = "../support/mod.rs"]
mod support;

mod chain;
mod clock;
mod cores;
mod dies;
mod document;
mod fresh;
mod machine;
mod s3;
mod vanishes;
mod versions;
