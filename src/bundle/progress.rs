//! How far the reading has come.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// Bytes of their names.
    pub(super) names: AtomicU64,
    /// Bytes of streams that have grown beyond their ratio.
    pub(super) forgiven: AtomicU64,
    /// A limit was reached.
    pub(super) limited: AtomicBool,
    current: Mutex<String>,
}

impl Progress {
    /// The entry being read.
    pub fn current(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins anew.
    pub fn restart(&self) {
        for count in [&self.packed, &self.unpacked, &self.entries, &self.names, &self.forgiven] {
            count.store(0, Ordering::Relaxed);
        }
        self.limited.store(false, Ordering::Relaxed);
    }

    /// Whether a limit was reached.
    pub fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self, path: &str) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.names.fetch_add(path.len() as u64, Ordering::Relaxed);
        path.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
