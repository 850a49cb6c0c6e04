//! The only place that writes: the files that the user asked for, and the standard streams.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

/// Writes a file whole.
pub(super) fn to_file(path: &Path, text: &str) -> anyhow::Result<()> {
    File::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("can't write `{}`: choose another place with -o", path.display()))
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
