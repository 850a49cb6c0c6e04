//! What a command costs. Wall time by a monotonic clock around spawn and wait; CPU (user and system) and peak
//! resident memory as the kernel counts them for that child and the children it waited for (`wait4(2)`): for
//! `tar`, that is tar plus gzip in CPU, the larger of the two in memory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use wait4::Wait4;

/// What one run took.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) peak_mib: f64,
}

/// One of the commands that are compared, and what its runs took, in the order of the rounds.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) costs: Vec<Cost>,
}

impl Contestant {
    /// Runs the command to its end and notes its bill. One that fails ends the benchmark: its time means
    /// nothing.
    ///
    /// On Linux a child starts with the peak of the process that spawned it (`ru_maxrss` survives `exec`), so
    /// this process has to stay small: that is why bundles are made, and inflated, in processes of their own.
    pub(crate) fn run(&mut self, log: &Path) -> Result<()> {
        let name = &self.name;
        let stderr = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let start = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
        let used = child.wait4().with_context(|| format!("cannot wait for {name}"))?;
        let wall_s = start.elapsed().as_secs_f64();
        if !used.status.success() {
            let message = fs::read_to_string(log).unwrap_or_default();
            bail!("{name} failed ({}):\n{message}", used.status);
        }
        let cpu_s = (used.rusage.utime + used.rusage.stime).as_secs_f64();
        let peak_mib = used.rusage.maxrss as f64 / f64::from(1 << 20);
        self.costs.push(Cost { wall_s, cpu_s, peak_mib });
        Ok(())
    }

    pub(crate) fn median(&self, of: fn(&Cost) -> f64) -> f64 {
        median(self.costs.iter().map(of).collect())
    }

    /// The median over the rounds of what this command took against what the other took in the same round.
    pub(crate) fn against(&self, other: &Self, of: fn(&Cost) -> f64) -> f64 {
        let pairs = self.costs.iter().zip(&other.costs);
        median(pairs.map(|(mine, theirs)| of(mine) / of(theirs)).collect())
    }
}

/// Seconds until it ended.
pub(crate) fn wall(cost: &Cost) -> f64 {
    cost.wall_s
}

/// Seconds of all processors.
pub(crate) fn cpu(cost: &Cost) -> f64 {
    cost.cpu_s
}

/// Largest memory, in MiB.
pub(crate) fn peak(cost: &Cost) -> f64 {
    cost.peak_mib
}

/// Of an even number, the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |k: usize| values.get(k).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(values.len().saturating_sub(1) / 2), at(values.len() / 2))
}

/// The least that any reader of the bundle has to do: inflate it, in one thread, with the best backend in
/// Rust. Returns the bytes it holds.
pub(crate) fn inflate(bundle: &Path) -> Result<u64> {
    let packed = File::open(bundle).with_context(|| format!("cannot open {}", bundle.display()))?;
    let mut reader = MultiGzDecoder::new(BufReader::with_capacity(1 << 18, packed));
    let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
    loop {
        let read = reader.read(&mut buffer).with_context(|| {
            format!("{} is not a whole bundle; delete it, and it is made again", bundle.display())
        })?;
        if read == 0 {
            return Ok(bytes);
        }
        bytes += read as u64;
    }
}
