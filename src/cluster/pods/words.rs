//! The last words of a container: the end of its log, wherever the bundle keeps it, or of its termination message.

use crate::cluster::speaker::is_of_pod;
use crate::evidence::Evidence;
use crate::facts::{Facts, Key, LastWords, Terminated};

/// The lines that name a failure at the end of a container's log: of the run before where there is such a log, since the
/// present run may still be at work.
pub fn last_words<'a>(facts: &'a Facts, pod: &Key, container: &str) -> &'a [Evidence] {
    best_log(facts, pod, container, |end| !end.lines.is_empty()).map_or(&[], |end| &end.lines)
}

/// The last line of a container's log, whatever it says: of a container that ends, it is often the reason.
pub fn last_line<'a>(facts: &'a Facts, pod: &Key, container: &str) -> Option<&'a Evidence> {
    best_log(facts, pod, container, |_| true)?.last.as_ref()
}

fn best_log<'a>(
    facts: &'a Facts,
    pod: &Key,
    container: &str,
    fits: impl Fn(&LastWords) -> bool,
) -> Option<&'a LastWords> {
    let logs = facts.log_ends.map.iter().filter(|(path, _)| is_of(path, pod));
    let best = logs.filter(|(_, end)| fits(end)).max_by_key(|(path, _)| {
        let after = path.find(&*pod.name).and_then(|at| path.get(at..)).unwrap_or_default();
        let of_container = !container.is_empty() && after.contains(container);
        (of_container, path.contains("previous"), std::cmp::Reverse(*path))
    });
    best.map(|(_, end)| end)
}

/// Whether an entry is a log of this pod; `cart-1-previous.log` and `cart-1_app.log` beside `cart-1.log`.
fn is_of(path: &str, pod: &Key) -> bool {
    if is_of_pod(path, pod) {
        return true;
    }
    let Some((before, after)) = path.split_once(&*pod.name) else { return false };
    let below = before.split(['/', '_', '!']).any(|part| part == &*pod.namespace);
    below
        && before.ends_with(['/', '_', '!'])
        && ["-previous", "-prev", ".previous", "-logs"].iter().any(|start| after.starts_with(start))
}

/// A line of a log without what stands before its words: a time, the stream, the progress that curl shows.
pub fn without_time(line: &str) -> &str {
    let line = line.find("curl: (").and_then(|at| line.get(at..)).unwrap_or(line);
    let mut rest = line.trim();
    while let Some((word, more)) = rest.split_once(' ') {
        let dated = word.len() >= 8
            && word.starts_with(|c: char| c.is_ascii_digit())
            && word.contains(['-', ':', '/']);
        if !dated && !matches!(word, "stderr" | "stdout" | "F") {
            break;
        }
        rest = more.trim_start();
    }
    rest
}

/// The line of a termination message that says why: the last one that is no frame of a stack.
pub fn of_message(ended: &Terminated) -> Option<&str> {
    let lines = ended.message.lines().map(str::trim_end).filter(|line| !line.trim().is_empty());
    let telling = |line: &&str| {
        let text = line.trim_start();
        !line.starts_with(['\t', ' ']) && !text.starts_with("goroutine ") && !text.starts_with("[signal ")
    };
    let all: Vec<&str> = lines.filter(telling).collect();
    let names = |line: &&&str| {
        ["panic", "atal", "rror", "xception", "ailed", "denied", "refused", "Caused by"]
            .iter()
            .any(|word| line.contains(word))
    };
    all.iter().rev().find(names).or_else(|| all.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_line_that_names_one() {
        let ended = Terminated {
            message: "INFO up\npanic: open /etc/key.pem: permission denied\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:1".into(),
            ..Terminated::default()
        };
        assert_eq!(of_message(&ended), Some("panic: open /etc/key.pem: permission denied"));
    }

    #[test]
    fn the_log_of_the_run_before_is_known_by_its_name() {
        let pod = Key::new("shop", "cart-1");
        assert!(is_of("logs/shop/cart-1-previous.log", &pod));
        assert!(!is_of("logs/shop/cart-1-2x.log", &pod));
    }
}
