//! The only place that writes: the files that the user asked for, and the standard streams.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::Context;

use crate::bundle::Input;

/// Writes a file whole: beside its place first, then there, so that a full disk leaves the old one.
pub(super) fn to_file(path: &Path, text: &str) -> anyhow::Result<()> {
    write(path, text, 0o666)
}

/// Writes a file that is for nobody's eyes but its owner's.
pub(super) fn to_private_file(path: &Path, text: &str) -> anyhow::Result<()> {
    write(path, text, 0o600)
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    // A device or a pipe is written to, never replaced.
    let special = std::fs::metadata(path).is_ok_and(|old| !old.is_file());
    let written = if special {
        File::create(path).and_then(|mut file| file.write_all(text.as_bytes()))
    } else {
        beside(path, text, mode)
    };
    written.with_context(|| format!("can't write `{}`: choose another place with -o", path.display()))
}

fn beside(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    // A link stays a link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".kubetriage-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path).map(drop).map_err(|error| error.error)
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
