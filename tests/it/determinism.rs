//! The same bundle gives the same bytes: on one thread or many, in any order, in any packing.

use crate::common;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

use kubetriage::Options;
use kubetriage::bundle::Input;
use kubetriage::facts::Facts;
use kubetriage::report::{Format, render};
use proptest::prelude::*;

fn rendered(path: &Path, options: &Options) -> Vec<String> {
    let found = kubetriage::diagnose(&[Input::Path(path.to_owned())], options).unwrap();
    Format::ALL.iter().map(|format| render(&found, *format).unwrap()).collect()
}

#[test]
fn one_thread_and_many_give_the_same_bytes() {
    for bundle in ["bundles/contoso-shop", "detectors/pod-ip-leak/hit", "inputs"] {
        let path = common::sample(bundle);
        let item = rendered(&path, &common::threads(1));
        for threads in [2, 3, 16] {
            assert_eq!(item, rendered(&path, &common::threads(threads)), "{bundle} on {threads} threads");
        }
    }
}

/// A bundle long enough to be cut into many blocks.
fn long_logs(folder: &Path) {
    let audit = std::fs::read_to_string(common::sample("bundles/contoso-shop/audit.log")).unwrap();
    let mut log = std::fs::File::create(folder.join("audit.log")).unwrap();
    for copy in 0..20 {
        let changed = audit.replace("-1111-4222-", &format!("-{copy:04}-4222-"));
        log.write_all(changed.as_bytes()).unwrap();
    }
    let pods = std::fs::read_to_string(common::sample("bundles/contoso-shop/pods.json")).unwrap();
    let item = &pods[pods.find("        {\n").unwrap()..pods.rfind("    ],").unwrap()];
    let mut list = std::fs::File::create(folder.join("pods.json")).unwrap();
    list.write_all(b"{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n").unwrap();
    for copy in 0..200 {
        let changed = item.replace("\"name\": \"cart", &format!("\"name\": \"c{copy}-cart"));
        let comma = if copy == 199 { "" } else { "," };
        writeln!(list, "{}{comma}", changed.trim_end()).unwrap();
    }
    list.write_all(b"    ],\n    \"kind\": \"List\"\n}\n").unwrap();
}

#[test]
fn files_of_many_blocks_are_read_alike_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    long_logs(folder.path());
    let fact = common::facts(folder.path(), &common::threads(1));
    assert!(fact.objects.pods.len() > 1000, "{}", fact.objects.pods.len());
    let entry = fact.coverage.entries.values().next().unwrap();
    assert!(entry.bytes > 2_000_000, "the sample must span several blocks");
    assert!(fact.coverage.entries.values().all(|entry| entry.problems.is_empty()), "{:?}", fact.coverage);
    for threads in [2, 5] {
        assert_eq!(fact, common::facts(folder.path(), &common::threads(threads)));
    }
}

#[test]
fn a_flood_beyond_exact_counting_is_told_alike_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = std::io::BufWriter::new(std::fs::File::create(folder.path().join("audit.log")).unwrap());
    // Twice what is counted exactly, so that a worker drops some in the middle.
    for n in 0..132_000 {
        writeln!(log, "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"auditID\":\"{n}\",\"verb\":\"list\",\"user\":{{\"username\":\"bob\"}},\"objectRef\":{{\"resource\":\"pods\"}},\"responseStatus\":{{\"code\":403}},\"annotations\":{{\"authorization.k8s.io/decision\":\"forbid\"}},\"requestReceivedTimestamp\":\"2026-11-23T10:{:02}:{:02}Z\"}}", n / 60 % 60, n % 60).unwrap();
    }
    log.flush().unwrap();
    drop(log);
    assert!(rendered(folder.path(), &common::threads(1)) == rendered(folder.path(), &common::threads(3)));
}

#[test]
fn a_folder_a_tar_a_zip_and_a_tar_in_a_gzip_tell_the_same() {
    let folder = common::sample("bundles/contoso-shop");
    let temp = tempfile::tempdir().unwrap();
    let (tar, tgz, zip) = (temp.path().join("b.tar"), temp.path().join("b.tgz"), temp.path().join("b.zip"));
    let mut builder = tar::Builder::new(std::fs::File::create(&tar).unwrap());
    builder.append_dir_all(".", &folder).unwrap();
    builder.finish().unwrap();
    let mut gz =
        flate2::write::GzEncoder::new(std::fs::File::create(&tgz).unwrap(), flate2::Compression::fast());
    gz.write_all(&std::fs::read(&tar).unwrap()).unwrap();
    gz.finish().unwrap();
    let mut writer = zip::ZipWriter::new(std::fs::File::create(&zip).unwrap());
    for file in common::files(&folder) {
        let name = file.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&std::fs::read(&file).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    let expected = common::diagnosis(&folder);
    for packed in [&tar, &tgz, &zip] {
        let found = common::diagnosis(packed);
        assert_eq!(found.findings, expected.findings, "{}", packed.display());
        assert_eq!(found.coverage, expected.coverage, "{}", packed.display());
    }
}

#[test]
fn archives_in_archives_are_named_by_their_whole_path() {
    let temp = tempfile::tempdir().unwrap();
    let inner = std::fs::read(common::sample("detectors/pod-ip-leak/hit/nodes.tar.gz")).unwrap();
    let path = temp.path().join("outer.zip");
    let mut writer = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    writer.start_file("logs\\nodes.tgz", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(&inner).unwrap();
    writer.finish().unwrap();
    let found = common::diagnosis(&path);
    let first = &found.coverage.entries[0].path;
    assert!(first.starts_with("logs/nodes.tgz!aks-np2-vmss000001/var/lib/cni/networks/"), "{first}");
}

/// The facts of each sample file, each read alone.
static PIECES: LazyLock<Vec<Facts>> = LazyLock::new(|| {
    let mut files = common::files(&common::sample("bundles/contoso-shop"));
    files.extend(common::files(&common::sample("inputs")));
    files.iter().map(|file| common::facts(file, &common::threads(1))).collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn facts_merge_in_any_order_and_grouping(order in Just((0..PIECES.len()).collect::<Vec<_>>()).prop_shuffle(), split in 0_usize..40) {
        let expected = PIECES.iter().cloned().fold(Facts::default(), Facts::merge);
        let (left, right) = order.split_at(split.min(order.len()));
        let fold = |part: &[usize]| part.iter().map(|at| PIECES[*at].clone()).fold(Facts::default(), Facts::merge);
        prop_assert_eq!(fold(left).merge(fold(right)), expected);
    }
}
