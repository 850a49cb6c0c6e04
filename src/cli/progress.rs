//! A progress bar on a terminal; nothing otherwise.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::bundle::Progress;

/// Runs `work` while showing how far the reading has come.
pub(super) fn during<T: Send>(
    quiet: bool,
    progress: Option<&Progress>,
    work: impl FnOnce() -> T + Send,
) -> T {
    let Some(progress) = progress.filter(|_| !quiet && std::io::stderr().is_terminal()) else {
        return work();
    };
    let bar = ProgressBar::new_spinner();
    bar.set_draw_target(ProgressDrawTarget::stderr());
    style(&bar, 0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let text = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let total = progress.total.load(Ordering::Relaxed);
                if total > 0 && bar.length() != Some(total) {
                    bar.set_length(total);
                    style(&bar, total);
                }
                bar.set_position(progress.packed.load(Ordering::Relaxed));
                let name = progress.current();
                let name = crate::report::visible(&name);
                let tail: String =
                    name.chars().rev().take(48).collect::<Vec<_>>().into_iter().rev().collect();
                bar.set_message(tail);
                std::thread::park_timeout(Duration::from_millis(80));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        text.thread().unpark();
        let _ = text.join();
        bar.finish_and_clear();
        result
    })
}

/// `total` is the bytes on disk, 0 when unknown.
fn style(bar: &ProgressBar, total: u64) {
    let template = if total > 0 {
        "{bar:24} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}  {msg}"
    } else {
        "{spinner} {bytes}  {bytes_per_sec}  {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
