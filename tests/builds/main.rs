//! Real Nix builds of split packages: the result equals the unsplit build, and an edit builds exactly what it should.
//!
//! Needs Nix and the machine's toolchain, which `make test` brings; without Nix every test here fails and says so.

#[path = "../support/cached.rs"]
mod cached;
#[path = "../support/mod.rs"]
mod support;

mod break_point;
mod bubblewrap;
mod cuts;
mod deep;
mod equality;
mod explain;
mod failures;
mod held_back;
mod keep_failed;
mod kept_states;
mod moved;
mod other_machine;
mod other_user;
mod outside;
mod pin;
mod point;
mod readers;
mod real;
mod relocation;
mod remote;
mod reuse;
mod roots;
mod runtime;
mod shell;
mod shell_states;
mod ssh_cache;
mod state_command;
mod team;
mod trust;
mod unsandboxed;
mod warnings;
