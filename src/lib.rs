//! kubetriage reads a Kubernetes support bundle and says what is wrong: offline, from what is there,
//! with the evidence.
//!
//! Data moves one way through the rooms of the house: [`bundle`] opens, [`formats`] read, [`facts`]
//! merge, [`cluster`] reasons, [`detectors`] judge, [`diagnosis`] explains, [`report`] renders.

pub mod bundle;
#[doc(hidden)]
pub mod bytes;
pub mod cli;
pub mod cluster;
pub mod detectors;
pub mod diagnosis;
pub mod evidence;
pub mod facts;
pub mod formats;
pub mod knowledge;
pub mod report;
pub mod timings;

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bundle::{Block, EntryReport, Input, Inputs, Limits, OpenError, Progress};
use cluster::Cluster;
use diagnosis::Diagnosis;
use facts::{Facts, Outward, Place, Whose, Window};
use report::{Pseudonyms, Redacted, Replace};
use timings::{TimedPart, Timings, timed};

/// How a bundle is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Worker threads; as many as there are processors when `None`.
    pub threads: Option<usize>,
    /// What a bundle may cost.
    pub limits: Limits,
    /// What logs and events tell of another time is left out.
    pub window: Window,
    /// Public addresses of clients that can't reach the API server, as their owner gave them.
    pub client_addresses: Vec<IpAddr>,
    /// What is shown by pseudonyms; secrets are masked always.
    pub redact: Option<Replace>,
    /// Where the time goes, when somebody wants to know.
    pub timings: Option<Arc<Timings>>,
    /// How far the reading has come, when somebody wants to see.
    pub progress: Option<Arc<Progress>>,
}

impl Options {
    fn threads(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or_else(available).clamp(1, 256)
    }
}

/// The whole pipeline: inputs in, a diagnosis that may be shown out.
pub fn diagnose(inputs: &[Input], options: &Options) -> Result<Redacted, OpenError> {
    on_threads(options, || {
        let timings = options.timings.as_deref();
        let cluster = read(inputs, options)?;
        let diagnosis = timed(timings, TimedPart::Room("4 detect and explain"), || {
            Diagnosis::of(&cluster, inputs.iter().map(Input::name).collect(), timings)
        });
        let redacted = timed(timings, TimedPart::Room("5 redact"), || {
            report::redact(diagnosis, options.redact.map(|what| Pseudonyms::new(&cluster, what)))
        });
        // Giving back the memory of a large bundle piece by piece takes longer than judging it, and nobody waits for it.
        let _detached = std::thread::Builder::new().spawn(move || drop(cluster));
        Ok(redacted)
    })
}

/// The first half of the pipeline, for questions: inputs in, the cluster that they tell of out.
pub fn read(inputs: &[Input], options: &Options) -> Result<Cluster, OpenError> {
    let opened = bundle::open(inputs, &options.limits)?;
    let progress = options.progress.clone().unwrap_or_default();
    progress.total.store(opened.packed_bytes, Ordering::Relaxed);
    let timings = options.timings.as_deref();
    let mut facts =
        timed(timings, TimedPart::Room("1 open, read, merge"), || scan(&opened, options, &progress));
    for (address, line) in options.client_addresses.iter().zip(1..) {
        let place = Place { source: "--client-ip".into(), line };
        if let Some(slot) = facts.nodes.outward.slot(place) {
            *slot = Outward {
                address: Some(*address),
                whose: Whose::Client,
                from: "given with --client-ip".into(),
            };
        }
    }
    Ok(timed(timings, TimedPart::Room("3 reason"), || Cluster::freeze(facts)))
}

/// Runs something with as many threads as the options say, in all rooms.
fn on_threads<T: Send>(options: &Options, run: impl FnOnce() -> T + Send) -> T {
    let pool = options
        .threads
        .and_then(|_| rayon::ThreadPoolBuilder::new().num_threads(options.threads()).build().ok());
    match pool {
        Some(pool) => pool.install(run),
        None => run(),
    }
}

/// Reads everything: reader threads cut blocks, workers fold them into facts, the folds are merged.
///
/// What a limit cuts off depends on which thread came first: then it is read again by one reader, in the bundle's order, so
/// that the same bundle gives the same report.
pub fn scan(inputs: &Inputs, options: &Options, progress: &Progress) -> Facts {
    let threads = options.threads();
    let facts = scan_with(inputs, options, progress, threads);
    if threads > 1 && progress.is_limited() && inputs.is_repeatable() {
        drop(facts);
        progress.restart();
        return scan_with(inputs, options, progress, 1);
    }
    facts
}

fn scan_with(inputs: &Inputs, options: &Options, progress: &Progress, readers: usize) -> Facts {
    let threads = options.threads();
    let (sender, receiver) = crossbeam_channel::unbounded::<Block>();
    std::thread::scope(|scope| {
        // Readers live outside the worker pool: inside it, a pool of one thread would wait for itself.
        let readers = scope.spawn(move || {
            let send = |block| {
                // The workers outlive the readers; a closed channel can only mean that they all failed.
                let _ = sender.send(block);
            };
            inputs.read(&options.limits, &formats::ByContent, readers, progress, &send)
        });
        let folded = fold(threads, &receiver, options);
        let reports = readers.join().unwrap_or_else(|_| vec![lost_readers()]);
        covered(folded, reports)
    })
}

/// The line of the report when the reading itself fails.
fn lost_readers() -> EntryReport {
    let why = "the reading failed: this is a fault of kubetriage, and the report is incomplete".to_owned();
    EntryReport::failed("(all inputs)", why)
}

/// Folds blocks on a pool of workers.
fn fold(threads: usize, receiver: &crossbeam_channel::Receiver<Block>, options: &Options) -> Facts {
    let timings = options.timings.as_deref();
    let work = || {
        let mut facts = Facts { window: options.window, ..Facts::default() };
        while let Ok(block) = receiver.recv() {
            let since = timings.map(|_| Instant::now());
            read_safely(&block, &mut facts);
            if let (Some(timings), Some(since)) = (timings, since) {
                timings.add(TimedPart::Format(formats::name_of(&block)), since, block.bytes().len() as u64);
            }
        }
        facts
    };
    let all = |folded: Vec<Facts>| folded.into_iter().reduce(Facts::merge).unwrap_or_default();
    // The rooms that follow work on the same threads: what these give back is theirs to take.
    if rayon::current_num_threads() == threads {
        return all(rayon::broadcast(|_| work()));
    }
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(|| all(rayon::broadcast(|_| work()))),
        // No threads to be had: the work is done here.
        Err(_) => work(),
    }
}

/// A block that brings a format down costs that block, and is said.
fn read_safely(block: &Block, facts: &mut Facts) {
    if catch_unwind(AssertUnwindSafe(|| formats::read(block, facts))).is_err() {
        let problem =
            format!("a part at line {} could not be read: this is a fault of kubetriage", block.first_line);
        *facts.coverage.entry(&block.entry.path).problems.entry(problem).or_default() += 1;
    }
}

/// Adds what the readers say of the entries.
fn covered(mut facts: Facts, reports: Vec<EntryReport>) -> Facts {
    for report in reports {
        let entry = facts.coverage.entry(&report.path);
        entry.bytes += report.bytes;
        entry.not_text = entry.not_text.take().or(report.not_text);
        for problem in report.problems {
            *entry.problems.entry(problem).or_default() += 1;
        }
    }
    facts
}
