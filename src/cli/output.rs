//! The only place that writes: the files that the user asked for, and the standard streams.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::bundle::Input;

/// A file that is to be written.
pub(super) struct NewFile<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    /// For nobody's eyes but its owner's.
    pub(super) private: bool,
}

/// Writes files, each whole, and all or none: every one is on the disk before the first takes its place. A full disk, or a
/// signal while they are written, leaves the old ones.
pub(super) fn to_files(files: &[NewFile<'_>]) -> anyhow::Result<()> {
    let staged: Vec<_> = files.iter().map(|file| file.tell_where(file.stage())).collect::<Result<_, _>>()?;
    for (file, staged) in files.iter().zip(staged) {
        file.tell_where(file.place(staged))?;
    }
    Ok(())
}

/// What is written and has not taken its place.
enum StagedFile {
    /// It has no name, so nothing is left of it, whatever ends the program.
    #[cfg(target_os = "linux")]
    Nameless(File),
    /// Beside its place, where the file system gives no file without a name.
    Beside(tempfile::TempPath),
    /// A device or a pipe, which was written to: it is never replaced.
    Special,
}

impl NewFile<'_> {
    fn tell_where<T>(&self, written: io::Result<T>) -> anyhow::Result<T> {
        written
            .with_context(|| format!("can't write `{}`: choose another place with -o", self.path.display()))
    }

    fn stage(&self) -> io::Result<StagedFile> {
        if std::fs::metadata(self.path).is_ok_and(|old| !old.is_file()) {
            File::create(self.path)?.write_all(self.text.as_bytes())?;
            return Ok(StagedFile::Special);
        }
        #[cfg(target_os = "linux")]
        if let Ok(file) = self.nameless() {
            self.fill(&file)?;
            return Ok(StagedFile::Nameless(file));
        }
        self.stage_beside()
    }

    fn stage_beside(&self) -> io::Result<StagedFile> {
        let file = self.beside().tempfile_in(self.folder())?;
        self.fill(file.as_file())?;
        Ok(StagedFile::Beside(file.into_temp_path()))
    }

    fn place(&self, staged: StagedFile) -> io::Result<()> {
        match staged {
            #[cfg(target_os = "linux")]
            StagedFile::Nameless(file) => {
                match self.beside().make_in(self.folder(), |at| link(&file, at)) {
                    Ok(named) => self.place(StagedFile::Beside(named.into_temp_path())),
                    // Without `/proc` nothing can be said of it by which it gets a name.
                    Err(_) => self.place(self.stage_beside()?),
                }
            }
            StagedFile::Beside(file) => file.persist(self.target()).map_err(|error| error.error),
            StagedFile::Special => Ok(()),
        }
    }

    fn fill(&self, mut file: &File) -> io::Result<()> {
        file.write_all(self.text.as_bytes())?;
        file.sync_all()
    }

    /// A link stays a link.
    fn target(&self) -> PathBuf {
        self.path.canonicalize().unwrap_or_else(|_| self.path.to_owned())
    }

    fn folder(&self) -> PathBuf {
        let target = self.target();
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).to_owned()
    }

    fn mode(&self) -> u32 {
        if self.private { 0o600 } else { 0o666 }
    }

    fn beside(&self) -> tempfile::Builder<'static, 'static> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".kubetriage-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(self.mode()));
        builder
    }

    #[cfg(target_os = "linux")]
    fn nameless(&self) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        Ok(open(self.folder(), flags, Mode::from_raw_mode(self.mode()))?.into())
    }
}

/// Gives a file without a name one.
#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{AtFlags, CWD, linkat};
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Writes to the standard output. A reader that has gone away is no error.
pub(super) fn to_stdout(bytes: &[u8]) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("can't write to the standard output"),
    }
}

/// Writes styled text to the standard output, without the styles where they can't be shown.
pub(super) fn styled(text: &str) -> anyhow::Result<()> {
    match anstream::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("can't write to the standard output"),
    }
}

/// Writes styled text to the standard error.
pub(super) fn styled_error(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// A line on the standard error.
pub(super) fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", crate::report::visible(message));
}

/// Whether a place to write to is an input, or a file of one that no earlier run has written.
pub(super) fn is_of_input(input: &Input, output: &Path) -> bool {
    match (input, output.canonicalize()) {
        (Input::Path(path), Ok(output)) => path.canonicalize().is_ok_and(|path| {
            path == output || (output.is_file() && output.starts_with(path) && !is_report(&output))
        }),
        _ => false,
    }
}

/// Whether a file begins as a report does.
fn is_report(path: &Path) -> bool {
    const HEAD: u64 = 4096;
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && memchr::memmem::find(&head, b"kubetriage").is_some()
}
