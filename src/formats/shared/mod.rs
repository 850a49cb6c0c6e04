//! What several formats need: JSON streams, log lines and their wrappers, messages, table rows.

mod access_line;
mod address_signals;
mod attempts;
pub(in crate::formats) mod audit;
pub(in crate::formats) mod command;
pub(in crate::formats) mod conditions;
pub(in crate::formats) mod csv_rows;
pub(in crate::formats) mod dump;
pub(in crate::formats) mod envelope;
pub(in crate::formats) mod events;
pub(in crate::formats) mod fragments;
pub(in crate::formats) mod go_encoded;
pub(in crate::formats) mod irrelevant_text;
pub(in crate::formats) mod json;
pub(in crate::formats) mod line;
pub(in crate::formats) mod log;
pub(in crate::formats) mod log_line;
pub(in crate::formats) mod message;
pub(in crate::formats) mod network_signals;
pub(in crate::formats) mod nnc;
mod operation_signals;
mod prefilter;
pub(in crate::formats) mod prompt;
pub(in crate::formats) mod rows;
pub(in crate::formats) mod sections;
pub(in crate::formats) mod table;
pub(in crate::formats) mod unwrap;
