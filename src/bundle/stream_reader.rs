//! What a reader thread has at hand, and what it says of an entry.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

use zip::ZipArchive;

use super::block::{Block, BufferPool, Entry};
use super::frame::Framer;
use super::inflate::Inflater;
use super::limits::{Allowance, Limits};
use super::progress::Progress;

/// Decides what an entry is, from its first block.
pub trait Recogniser: Sync {
    /// Looks at the first bytes of a text entry, up to a block of it.
    fn recognise(&self, entry: &Entry, head: &[u8]) -> Recognised;
}

/// The answer of a [`Recogniser`].
pub struct Recognised {
    /// Given back with each block.
    pub format: u16,
    /// How to cut the entry.
    pub framer: Box<dyn Framer>,
}

/// What became of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryReport {
    /// Path of the entry.
    pub path: Arc<str>,
    /// Bytes of text read, after decompression and decoding.
    pub bytes: u64,
    /// Why it was not handed to a format: empty, binary, a link.
    pub not_text: Option<String>,
    /// What was damaged or cut.
    pub problems: Vec<String>,
    /// For a link: where it leads.
    pub(super) link: Option<LinkTarget>,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkTarget {
    /// To this place in the same archive or folder.
    Within(Arc<str>),
    /// Out of it.
    Outside,
}

impl EntryReport {
    /// A report on something that failed as a whole.
    pub fn failed(path: &str, problem: String) -> Self {
        Self { path: Arc::from(path), bytes: 0, not_text: None, problems: vec![problem], link: None }
    }
}

/// Where the stream being read lies.
pub(super) struct StreamPlace {
    /// Its name, should it turn out to be a file.
    pub(super) path: String,
    /// What its members are named below, should it turn out to be an archive.
    pub(super) members_under: String,
    pub(super) modified: Option<i64>,
    /// Archives and compressions around it.
    pub(super) depth: u8,
    /// Whether it lies beside others: what it takes is not theirs.
    pub(super) beside_others: bool,
}

/// What one reader thread has at hand.
pub(super) struct StreamReader<'a> {
    pub(super) limits: &'a Limits,
    pub(super) recogniser: &'a dyn Recogniser,
    pub(super) progress: &'a Progress,
    pub(super) send: &'a (dyn Fn(Block) + Sync),
    pub(super) pool: Arc<BufferPool>,
    pub(super) reports: Vec<EntryReport>,
    /// Directories of the zips that this thread has open.
    pub(super) zips: HashMap<PathBuf, ZipArchive<BufReader<File>>>,
    /// Inflaters that are not in use.
    pub(super) inflaters: Vec<Inflater>,
    /// Bytes of nested zips that this thread holds.
    pub(super) held: usize,
    /// The sums at which the reading of what is being read stops.
    pub(super) allowance: Allowance,
    /// Whether there are several inputs, or one of many files.
    pub(super) beside_others: bool,
    /// Whether a limit that bites ends the reading at once: it will be done again, in order.
    pub(super) tentative: bool,
}
