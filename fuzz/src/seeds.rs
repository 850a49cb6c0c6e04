//! First inputs, made from the samples.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{FILE_MARK, INPUT_BYTES};

/// The first inputs of a target.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let all = || samples().into_iter().filter_map(|path| fs::read(path).ok());
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(INPUT_BYTES);
        bytes
    };
    // What a target reads before its text: whole, and long; sizes of blocks.
    let lines = |before: &'static [u8]| {
        let texts = all().filter(|bytes| bytes.len() < INPUT_BYTES / 4);
        texts.map(move |bytes| [before, &bytes].concat()).collect()
    };
    match target {
        "archive" => packed(),
        "pipeline" | "render" => bundles().into_iter().map(cut).collect(),
        "redaction" => bundles().into_iter().map(|bytes| cut(with_marks(&bytes))).collect(),
        "csv" => all().filter(|bytes| bytes.contains(&b',') && bytes.len() < 8000).collect(),
        "json" => {
            all().filter(|bytes| matches!(bytes.first(), Some(b'{' | b'[')) && bytes.len() < 8000).collect()
        }
        "splitter" => lines(&[1, 20, 3, 0, 90, 7, 255, 40]),
        "messages" => first_lines(),
        "time" => TIMES.iter().map(|time| time.as_bytes().to_vec()).collect(),
        // Numbers that choose: any will do.
        _ => (0..3_u8)
            .map(|kind| (0..200_u8).map(|n| if n == 0 { kind } else { n.wrapping_mul(37) }).collect())
            .collect(),
    }
}

const TIMES: [&str; 8] = [
    "2026-11-23T20:52:03.889309Z",
    "2026-11-23 20:52:03,5+02:00",
    "1123 20:52:03.889309",
    "Nov  3 20:05:01",
    "2023/01/02 03:04:05.123456",
    "Fri Oct 15 10:06:00 UTC 2021",
    "Thu, 08 Oct 2026 00:37:41 +0530",
    "1795467693661",
];

fn samples() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let walk = walkdir::WalkDir::new(top).sort_by_file_name().into_iter().flatten();
    walk.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// The files of each folder of samples, as one input.
fn bundles() -> Vec<Vec<u8>> {
    let mut found: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for path in samples() {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
        if found.last().is_none_or(|(last, _)| last != folder) {
            found.push((folder.to_owned(), Vec::new()));
        }
        let Some((_, input)) = found.last_mut() else { continue };
        let head = format!("{FILE_MARK}{}\n", name.to_string_lossy());
        input.extend([head.as_bytes(), &fs::read(&path).unwrap_or_default(), b"\n"].concat());
    }
    found.into_iter().map(|(_, input)| input).filter(|input| input.len() < INPUT_BYTES).collect()
}

/// A mark in the middle of some lines, behind a blank, and each of them as the first word of a line.
fn with_marks(bytes: &[u8]) -> Vec<u8> {
    let mut marked = Vec::new();
    for (line, mark) in bytes.split_inclusive(|byte| *byte == b'\n').zip((1..=6_u8).cycle()) {
        match line.iter().rposition(|byte| *byte == b' ').filter(|_| !line.starts_with(FILE_MARK.as_bytes()))
        {
            Some(at) => marked.extend([&line[..at], &[mark], &line[at..]].concat()),
            None => marked.extend(line),
        }
    }
    marked
}

/// Lines of every sample, one in ten, and a few of them as long ones.
fn first_lines() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for bytes in samples().into_iter().filter_map(|path| fs::read(path).ok()) {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| (20..4000).contains(&line.len()));
        for (line, kind) in lines.step_by(10).take(4).zip([0, 0, 0, 1].into_iter().cycle()) {
            found.push([&[kind], line].concat());
        }
    }
    found
}

/// A few small samples packed in every way that is read, and one in another.
fn packed() -> Vec<Vec<u8>> {
    let texts: Vec<(String, Vec<u8>)> = samples()
        .into_iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "inputs"))
        .filter_map(|path| Some((path.file_name()?.to_string_lossy().into_owned(), fs::read(path).ok()?)))
        .filter(|(_, bytes)| bytes.len() < 500)
        .take(4)
        .collect();
    every_way(&texts).unwrap_or_default()
}

fn every_way(texts: &[(String, Vec<u8>)]) -> io::Result<Vec<Vec<u8>>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (at, (name, bytes)) in texts.iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_795_428_000);
        tar.append_data(&mut header, name, bytes.as_slice())?;
        // Some as they are, so that a fuzzer can change them.
        let method =
            if at % 2 == 0 { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
        zip.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method))?;
        zip.write_all(bytes)?;
    }
    let (tar, zip) = (tar.into_inner()?, zip.finish()?.into_inner());
    let gzip = |bytes: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(bytes)?;
        writer.finish()
    };
    let zstd = zstd::encode_all(tar.as_slice(), 3)?;
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    bzip2.write_all(&tar)?;
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1))?;
    xz.write_all(&tar)?;
    let mut outer = tar::Builder::new(Vec::new());
    for (name, inner) in [("inner.zip", &zip), ("inner.tgz", &gzip(&tar)?), ("inner.zst", &zstd)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(inner.len() as u64);
        header.set_mode(0o644);
        outer.append_data(&mut header, name, inner.as_slice())?;
    }
    let nested = gzip(&outer.into_inner()?)?;
    Ok(vec![gzip(&tar)?, zstd, bzip2.finish()?, xz.finish()?, nested, zip, tar])
}
