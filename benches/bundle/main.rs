//! The end-to-end benchmark: one large support bundle, and everything a user would do with it instead, side
//! by side.
//!
//! A wall-clock number on its own says more about the machine than about kubetriage. So this makes a bundle,
//! runs `kubetriage report` on it and, in the same minutes on the same disk, `tar xzf`, `gzip -dc`, a count with
//! grep and one with ripgrep, and a bare inflate in one thread; then the same bundle as a folder and as a zip, with
//! one thread and with all; the guide's own jq line; and the largest cluster that AKS runs. The order turns from
//! round to round, ratios are taken within a round, and medians are printed. What counts is the ratio: it travels
//! from one machine to another, seconds don't.
//!
//! ```text
//! just bench --page docs/performance.md      all of it, and the page that tells it
//! just bench --size 200MB --runs 5 --check   the archive alone; exit code 1 when a goal is missed
//! just bench --generate-only                 only make target/bench/bundle-3GB-1.tar.gz
//! ```
//!
//! Every record of the bundle (a request, a pod, a row) is a pure function of the seed and its number, so the
//! API server's log and the audit log tell of the same requests. The tar inside is the same bytes for the same
//! seed and size, always; the gzip around it is so for one version of zlib-rs. A bundle that is there is used
//! again: delete it after changing the generator.
#![expect(clippy::print_stdout, reason = "its table is what a benchmark is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark writes what it measures, and the page that tells it"
)]

mod act;
mod apiserver_log;
mod archive;
mod audit;
mod cluster;
mod dumps;
mod insights;
mod measure;
mod notation;
mod page;
mod race;
mod random;
mod rbac;
mod requests;
mod traffic;
mod words;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::page::Page;
use crate::race::Races;

#[derive(Parser)]
#[command(
    name = "bundle",
    about = "Measures kubetriage against tar, gzip and a bare inflate on a generated bundle"
)]
struct Args {
    /// Size of the bundle, unpacked: 3GB, 200MB (decimal; 10MB or more)
    #[arg(long, default_value = "3GB", value_parser = parse_size)]
    size: u64,
    /// Seed of everything in the bundle
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often each command is run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Where the bundle goes, and what the commands write; `tar` unpacks here too
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
    /// Passed on to kubetriage
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Make the bundle and stop
    #[arg(long)]
    generate_only: bool,
    /// Measure everything, and write the page that tells it
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Bytes of logs of the largest cluster, unpacked
    #[arg(long, default_value = "20GB", value_parser = parse_size)]
    logs: u64,
    /// Make the folder of the largest cluster there and stop
    #[arg(long, value_name = "DIR", hide = true)]
    generate_big: Option<PathBuf>,
    /// Exit with 1 when a goal is missed
    #[arg(long)]
    check: bool,
    /// Inflate FILE and throw it away: how this program measures a bare inflate, in a process of its own
    #[arg(long, value_name = "FILE", hide = true)]
    inflate: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(file) = &args.inflate {
        return measure::inflate(file).map(|_| ExitCode::SUCCESS);
    }
    if let Some(folder) = &args.generate_big {
        return archive::write_big(args.seed, args.logs, folder).map(|()| ExitCode::SUCCESS);
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let bundle = args.out.join(format!("bundle-{}-{}.tar.gz", size_name(args.size), args.seed));
    if args.generate_only {
        generate(&args, &bundle)?;
        return Ok(ExitCode::SUCCESS);
    }
    made(&bundle, &["--generate-only"])?;
    // Finds a broken bundle before it is timed, and leaves it in the page cache, so that all start alike.
    let unpacked = measure::inflate(&bundle)?;
    let packed = fs::metadata(&bundle).with_context(|| format!("cannot read {}", bundle.display()))?.len();
    let program = program()?;
    let races = Races { out: &args.out, program: &program, runs: args.runs, threads: args.threads };
    let archive = races.archive(&bundle)?;
    let mut page = Page::new(&bundle, unpacked, packed, args.runs, archive);
    if let Some(file) = &args.page {
        let folder = args.out.join("unpacked");
        unpack(&bundle, &folder)?;
        let zip = args.out.join("bundle.zip");
        pack(&folder, &zip)?;
        page.parallel = races.parallel(&folder, &zip)?;
        page.questions = races.questions(&folder)?;
        let (logs, rest) = (args.out.join("logs.tar.gz"), args.out.join("rest.tar.gz"));
        pack_part(&folder, &logs, &["contoso/logs"])?;
        pack_part(&folder, &rest, &["contoso/json", "contoso/insights"])?;
        page.parts = races.parts(&logs, &rest)?;
        // As if the customer had sent the logs of a fortnight, not of a day.
        let ten = args.out.join("ten.tar.gz");
        join(&ten, std::iter::once(&bundle).chain(std::iter::repeat_n(&logs, 12)))?;
        page.ten = Some(races.ten(&ten)?);
        for part in [&logs, &rest, &ten] {
            fs::remove_file(part).with_context(|| format!("cannot remove {}", part.display()))?;
        }
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        fs::remove_file(&zip).with_context(|| format!("cannot remove {}", zip.display()))?;
        page.small = Some(races.small()?);
        let big = args.out.join(format!("big-{}-{}", size_name(args.logs), args.seed));
        made(&big, &["--generate-big", &big.to_string_lossy()])?;
        page.big = Some(races.big(&big, args.logs)?);
        fs::write(file, page.markdown()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    print!("{}", page.told());
    Ok(if args.check && !page.met() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// `3000MB` finds the bundle of `3GB`.
fn size_name(size: u64) -> String {
    match size / 1_000_000 {
        mb if mb.is_multiple_of(1000) => format!("{}GB", mb / 1000),
        mb => format!("{mb}MB"),
    }
}

/// The kubetriage beside this program: built by the same cargo, with the same profile.
fn program() -> Result<PathBuf> {
    let this_program = std::env::current_exe().context("cannot find this program's own file")?;
    let program = this_program.with_file_name(format!("kubetriage{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        program.exists(),
        "{} is not there: run `cargo build --release --workspace` first",
        program.display()
    );
    Ok(program)
}

/// Has something made by a process of its own, unless it is there: see `Contestant::run`.
fn made(what: &Path, more: &[&str]) -> Result<()> {
    if what.exists() {
        return Ok(());
    }
    let this_program = std::env::current_exe().context("cannot find this program's own file")?;
    let status = Command::new(&this_program).args(std::env::args_os().skip(1)).args(more).status();
    let status = status.context("cannot run this program again to make what it measures")?;
    ensure!(status.success(), "making {} failed ({status})", what.display());
    Ok(())
}

/// Unpacks the bundle, for the races over a folder.
fn unpack(bundle: &Path, folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).ok();
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let status = Command::new("tar").arg("xzf").arg(bundle).arg("-C").arg(folder).status();
    ensure!(status.context("cannot run tar")?.success(), "unpacking failed");
    Ok(())
}

/// Some of the files as an archive of their own.
fn pack_part(folder: &Path, archive: &Path, parts: &[&str]) -> Result<()> {
    let status = Command::new("tar").arg("czf").arg(archive).arg("-C").arg(folder).args(parts).status();
    ensure!(status.context("cannot run tar")?.success(), "packing a part failed");
    Ok(())
}

/// Archives one behind the other, as gzip and tar allow.
fn join<'a>(archive: &Path, parts: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    let mut out = File::create(archive).with_context(|| format!("cannot create {}", archive.display()))?;
    for part in parts {
        io::copy(&mut File::open(part)?, &mut out)?;
    }
    Ok(())
}

/// The same files as a zip: each compressed by itself.
fn pack(folder: &Path, zip: &Path) -> Result<()> {
    let file = File::create(zip).with_context(|| format!("cannot create {}", zip.display()))?;
    let mut writer = zip::ZipWriter::new(io::BufWriter::new(file));
    let how = zip::write::SimpleFileOptions::default().large_file(true);
    for found in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let found = found?;
        if found.file_type().is_file() {
            let name = found.path().strip_prefix(folder)?.to_string_lossy().into_owned();
            writer.start_file(name, how)?;
            io::copy(&mut File::open(found.path())?, &mut writer)?;
        }
    }
    writer.finish()?;
    Ok(())
}

/// Reads a size as people write it: `3GB`, `200MB`. Decimal units, as disks and downloads have them.
fn parse_size(text: &str) -> Result<u64> {
    let text = text.to_ascii_uppercase();
    let (digits, unit) = match (text.strip_suffix("GB"), text.strip_suffix("MB")) {
        (Some(digits), _) => (digits, 1_000_000_000),
        (_, Some(digits)) => (digits, 1_000_000),
        _ => bail!("want a number of MB or GB, such as 200MB"),
    };
    let size = digits.parse::<u64>()?.checked_mul(unit).context("too large")?;
    ensure!(size >= 10_000_000, "below 10MB there is no room for the mix");
    Ok(size)
}

/// Makes the bundle unless it is there: under another name first, so that a bundle is whole or isn't there.
fn generate(args: &Args, bundle: &Path) -> Result<()> {
    if bundle.exists() {
        println!("{} is there already", bundle.display());
        return Ok(());
    }
    println!("making {} (once)", bundle.display());
    let start = Instant::now();
    let partial = bundle.with_extension("partial");
    archive::write(args.seed, args.size, &partial)
        .and_then(|()| fs::rename(&partial, bundle).context("cannot rename it to its final name"))
        .inspect_err(|_| drop(fs::remove_file(&partial)))
        .with_context(|| format!("cannot make {}", bundle.display()))?;
    println!("made in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
