//! What must not leave: secrets never, names and addresses not when pseudonyms are wanted.

use kubetriage::report::{Pseudonyms, Replace, redact};

use crate::{files, folder, is_due, judged, outputs};

/// What stands for a mark in an input: a control character, which texts have no use for.
const PLACES: [(u8, &str); 6] = [
    (1, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJmdXp6In0.bWFya21hcmttYXJr"),
    (2, "password=Mark3dMark3dMark3d"),
    (3, "ada.marked@contoso-marked.com"),
    (4, "aks-marked-31415926-vmss000007"),
    (5, "8c6f1b52-3c0d-4c2e-9a27-6d61726b6564"),
    (6, "ghp_markedmarkedmarkedmarkedmarkedmarked"),
];

/// What is looked for: of each secret the part that must not be seen, and names whole. A name that an excerpt cuts in its
/// middle (`ada.marked@contoso-ma…`) has no longer the form by which names are known, and still shows its beginning.
const HIDDEN: [(&str, bool); 6] = [
    ("eyJzdWIiOiJmdXp6In0", true),
    ("Mark3dMark3d", true),
    ("ada.marked@contoso-marked.com", false),
    ("aks-marked-31415926-vmss000007", false),
    ("8c6f1b52-3c0d-4c2e-9a27-6d61726b6564", false),
    ("ghp_markedmarkedmarked", true),
];

/// Bytes as a few files with marks in them: no mark is in any output.
pub fn redaction(data: &[u8]) {
    // A fuzzer learns the marks from the search for them; what it then writes is none, but a part of one.
    if HIDDEN.iter().any(|(mark, _)| holds(data, mark)) || !data.iter().any(|byte| (1..=6).contains(byte)) {
        return;
    }
    let mut files = files(data);
    for (_, bytes) in &mut files {
        let mut text = Vec::with_capacity(bytes.len());
        for byte in bytes.iter() {
            match PLACES.iter().find(|(place, _)| place == byte) {
                Some((_, mark)) => text.extend([b" ", mark.as_bytes(), b" "].concat()),
                None => text.push(*byte),
            }
        }
        *bytes = text;
    }
    // The cluster knows the node by its object, so its name is one wherever it stands.
    let node = br#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"aks-marked-31415926-vmss000007"}}"#;
    files.push(("the-node.json".to_owned(), node.to_vec()));
    let folder = folder(&files);
    let (cluster, diagnosis) = judged(folder.path(), 1);
    for (part, replace) in [None, Some(Replace::All)].into_iter().enumerate() {
        if !is_due(data, part, 2) {
            continue;
        }
        let result = redact(diagnosis.clone(), replace.map(|what| Pseudonyms::new(&cluster, what)));
        for (name, text) in outputs(&result, data) {
            for (mark, secret) in HIDDEN {
                if let Some(at) = text.find(mark).filter(|_| secret || replace.is_some()) {
                    let near = text.as_bytes().get(at.saturating_sub(160)..at + 160);
                    let near = String::from_utf8_lossy(near.unwrap_or(&text.as_bytes()[at..]));
                    panic!("{mark} is in {name}, {replace:?}: {near}");
                }
            }
        }
    }
}

fn holds(data: &[u8], mark: &str) -> bool {
    let part = &mark.as_bytes()[mark.len() / 4..mark.len() * 3 / 4];
    data.windows(part.len()).any(|bytes| bytes == part)
}
