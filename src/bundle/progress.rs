//! How far the reading has come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How far the reading has come, for a progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes on disk; 0 when unknown.
    pub total: AtomicU64,
    /// Of these, bytes taken.
    pub packed: AtomicU64,
    /// Bytes after decompression.
    pub unpacked: AtomicU64,
    /// Entries begun.
    pub entries: AtomicU64,
    current: Mutex<String>,
}

impl Progress {
    /// The entry being read.
    pub fn current(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn enter(&self, path: &str) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        path.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
