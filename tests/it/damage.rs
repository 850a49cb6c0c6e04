//! The damage matrix: every sample cut, with flipped bytes, in other encodings, in every container, and
//! among others. No panic, no endless loop, and what is whole is still read.

use crate::common;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use kubetriage::facts::Facts;

/// A sample as bytes; those that are known by their place in a folder are left to their own tests.
fn samples() -> Vec<(PathBuf, Vec<u8>)> {
    common::files(&common::sample("inputs"))
        .into_iter()
        .filter(|path| {
            let path = path.to_string_lossy().into_owned();
            !path.contains("host-local-store")
                && !path.contains("plain-log")
                && !path.contains("collection-errors")
        })
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

/// What is in a text whatever wraps it: kinds of objects, events, refusals, records by format.
fn told(facts: &Facts) -> String {
    let mut formats = std::collections::BTreeMap::new();
    for entry in facts.coverage.entries.values() {
        for (format, records) in entry.formats.iter() {
            *formats.entry(format).or_insert(0) += records;
        }
    }
    format!(
        "objects {:?}\nevents {}\nrefusals {}\nsignals {}\nleases {}\nnodes {:?}\nazure {}\nflows {}\nformats {formats:?}",
        facts.objects.counts(),
        facts.events.map.len(),
        facts.denials.map.len() + facts.access.map.len(),
        facts.signals.map.len(),
        facts.leases.stores.values().map(|store| store.leases.len()).sum::<usize>(),
        facts.nodes.counts(),
        facts.azure.resources.len(),
        facts.flows.map.len(),
    )
}

fn read(path: &Path) -> Facts {
    let facts = common::facts(path, &common::threads(2));
    for (entry, coverage) in &facts.coverage.entries {
        let fault = coverage.problems.keys().find(|problem| problem.contains("fault of kubetriage"));
        assert_eq!(fault, None, "{entry}");
    }
    facts
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Good company: what must still be read whatever stands beside it.
const WHOLE: &[u8] = b"E1123 10:00:00.000000       1 r.go:1] pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n";

#[test]
fn a_text_cut_anywhere_is_read_up_to_the_cut_and_its_neighbour_whole() {
    let temp = tempfile::tempdir().unwrap();
    written(temp.path(), "whole.log", WHOLE);
    for (path, bytes) in samples() {
        let mut most = 0;
        for part in 0..=12 {
            let cut = &bytes[..bytes.len() * part / 12];
            written(temp.path(), "cut", cut);
            let facts = read(temp.path());
            assert!(
                facts.denials.map.iter().any(|(key, _)| format!("{key:?}").contains("bob")),
                "{} at {part}/12: the neighbour is lost",
                path.display()
            );
            let entry = &facts.coverage.entries["cut"];
            assert!(
                part == 0 || entry.not_text.is_some() || !entry.formats.is_empty(),
                "{} at {part}/12 is silent",
                path.display()
            );
            most = most.max(facts.objects.counts().iter().map(|(_, count)| count).sum::<usize>());
        }
        let _ = most;
    }
}

#[test]
fn flipped_bytes_cost_what_they_hit_and_nothing_beside_it() {
    let temp = tempfile::tempdir().unwrap();
    written(temp.path(), "whole.log", WHOLE);
    for (path, bytes) in samples() {
        for round in 1..=10_usize {
            let mut broken = bytes.clone();
            let mut at = round * 7;
            while at < broken.len() {
                broken[at] ^= 1 << (round % 8);
                at += 97 * round;
            }
            written(temp.path(), "flipped", &broken);
            let facts = read(temp.path());
            assert!(
                facts.denials.map.iter().any(|(key, _)| format!("{key:?}").contains("bob")),
                "{} round {round}",
                path.display()
            );
        }
    }
}

#[test]
fn the_same_text_in_another_encoding_tells_the_same() {
    let temp = tempfile::tempdir().unwrap();
    for (path, bytes) in samples() {
        let Ok(text) = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes)) else {
            continue;
        };
        if text.is_empty() || text.contains('\u{1b}') {
            continue;
        }
        let plain = told(&read(&written(temp.path(), "text", text.as_bytes())));
        let wide =
            |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let mut variants = vec![
            ("UTF-8 with a mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
            ("UTF-16LE with a mark", [b"\xff\xfe".to_vec(), wide(text, u16::to_le_bytes)].concat()),
            ("UTF-16BE with a mark", [b"\xfe\xff".to_vec(), wide(text, u16::to_be_bytes)].concat()),
            ("UTF-16LE", wide(text, u16::to_le_bytes)),
            ("a hole of NULs", [&[0; 100][..], text.as_bytes()].concat()),
        ];
        // Line ends and colours are no part of a quoted cell.
        let lines = !path.to_string_lossy().contains("csv") && !text.contains('\r');
        if lines {
            variants.push(("CRLF", text.replace('\n', "\r\n").into_bytes()));
            variants.push(("colours", text.replace('\n', "\u{1b}[0m\n").into_bytes()));
        }
        for (how, variant) in variants {
            let facts = read(&written(temp.path(), "text", &variant));
            assert_eq!(told(&facts), plain, "{} as {how}", path.display());
        }
    }
}

fn tar_of(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, bytes).unwrap();
    builder.into_inner().unwrap()
}

fn zip_of(name: &str, bytes: &[u8], stored: bool) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let method = if stored { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
    let options = zip::write::SimpleFileOptions::default().compression_method(method).large_file(stored);
    zip.start_file(name, options).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn bzip2_of(bytes: &[u8]) -> Vec<u8> {
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(bytes).unwrap();
    bz.finish().unwrap()
}

fn xz_of(bytes: &[u8]) -> Vec<u8> {
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    xz.write_all(bytes).unwrap();
    xz.finish().unwrap()
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

#[test]
fn the_same_text_in_another_container_tells_the_same() {
    let temp = tempfile::tempdir().unwrap();
    for (path, bytes) in samples() {
        let name = common::name(&path);
        let plain = told(&read(&written(temp.path(), &name, &bytes)));
        let (half, rest) = bytes.split_at(bytes.len() / 2);
        let containers = [
            ("gzip", gzip_of(&bytes)),
            ("gzip of two members", [gzip_of(half), gzip_of(rest)].concat()),
            ("zstd", zstd_of(&bytes)),
            ("zstd of two frames", [zstd_of(half), zstd_of(rest)].concat()),
            ("xz", xz_of(&bytes)),
            ("bzip2", bzip2_of(&bytes)),
            ("tar", tar_of(&name, &bytes)),
            ("tar.xz", xz_of(&tar_of(&name, &bytes))),
            ("zip", zip_of(&name, &bytes, false)),
            ("stored zip64 with backslashes", zip_of(&format!("C:\\temp\\{name}"), &bytes, true)),
            (
                "zip in tar.zst in zip",
                zip_of("b.tar.zst", &zstd_of(&tar_of("c.zip", &zip_of(&name, &bytes, false))), false),
            ),
        ];
        for (how, container) in containers {
            let facts = read(&written(temp.path(), "packed", &container));
            assert_eq!(told(&facts), plain, "{} in {how}", path.display());
        }
    }
}

#[test]
fn a_cut_container_gives_what_came_before_the_cut() {
    let temp = tempfile::tempdir().unwrap();
    // Lines that do not compress to nothing.
    let mut seed = 1_u64;
    #[allow(clippy::format_collect)]
    let lines: String = (0..20_000)
        .map(|number| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("I1123 10:00:00.000000       1 x.go:{number}] noise {seed:x}\n")
        })
        .collect();
    let log = [WHOLE, lines.as_bytes()].concat();
    let tar = [tar_of("a.log", &log), tar_of("b.log", &log)].concat();
    let packed = [
        ("gzip", gzip_of(&tar)),
        ("zstd", zstd_of(&tar)),
        ("xz", xz_of(&tar)),
        ("bzip2", bzip2_of(&tar)),
        ("zip", zip_of("a.log", &log, false)),
        ("tar", tar.clone()),
    ];
    for (how, bytes) in packed {
        for part in [4, 7, 9] {
            let facts = read(&written(temp.path(), "cut", &bytes[..bytes.len() * part / 10]));
            let entry = &facts.coverage.entries;
            assert!(
                entry.values().any(|entry| !entry.problems.is_empty()),
                "the cut of {how} at {part}/10 is not told"
            );
            // bzip2 packs 900 kB at a time, and xz as much as it likes: a cut may cost all of it.
            if !matches!(how, "bzip2" | "xz") {
                assert!(
                    facts.denials.map.iter().count() > 0,
                    "{how} at {part}/10: what came before the cut is lost"
                );
            }
        }
    }
}

#[test]
fn archives_one_after_the_other_and_damaged_headers_cost_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let bob = tar_of("bob.log", WHOLE);
    let eve = tar_of("eve.log", &String::from_utf8_lossy(WHOLE).replace("bob", "eve").into_bytes());
    let facts = read(&written(temp.path(), "two.tar", &[bob.clone(), eve.clone()].concat()));
    assert_eq!(facts.denials.map.iter().count(), 2, "the second archive is lost");
    // The header of the first is destroyed: the second is still found.
    let mut broken = [tar_of("a.txt", b"x"), bob, eve].concat();
    broken[2048 + 20] ^= 0xff;
    broken[2048 + 120] ^= 0xff;
    let facts = read(&written(temp.path(), "broken.tar", &broken));
    assert!(facts.denials.map.iter().any(|(key, _)| format!("{key:?}").contains("eve")));
    assert!(
        facts
            .coverage
            .entries
            .values()
            .any(|entry| entry.problems.keys().any(|problem| problem.contains("damaged")))
    );
}

#[test]
fn an_encrypted_zip_is_named_and_its_neighbours_are_read() {
    let temp = tempfile::tempdir().unwrap();
    // The flag of a member is all that says that it is encrypted.
    let mut zip = zip_of("secret.log", WHOLE, true);
    let central = zip.windows(4).rposition(|at| at == b"PK\x01\x02").unwrap();
    zip[6] |= 1;
    zip[central + 8] |= 1;
    written(temp.path(), "locked.zip", &zip);
    written(temp.path(), "open.log", WHOLE);
    let facts = read(temp.path());
    let problem = facts.coverage.entries["locked.zip!secret.log"].problems.keys().next().unwrap();
    assert!(problem.contains("encrypted"), "{problem}");
    assert_eq!(facts.denials.map.iter().count(), 1);
}

#[test]
fn links_are_followed_within_their_archive_and_counted_once() {
    let temp = tempfile::tempdir().unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, link: Option<&str>, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if let Some(target) = link {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
        } else {
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes).unwrap();
        }
    };
    add("logs/cart.log", None, WHOLE);
    add("by-pod/cart.log", Some("../logs/cart.log"), b"");
    add("by-pod/all", Some("../logs"), b"");
    add("by-pod/gone.log", Some("../logs/gone.log"), b"");
    add("by-pod/out", Some("../../etc/passwd"), b"");
    let facts = read(&written(temp.path(), "b.tar", &builder.into_inner().unwrap()));
    let given = |name: &str| facts.coverage.entries[name].not_text.clone().unwrap();
    assert_eq!(given("by-pod/cart.log"), "link to ../logs/cart.log: read there");
    assert_eq!(given("by-pod/all"), "link to ../logs: a folder, read there");
    assert_eq!(given("by-pod/gone.log"), "link to ../logs/gone.log: not in the bundle");
    assert_eq!(given("by-pod/out"), "link to ../../etc/passwd: leads out of the bundle, not followed");
    let (_, denial) = facts.denials.map.iter().next().unwrap();
    assert_eq!(denial.count().0, 1);
}
