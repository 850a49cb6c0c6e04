//! The integration tests: one binary, so that an edit links once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod bombs;
mod catalogue;
mod cli;
mod commands;
mod common;
mod damage;
mod denial_forms;
mod determinism;
mod golden;
mod guide_access;
mod guide_addresses;
mod hostile;
mod ipam_properties;
mod leaks;
#[path = "../models/mod.rs"]
mod models;
mod names;
mod outputs;
mod pitfalls;
mod policy_properties;
mod rbac_properties;
mod rooms;
mod shell;
mod whole_or_absent;
mod window;
mod wording;
