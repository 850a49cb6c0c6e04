//! kubetriage reads a Kubernetes support bundle and says what is wrong: offline, from what is there,
//! with the evidence.
//!
//! Data moves one way through the rooms of the house: [`bundle`] opens, [`formats`] read, [`facts`]
//! merge, [`cluster`] reasons, [`detectors`] judge, [`diagnosis`] explains, [`report`] renders.

pub mod bundle;
mod bytes;
pub mod cli;
pub mod cluster;
pub mod detectors;
pub mod diagnosis;
pub mod evidence;
pub mod facts;
pub mod formats;
pub mod report;
pub mod timings;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bundle::{Block, EntryReport, Input, Inputs, Limits, OpenError, Progress};
use cluster::Cluster;
use diagnosis::Diagnosis;
use facts::{Facts, Window};
use timings::{TimedPart, Timings};

/// How a bundle is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Worker threads; as many as there are processors when `None`.
    pub threads: Option<usize>,
    /// What a bundle may cost.
    pub limits: Limits,
    /// What logs and events tell of another time is left out.
    pub window: Window,
    /// Where the time goes, when somebody wants to know.
    pub timings: Option<Arc<Timings>>,
}

impl Options {
    fn threads(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or_else(available).clamp(1, 256)
    }
}

/// The whole pipeline: inputs in, diagnosis out.
pub fn diagnose(inputs: &[Input], options: &Options) -> Result<Diagnosis, OpenError> {
    let opened = bundle::open(inputs)?;
    let facts = scan(&opened, options, &Progress::default());
    let cluster = Cluster::freeze(facts);
    Ok(Diagnosis::of(&cluster, inputs.iter().map(Input::name).collect()))
}

/// Reads everything: reader threads cut blocks, workers fold them into facts, the folds are merged.
pub fn scan(inputs: &Inputs, options: &Options, progress: &Progress) -> Facts {
    let threads = options.threads();
    let (sender, receiver) = crossbeam_channel::unbounded::<Block>();
    std::thread::scope(|scope| {
        // Readers live outside the worker pool: inside it, a pool of one thread would wait for itself.
        let readers = scope.spawn(move || {
            let send = |block| {
                // The workers outlive the readers; a closed channel can only mean that they all failed.
                let _ = sender.send(block);
            };
            inputs.read(&options.limits, &formats::ByContent, threads, progress, &send)
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
