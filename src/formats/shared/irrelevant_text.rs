//! Texts that tell nothing of a cluster's faults: they are named, so that nobody wonders what they were.

/// What a text is, when it is of no use; by its content, or by its name when that is all there is.
pub(in crate::formats) fn class(text: &[u8], path: &str) -> Option<&'static str> {
    let head = text.trim_ascii_start();
    let lower: Vec<u8> = head.get(..head.len().min(400)).unwrap_or_default().to_ascii_lowercase();
    let starts = |words: &[&str]| words.iter().any(|word| lower.starts_with(word.as_bytes()));
    let name = path.rsplit(['/', '!']).next().unwrap_or(path).to_ascii_lowercase();
    let named = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if starts(&["<!doctype html", "<html", "<head", "<body"]) {
        return Some("HTML page");
    }
    if starts(&["<?xml", "<testsuite", "<svg", "<configuration", "<!--"]) {
        return Some("XML document");
    }
    if starts(&["resources "]) && memchr::memmem::find(&lower, b"non-resource urls").is_some() {
        return Some("kubectl auth can-i --list");
    }
    if starts(&["[+]", "[-]"]) {
        return Some("health report of the API server");
    }
    if starts(&[
        "kubernetes control plane is running",
        "kubernetes master is running",
        "cluster info dumped to",
    ]) {
        return Some("kubectl cluster-info");
    }
    if head.split(|byte| *byte == b'\n').all(|line| line.trim_ascii().is_empty() || remark(line))
        && !head.is_empty()
    {
        return Some("words of kubectl: nothing found, or a warning");
    }
    if starts(&["-----begin ", "ssh-rsa ", "ssh-ed25519 "]) {
        return Some("certificate or key");
    }
    if starts(&["#!/"]) {
        return Some("script");
    }
    if starts(&["---\napiversion", "apiversion:"]) {
        return None;
    }
    if starts(&["{", "["]) {
        return json(head);
    }
    if named(&[
        ".go", ".py", ".rs", ".js", ".ts", ".css", ".java", ".c", ".h", ".cs", ".ps1", ".sh", ".bat", ".sql",
        ".lua", ".tpl",
    ]) {
        return Some("source code");
    }
    if named(&[".md", ".rst", ".adoc"])
        || starts(&["# changelog", "mit license", "apache license", "permission is hereby"])
    {
        return Some("documentation");
    }
    if named(&[".conf", ".config", ".cfg", ".ini", ".toml", ".properties", ".env", ".service", ".rules"]) {
        return Some("program configuration");
    }
    if named(&[".prom"]) || starts(&["# help ", "# type "]) {
        return Some("Prometheus metrics");
    }
    if is_csv(head) {
        return Some("CSV of another kind");
    }
    if is_yaml(head) {
        return Some("YAML of another kind");
    }
    None
}

/// Whether a text quotes the words of errors that nobody met: what a program is made of or set to, and what explains it to
/// its users. A note in Markdown is none of these: people write tickets so.
pub(in crate::formats) fn quotes_only(class: &str, text: &[u8], path: &str) -> bool {
    match class {
        "script" | "source code" | "program configuration" => true,
        "documentation" => is_manual(text, path),
        // Settings, by their name: lines of a log may look like keys and values. What a cluster says of itself has a status
        // or messages.
        "YAML of another kind" => {
            let path = path.to_ascii_lowercase();
            let name = path.rsplit(['/', '!']).next().unwrap_or_default();
            let yaml = [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
            let of_cluster = [&b"status:"[..], b"message:", b"reason:"]
                .iter()
                .any(|key| memchr::memmem::find(text, key).is_some());
            yaml && (name.contains("values") || !of_cluster)
        }
        _ => false,
    }
}

/// Whether a text explains a program to its users, by its name, its folder, or the versions that it lists.
pub(in crate::formats) fn is_manual(text: &[u8], path: &str) -> bool {
    const NAMES: [&str; 10] = [
        "changelog",
        "changes",
        "contributing",
        "history",
        "license",
        "release",
        "security",
        "faq",
        "troubleshoot",
        "runbook",
    ];
    const HEADINGS: [&[u8]; 7] = [
        b"# install",
        b"# usage",
        b"# getting started",
        b"# configuration",
        b"# license",
        b"# contributing",
        b"if you see",
    ];
    const FOLDERS: [&str; 4] = ["docs", "doc", "documentation", "man"];
    let path = path.to_ascii_lowercase();
    let mut parts = path.rsplit(['/', '!']);
    let name = parts.next().unwrap_or_default();
    if !name.starts_with("readme") && ![".md", ".rst", ".adoc"].iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    // `## v1.2.3`, `## [1.2.3] - 2026-01-02`
    let of_version = |line: &[u8]| {
        let rest = line.strip_prefix(b"## ").unwrap_or_default();
        let rest = rest.strip_prefix(b"[").unwrap_or(rest);
        rest.strip_prefix(b"v").unwrap_or(rest).first().is_some_and(u8::is_ascii_digit)
            && rest.iter().take(12).any(|byte| *byte == b'.')
    };
    // `history-of-the-incident.md` is none, and who tells of himself writes a ticket, in whatever folder.
    let named = NAMES.iter().any(|word| {
        name.strip_prefix(word).is_some_and(|rest| rest.starts_with(['.', '_']) || rest.starts_with("ing"))
    });
    let ticket = super::customer_note::first_words(text).is_some();
    let readme =
        name.starts_with("readme") && HEADINGS.iter().any(|words| contains_ignoring_case(text, words));
    readme
        || named && !ticket
        || !ticket && parts.any(|folder| FOLDERS.contains(&folder))
        || text.split(|byte| *byte == b'\n').filter(|line| of_version(line)).count() > 1
}

fn contains_ignoring_case(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window.eq_ignore_ascii_case(words))
}

/// What kubectl says when there is nothing to show, or beside it: no error.
fn remark(line: &[u8]) -> bool {
    [&b"No resources found"[..], b"Warning: "].iter().any(|start| line.starts_with(start))
}

/// JSON that no format claims, by the keys that say what it is.
fn json(head: &[u8]) -> Option<&'static str> {
    let head = head.get(..head.len().min(4096)).unwrap_or(head);
    let has = |word: &str| memchr::memmem::find(head, word.as_bytes()).is_some();
    // `[    0.000000] kernel: …`, `[2026-11-20 10:00:00] …`: words behind the bracket are those of a log.
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let behind = memchr::memmem::find(line, b"] ").and_then(|at| line.get(at + 2..)).unwrap_or_default();
    if head.starts_with(b"[") && behind.trim_ascii_start().first().is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    if matches!(head.trim_ascii(), b"[]" | b"{}") {
        return Some("empty list (JSON)");
    }
    // A value, and no bracket of a log line.
    let second = head.get(1..).unwrap_or_default().trim_ascii_start().first();
    if !matches!(
        second,
        None | Some(b'"' | b'{' | b'[' | b']' | b'}' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n')
    ) {
        return None;
    }
    if has("\"groupVersion\"") || has("\"APIResourceList\"") || has("\"preferredVersion\"") {
        return Some("API discovery");
    }
    if has("\"gitVersion\"") || has("\"gitCommit\"") {
        return Some("version information");
    }
    if has("\"usageNanoCores\"") || has("\"workingSetBytes\"") {
        return Some("kubelet statistics");
    }
    if has("\"kubeletconfig\"") {
        return Some("kubelet configuration");
    }
    if has("\"isFail\"") || has("\"insight\"") {
        return Some("verdicts of another analyser");
    }
    Some("JSON of another kind")
}

/// The same number of commas in each of the first lines.
fn is_csv(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).take(6);
    let commas = |line: &[u8]| memchr::memchr_iter(b',', line).count();
    // The names of columns are short; rows of events have commas, too.
    let names = |line: &[u8]| line.split(|byte| *byte == b',').all(|name| name.len() <= 60);
    let Some(columns) = lines.next().filter(|line| names(line)).map(commas).filter(|columns| *columns >= 2)
    else {
        return false;
    };
    let mut rows = 0;
    lines.filter(|line| !line.is_empty()).all(|line| {
        rows += 1;
        commas(line) == columns
    }) && rows > 0
}

/// Keys at the margin, and what is below them.
fn is_yaml(head: &[u8]) -> bool {
    let (mut lines, mut fitting, mut keys) = (0, 0, 0);
    let mut block: Option<usize> = None;
    for line in
        head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty()).take(60)
    {
        let text = line.trim_ascii_start();
        let indent = line.len() - text.len();
        // The lines of a text below its key may be anything.
        if block.is_some_and(|margin| indent > margin) {
            continue;
        }
        block = [&b"|"[..], b">", b"|-", b">-"].iter().any(|mark| line.ends_with(mark)).then_some(indent);
        // A quoted value may go on in the next lines.
        let open = |quote: u8| memchr::memchr_iter(quote, text).count() % 2 == 1;
        if open(b'\'') || open(b'"') {
            block = block.or(Some(indent));
        }
        lines += 1;
        let key = memchr::memchr(b':', text).is_some_and(|at| {
            let name = text.get(..at).unwrap_or_default();
            let name = name.strip_prefix(b"- ").unwrap_or(name);
            let ends = matches!(text.get(at + 1), None | Some(b' '));
            ends && !name.is_empty()
                && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-./\"'".contains(byte))
        });
        keys += usize::from(key);
        fitting +=
            usize::from(key || text.starts_with(b"- ") || text.starts_with(b"#") || line.starts_with(b"---"));
    }
    lines >= 2 && fitting * 10 >= lines * 9 && keys * 2 >= lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_use_is_named() {
        assert_eq!(class(b"<!DOCTYPE html><p>", "a"), Some("HTML page"));
        assert_eq!(class(b"<?xml version=\"1.0\"?>", "a"), Some("XML document"));
        assert_eq!(class(b"{\"groupVersion\":\"v1\"}", "a"), Some("API discovery"));
        assert_eq!(class(b"a,b,c\n1,2,3\n4,5,6\n", "a"), Some("CSV of another kind"));
        assert_eq!(class(b"name: x\nstatus: failed\nitems:\n- name: y\n", "a"), Some("YAML of another kind"));
        assert_eq!(class(b"global\n  maxconn 20000\n", "haproxy.config"), Some("program configuration"));
    }

    #[test]
    fn a_manual_quotes_errors_and_a_ticket_in_markdown_reports_them() {
        let error = b"etcdserver: mvcc: database space exceeded\n";
        assert!(is_manual(error, "bundle.zip!app/CHANGELOG.md") && is_manual(error, "app/docs/etcd.md"));
        assert!(is_manual(b"# Notes\n## v1.2.3\n- x\n## [1.2.2] - 2026-01-02\n", "notes.md"));
        assert!(!is_manual(error, "ticket.md") && !is_manual(b"# Ticket\n## 23.11. 10:00\n", "ticket.md"));
        assert!(quotes_only(
            "YAML of another kind",
            b"etcd:\n  quota: 8Gi # space exceeded\n",
            "values.yaml"
        ));
        assert!(!quotes_only("YAML of another kind", b"status:\n  message: refused\n", "a.yaml"));
    }

    #[test]
    fn what_may_be_of_use_is_not_put_aside() {
        assert_eq!(class(b"Error from server: the ticket says: so\nand more words\n", "notes.txt"), None);
        assert_eq!(class(b"[ERROR] plugin/errors: 2 x", "a"), None);
        assert_eq!(class(b"hello, world\nthis, that\n", "a"), None);
    }
}
