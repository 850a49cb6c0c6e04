//! What the user names on the command line, and the list of things to read that it becomes.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::archive;

/// One argument: a path, or `-` for the standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A folder, an archive or a file.
    Path(PathBuf),
    /// The standard input.
    Stdin,
}

impl Input {
    /// `-` is the standard input, everything else a path.
    pub fn from_argument(argument: &str) -> Self {
        if argument == "-" { Self::Stdin } else { Self::Path(PathBuf::from(argument)) }
    }

    /// The name shown for this input.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::Path(path) => {
                let resolved = if path.file_name().is_none() { path.canonicalize().ok() } else { None };
                let named = resolved.as_deref().unwrap_or(path);
                named
                    .file_name()
                    .map_or_else(|| named.display().to_string(), |name| name.to_string_lossy().into_owned())
            }
        }
    }
}

/// An input that can't be opened at all.
#[derive(Debug)]
pub struct OpenError {
    /// The input as it was named.
    pub input: String,
    /// What the system said.
    pub source: std::io::Error,
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "can't open `{}`: {}", self.input, self.source)?;
        match self.source.kind() {
            std::io::ErrorKind::NotFound => {
                write!(out, " — check the path; a bundle is an archive, a folder, a file, or `-` for stdin")
            }
            std::io::ErrorKind::PermissionDenied => {
                write!(out, " — copy it to where you may read it, or run as its owner")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for OpenError {}

/// One thing for a reader thread to read from start to end.
pub(super) enum Job {
    /// A file, read as a stream. Should it be an archive, its members are named below `members_under`:
    /// nothing for the only input, so that places read as they would inside the unpacked bundle.
    File { path: PathBuf, entry_name: String, members_under: String },
    /// One member of a zip archive: these are found by the directory, so they can be read in parallel.
    ZipMember { path: PathBuf, entry_name: String, members_under: String, index: usize },
    /// A zip archive whose directory can't be read.
    CutZip { path: PathBuf, entry_name: String, members_under: String },
    /// A symbolic link in a folder.
    Link { entry_name: String, members_under: String, target: String },
    /// The standard input.
    Stdin { members_under: String },
    /// Something that is not read, and why.
    Skipped { entry_name: String, why: String, bytes: u64 },
}

impl Job {
    pub(super) fn label(&self) -> &str {
        match self {
            Self::File { entry_name, .. }
            | Self::ZipMember { entry_name, .. }
            | Self::CutZip { entry_name, .. }
            | Self::Link { entry_name, .. }
            | Self::Skipped { entry_name, .. } => entry_name,
            Self::Stdin { .. } => "stdin",
        }
    }
}

/// Lists what there is to read, in the order of names, and the bytes on disk.
pub(super) fn jobs(inputs: &[Input]) -> Result<(Vec<Job>, u64), OpenError> {
    let mut jobs = Vec::new();
    let mut bytes = 0;
    let mut labels: HashMap<String, u32> = HashMap::new();
    for input in inputs {
        // A single input needs no label: its entries are named from its root.
        let label = if inputs.len() > 1 {
            let name = input.name();
            let seen = labels.entry(name.clone()).or_insert(0);
            *seen += 1;
            if *seen == 1 { name } else { format!("{name}#{seen}") }
        } else {
            String::new()
        };
        match input {
            Input::Stdin => jobs.push(Job::Stdin { members_under: label }),
            Input::Path(path) => {
                let fail = |source| OpenError { input: path.display().to_string(), source };
                let meta = path.metadata().map_err(fail)?;
                if meta.is_dir() {
                    bytes += walk(path, &label, &mut jobs);
                } else {
                    bytes += meta.len();
                    file_jobs(path, label, &mut jobs).map_err(fail)?;
                }
            }
        }
    }
    Ok((jobs, bytes))
}

/// A zip file becomes its members; anything else is read as one stream.
fn file_jobs(path: &Path, entry_name: String, jobs: &mut Vec<Job>) -> std::io::Result<()> {
    let mut head = Vec::new();
    if path.metadata()?.is_file() {
        File::open(path)?.take(4).read_to_end(&mut head)?;
    }
    let name = if entry_name.is_empty() { Input::Path(path.to_owned()).name() } else { entry_name.clone() };
    if archive::is_zip(&head) {
        match archive::zip_members(File::open(path)?) {
            Some(members) => jobs.extend(members.into_iter().map(|(index, name)| Job::ZipMember {
                path: path.to_owned(),
                entry_name: archive::join(&entry_name, &name),
                members_under: entry_name.clone(),
                index,
            })),
            None => {
                jobs.push(Job::CutZip { path: path.to_owned(), entry_name: name, members_under: entry_name });
            }
        }
        return Ok(());
    }
    jobs.push(Job::File { path: path.to_owned(), entry_name: name, members_under: entry_name });
    Ok(())
}

fn walk(root: &Path, label: &str, jobs: &mut Vec<Job>) -> u64 {
    let mut bytes = 0;
    for found in walkdir::WalkDir::new(root).follow_links(false).sort_by_file_name() {
        let entry = match found {
            Ok(entry) => entry,
            Err(error) => {
                let entry_name = error.path().and_then(|path| path.strip_prefix(root).ok());
                let entry_name = entry_name.map_or_else(String::new, |path| slashes(path, label));
                jobs.push(Job::Skipped { entry_name, why: format!("can't be read: {error}"), bytes: 0 });
                continue;
            }
        };
        let kind = entry.file_type();
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let entry_name = slashes(relative, label);
        if kind.is_dir() {
            continue;
        }
        if kind.is_file() {
            let length = entry.metadata().map_or(0, |meta| meta.len());
            bytes += length;
            let before = jobs.len();
            if let Err(error) = file_jobs(entry.path(), entry_name.clone(), jobs) {
                jobs.truncate(before);
                jobs.push(Job::Skipped { entry_name, why: format!("can't be read: {error}"), bytes: length });
            }
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            let target = target.to_string_lossy().into_owned();
            jobs.push(Job::Link { entry_name, members_under: label.to_owned(), target });
        } else {
            jobs.push(Job::Skipped {
                entry_name,
                why: "not a regular file, not opened".to_owned(),
                bytes: 0,
            });
        }
    }
    bytes
}

fn slashes(path: &Path, label: &str) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let path = parts.join("/");
    if label.is_empty() { path } else { format!("{label}/{path}") }
}
