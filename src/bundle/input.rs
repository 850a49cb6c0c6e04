//! What the user names on the command line, and the list of things to read that it becomes.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, Metadata};
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
    /// What stands before a zip archive in the same file: a script, or another zip.
    Front { path: PathBuf, entry_name: String, members_under: String, bytes: u64 },
    /// One member of a zip archive: these are found by the directory, so they can be read in parallel.
    ZipMember { path: PathBuf, entry_name: String, members_under: String, index: usize },
    /// A member of a zip archive whose bytes are those of another one.
    Overlapping { entry_name: String },
    /// A zip archive whose directory can't be read, or is too long.
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
            | Self::Front { entry_name, .. }
            | Self::ZipMember { entry_name, .. }
            | Self::Overlapping { entry_name }
            | Self::CutZip { entry_name, .. }
            | Self::Link { entry_name, .. }
            | Self::Skipped { entry_name, .. } => entry_name,
            Self::Stdin { .. } => "stdin",
        }
    }
}

/// Jobs by where they stand in the order of reading.
#[derive(Default)]
struct Jobs {
    /// Files and links: they lie on top.
    plain: Vec<Job>,
    /// Archives and their members: whatever they cost, the files come first.
    archives: Vec<Job>,
}

/// Lists what there is to read, files before archives and each in the order of names, and the bytes on disk. A zip of more
/// than `most` members is read from its front instead.
pub(super) fn jobs(inputs: &[Input], most: u64) -> Result<(Vec<Job>, u64), OpenError> {
    let mut jobs = Jobs::default();
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
            Input::Stdin => jobs.archives.push(Job::Stdin { members_under: label }),
            Input::Path(path) => {
                let fail = |source| OpenError { input: path.display().to_string(), source };
                let meta = path.metadata().map_err(fail)?;
                if meta.is_dir() {
                    bytes += jobs.add_folder(path, &label, most);
                } else {
                    bytes += meta.len();
                    jobs.add_file(path, label, most).map_err(fail)?;
                }
            }
        }
    }
    let Jobs { mut plain, mut archives } = jobs;
    plain.append(&mut archives);
    Ok((plain, bytes))
}

impl Jobs {
    /// A zip file becomes its members; anything else is read as one stream.
    fn add_file(&mut self, path: &Path, entry_name: String, most: u64) -> std::io::Result<()> {
        let name =
            if entry_name.is_empty() { Input::Path(path.to_owned()).name() } else { entry_name.clone() };
        let meta = path.metadata()?;
        if !meta.is_file() && !is_pipe(&meta) {
            let why = "a device or socket, not opened".to_owned();
            self.plain.push(Job::Skipped { entry_name: name, why, bytes: 0 });
            return Ok(());
        }
        let mut head = Vec::new();
        if meta.is_file() {
            head.reserve(HEAD);
            open_file(path)?.take(HEAD as u64).read_to_end(&mut head)?;
        }
        let file = |path: &Path| Job::File {
            path: path.to_owned(),
            entry_name: name.clone(),
            members_under: entry_name.clone(),
        };
        let zip = archive::is_zip(&head);
        if !zip && archive::detect(&head).is_some() {
            self.archives.push(file(path));
        } else if zip || (meta.is_file() && archive::is_zip_to_its_end(path, &head)) {
            match archive::zip_directory(File::open(path)?, most) {
                Some(directory) => {
                    let place = || (path.to_owned(), entry_name.clone());
                    if directory.front > 0 {
                        let ((path, members_under), bytes) = (place(), directory.front);
                        self.archives.push(Job::Front { path, entry_name: name, members_under, bytes });
                    }
                    self.archives.extend(directory.members.into_iter().map(|member| {
                        let ((path, members_under), index) = (place(), member.index);
                        let entry_name = archive::join(&members_under, &member.name);
                        if member.overlapping {
                            Job::Overlapping { entry_name }
                        } else {
                            Job::ZipMember { path, entry_name, members_under, index }
                        }
                    }));
                }
                None if zip => {
                    self.archives.push(Job::CutZip {
                        path: path.to_owned(),
                        entry_name: name,
                        members_under: entry_name,
                    });
                }
                None => self.plain.push(file(path)),
            }
        } else {
            self.plain.push(file(path));
        }
        Ok(())
    }

    fn add_folder(&mut self, root: &Path, label: &str, most: u64) -> u64 {
        let mut bytes = 0;
        let mut found = walkdir::WalkDir::new(root).follow_links(false).sort_by_file_name().into_iter();
        while let Some(entry) = found.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let entry_name = error.path().and_then(|path| path.strip_prefix(root).ok());
                    let entry_name = entry_name.map_or_else(String::new, |path| slashes(path, label));
                    self.skip(entry_name, format!("can't be read: {error}"), 0);
                    continue;
                }
            };
            let kind = entry.file_type();
            let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let entry_name = slashes(relative, label);
            if kind.is_dir() {
                if of_the_kernel(entry.path()) {
                    let name = if entry_name.is_empty() { root.display().to_string() } else { entry_name };
                    self.skip(name, "a folder of the running kernel, not read".to_owned(), 0);
                    found.skip_current_dir();
                }
            } else if kind.is_file() {
                let length = entry.metadata().map_or(0, |meta| meta.len());
                bytes += length;
                if let Err(error) = self.add_file(entry.path(), entry_name.clone(), most) {
                    self.skip(entry_name, format!("can't be read: {error}"), length);
                }
            } else if kind.is_symlink() {
                let target = std::fs::read_link(entry.path()).unwrap_or_default();
                let target = target.to_string_lossy().into_owned();
                self.plain.push(Job::Link { entry_name, members_under: label.to_owned(), target });
            } else {
                self.skip(entry_name, "not a regular file, not opened".to_owned(), 0);
            }
        }
        bytes
    }

    fn skip(&mut self, entry_name: String, why: String, bytes: u64) {
        self.plain.push(Job::Skipped { entry_name, why, bytes });
    }
}

/// So much of a file tells what it is, in bytes: a tar header.
const HEAD: usize = 512;

#[cfg(unix)]
fn is_pipe(meta: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}

/// Opens a file to read it. A pipe that nobody writes to is empty, and never waited for; what the running kernel makes up
/// while it is read (`/proc/kmsg`, `/proc/kcore`) may wait or never end, and is not opened.
pub(super) fn open_file(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    if of_the_kernel(path) {
        return Err(std::io::Error::other("a file of the running kernel, not opened"));
    }
    options.open(path)
}

/// Whether a path lies in a file system that the kernel makes up: `/proc`, `/sys` and what is mounted below.
#[cfg(target_os = "linux")]
fn of_the_kernel(path: &Path) -> bool {
    /// `statfs(2)`: proc, sysfs, debugfs, tracefs, securityfs, cgroup, cgroup2, bpf, configfs, `SELinux`, `binfmt_misc`.
    const MADE_UP: [u64; 11] = [
        0x9fa0,
        0x6265_6572,
        0x6462_6720,
        0x7472_6163,
        0x7363_6673,
        0x0027_e0eb,
        0x6367_7270,
        0xcafe_4a11,
        0x6265_6570,
        0xf97c_ff8c,
        0x4249_4e4d,
    ];
    rustix::fs::statfs(path)
        .is_ok_and(|system| u64::try_from(system.f_type).is_ok_and(|kind| MADE_UP.contains(&kind)))
}

#[cfg(not(target_os = "linux"))]
fn of_the_kernel(_: &Path) -> bool {
    false
}

fn slashes(path: &Path, label: &str) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let path = parts.join("/");
    archive::shortened(if label.is_empty() { path } else { format!("{label}/{path}") })
}
