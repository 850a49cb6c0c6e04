//! The end-to-end benchmark: one large support bundle, and everything a user would do with it instead, side
//! by side.
//!
//! A wall-clock number on its own says more about the machine than about kubetriage. So this makes a bundle,
//! runs `kubetriage report` on it and, in the same minutes on the same disk, `tar xzf`, `gzip -dc` and a bare
//! inflate in one thread. The order turns from round to round, ratios are taken within a round, and medians
//! are printed. What counts is the ratio: it travels from one machine to another, seconds don't.
//!
//! ```text
//! cargo bench --bench bundle                                    3 GB unpacked, three rounds
//! cargo bench --bench bundle -- --size 200MB --runs 5 --check   quick; exit code 1 when a goal is missed
//! cargo bench --bench bundle -- --generate-only                 only make target/bench/bundle-3GB-1.tar.gz
//! ```
//!
//! Every record of the bundle (a request, a pod, a row) is a pure function of the seed and its number, so the
//! API server's log and the audit log tell of the same requests. The tar inside is the same bytes for the same
//! seed and size, always; the gzip around it is so for one version of zlib-rs. A bundle that is there is used
//! again: delete it after changing the generator.
#![expect(clippy::print_stdout, reason = "its table is what a benchmark is for")]

mod act;
mod apiserver_log;
mod archive;
mod audit;
mod cluster;
mod dumps;
mod insights;
mod measure;
mod notation;
mod random;
mod rbac;
mod requests;
mod traffic;
mod words;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::measure::Contestant;

/// Wall time of `kubetriage report` against `tar xzf` of the same bundle: at most this.
const GOAL_WALL: f64 = 1.0;
/// Peak resident memory of `kubetriage report`, in MiB: at most this, whatever the size of the bundle.
const GOAL_PEAK: f64 = 300.0;

#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
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
    /// Leave the reports of the last run in DIR (the bundle always stays)
    #[arg(long)]
    keep: bool,
    /// Make the bundle and stop
    #[arg(long)]
    generate_only: bool,
    /// Exit with 1 when a goal is missed
    #[arg(long)]
    check: bool,
    /// Inflate FILE and throw it away: how this program measures a bare inflate, in a process of its own
    #[arg(long, value_name = "FILE", hide = true)]
    inflate: Option<PathBuf>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// Runs what was asked for. Without any argument it does nothing: that is how `cargo test --all-targets`
/// calls it, and nobody running the tests wants 3 GB made; `cargo bench` always passes one.
fn main() -> Result<ExitCode> {
    if std::env::args_os().len() == 1 {
        println!("bundle: not measuring; run it with `cargo bench --bench bundle`");
        return Ok(ExitCode::SUCCESS);
    }
    let args = Args::parse();
    if let Some(file) = &args.inflate {
        return measure::inflate(file).map(|_| ExitCode::SUCCESS);
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    // `3000MB` finds the bundle of `3GB`.
    let size = match args.size / 1_000_000 {
        mb if mb.is_multiple_of(1000) => format!("{}GB", mb / 1000),
        mb => format!("{mb}MB"),
    };
    let bundle = args.out.join(format!("bundle-{size}-{}.tar.gz", args.seed));
    if args.generate_only {
        generate(&args, &bundle)?;
        return Ok(ExitCode::SUCCESS);
    }
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    if !bundle.exists() {
        // In a process of its own: see `Contestant::run`.
        let mut command = Command::new(&own);
        let status = command.args(std::env::args_os().skip(1)).arg("--generate-only").status();
        let status = status.context("cannot run this program again to make the bundle")?;
        ensure!(status.success(), "making the bundle failed ({status})");
    }
    // Finds a broken bundle before it is timed, and leaves it in the page cache, so that all start alike.
    let unpacked = measure::inflate(&bundle)?;
    let packed = fs::metadata(&bundle).with_context(|| format!("cannot read {}", bundle.display()))?.len();
    let contestants = compete(&args, &bundle, own.into())?;
    let ratio = unpacked as f64 / packed as f64;
    print_table(&contestants);
    println!("bundle: {} · {unpacked} bytes unpacked, {packed} packed, {ratio:.2} : 1", bundle.display());
    let cores = std::thread::available_parallelism().map_or_else(|_| "?".to_owned(), |n| n.to_string());
    let (os, arch, runs) = (std::env::consts::OS, std::env::consts::ARCH, args.runs);
    println!("machine: {cores} cores, {os} {arch}; medians over {runs} rounds, bundle in the page cache");
    let met = print_verdict(&contestants);
    Ok(if args.check && !met { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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

/// Runs all commands `--runs` times: kubetriage, tar, gzip, a bare inflate.
///
/// The order turns by one from round to round, so that no command is always the one that runs after `tar` has
/// filled the disk's queue; and that queue is drained before the next one starts.
fn compete(args: &Args, bundle: &Path, own: OsString) -> Result<[Contestant; 4]> {
    let reports = [args.out.join("report.html"), args.out.join("report.md")];
    let unpacked = args.out.join("unpacked-by-the-benchmark");
    let mut report: Vec<OsString> = vec!["report".into(), bundle.into()];
    report.extend(reports.iter().flat_map(|file| ["-o".into(), file.into()]));
    report.extend(args.threads.iter().flat_map(|n| ["--threads".into(), n.to_string().into()]));
    let tar = vec!["xzf".into(), bundle.into(), "-C".into(), unpacked.clone().into()];
    let mut all = [
        ("kubetriage report", env!("CARGO_BIN_EXE_kubetriage").into(), report),
        ("tar xzf", "tar".into(), tar),
        ("gzip -dc", "gzip".into(), vec!["-dc".into(), bundle.into()]),
        ("bare inflate", own, vec!["--inflate".into(), bundle.into()]),
    ]
    .map(|(name, program, arguments)| Contestant { name, program, arguments, costs: Vec::new() });

    let remove = |path: &Path| format!("cannot remove {}", path.display());
    for _ in 0..args.runs {
        for one in &mut all {
            // What a run that was stopped left behind.
            fs::remove_dir_all(&unpacked).ok();
            fs::create_dir(&unpacked).with_context(|| format!("cannot create {}", unpacked.display()))?;
            let ran = one.run(&args.out.join("stderr-of-the-command.txt"));
            fs::remove_dir_all(&unpacked).with_context(|| remove(&unpacked))?;
            ran?;
            // Best effort: where there is no `sync -f`, the next command merely has a busier disk.
            let _settled = Command::new("sync").arg("-f").arg(&args.out).stderr(Stdio::null()).status();
        }
        all.rotate_left(1);
    }
    all.rotate_right(args.runs as usize % 4);
    for file in reports.iter().filter(|_| !args.keep) {
        fs::remove_file(file).with_context(|| remove(file))?;
    }
    Ok(all)
}

fn print_table(contestants: &[Contestant; 4]) {
    let [_, tar, _, inflate] = contestants;
    println!("| command | wall s | CPU s | peak MiB | wall / `tar xzf` | wall / bare inflate |");
    println!("|---|---:|---:|---:|---:|---:|");
    for one in contestants {
        let (wall, cpu, peak) =
            (one.median(|c| c.wall_s), one.median(|c| c.cpu_s), one.median(|c| c.peak_mib));
        let (name, to_tar, to_inflate) = (one.name, one.against(tar), one.against(inflate));
        println!("| {name} | {wall:.2} | {cpu:.2} | {peak:.0} | {to_tar:.2} × | {to_inflate:.2} × |");
    }
    println!();
}

/// Prints, and returns, whether kubetriage met its goals.
fn print_verdict([kubetriage, tar, ..]: &[Contestant; 4]) -> bool {
    let (wall, peak) = (kubetriage.against(tar), kubetriage.median(|c| c.peak_mib));
    let word = |met: bool| if met { "ok" } else { "MISSED" };
    let (fast, small) = (word(wall <= GOAL_WALL), word(peak <= GOAL_PEAK));
    println!(
        "verdict: wall {wall:.2} × `tar xzf` (goal ≤ {GOAL_WALL:.2} ×) {fast}; peak {peak:.0} MiB (goal ≤ {GOAL_PEAK:.0} MiB) {small}"
    );
    wall <= GOAL_WALL && peak <= GOAL_PEAK
}
