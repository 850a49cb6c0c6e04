//! What was measured, as tables: on the terminal, and as the page of the documents.

use std::fmt::Write;
use std::path::Path;

use crate::measure::{Contestant, cpu, peak, wall};
use crate::race::Big;

/// Wall time of `kubetriage report` against `tar xzf` of the same bundle: at most this.
const WALL_TO_TAR: f64 = 0.30;
/// Wall time and CPU time against the bare inflate of it: at most this.
const WALL_TO_INFLATE: f64 = 1.25;
const CPU_TO_INFLATE: f64 = 2.2;
/// Peak resident memory, in MiB: at most this, whatever the size of the bundle.
const PEAK: f64 = 256.0;
/// How much of each further processor a folder or a zip gains: at least this.
const SPEED_UP: f64 = 0.85;

/// The words around the tables.
const WORDS: &str = include_str!("page.md");

/// All that was measured.
pub(crate) struct Page {
    bundle: String,
    runs: u32,
    processors: usize,
    archive: Vec<Contestant>,
    pub(crate) parallel: Vec<Contestant>,
    pub(crate) questions: Vec<Contestant>,
    pub(crate) parts: Vec<Contestant>,
    pub(crate) ten: Option<Contestant>,
    pub(crate) small: Option<Contestant>,
    pub(crate) big: Option<Big>,
}

/// A goal, what came of it, and whether it is met.
struct Goal {
    what: String,
    wanted: String,
    measured: String,
    met: bool,
}

impl Page {
    pub(crate) fn new(
        bundle: &Path,
        unpacked: u64,
        packed: u64,
        runs: u32,
        archive: Vec<Contestant>,
    ) -> Self {
        let name = bundle.file_name().unwrap_or_default().to_string_lossy();
        let ratio = unpacked as f64 / packed as f64;
        Self {
            bundle: format!(
                "`{name}`: {:.2} GB unpacked, {:.0} MB packed ({ratio:.1} : 1)",
                unpacked as f64 / 1e9,
                packed as f64 / 1e6
            ),
            runs,
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            archive,
            parallel: Vec::new(),
            questions: Vec::new(),
            parts: Vec::new(),
            ten: None,
            small: None,
            big: None,
        }
    }

    fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        let mut most = |what: &str, wanted: f64, measured: f64, unit: &str, digits: usize| {
            goals.push(Goal {
                what: what.to_owned(),
                wanted: format!("≤ {wanted:.digits$}{unit}"),
                measured: format!("{measured:.digits$}{unit}"),
                met: measured <= wanted,
            });
        };
        if let [ours, tar, inflate, ..] = &self.archive[..] {
            most("wall against `tar xzf` to disk", WALL_TO_TAR, ours.against(tar, wall), " ×", 2);
            most("wall against the bare inflate", WALL_TO_INFLATE, ours.against(inflate, wall), " ×", 2);
            most("CPU against the bare inflate", CPU_TO_INFLATE, ours.against(inflate, cpu), " ×", 2);
            most("peak memory", PEAK, ours.median(peak), " MiB", 0);
            if let Some(ten) = &self.ten {
                most(
                    "peak memory, with its logs twelve times more (ten times the size)",
                    PEAK,
                    ten.median(peak),
                    " MiB",
                    0,
                );
            }
        }
        let n = self.processors as f64;
        let wanted = SPEED_UP * n;
        for pair in self.parallel.chunks(2) {
            if let [item, all] = pair {
                let gained = item.against(all, wall);
                let input = item.name.split(',').next().unwrap_or_default();
                goals.push(Goal {
                    what: format!("speed-up of a {input} with {n:.0} processors"),
                    wanted: format!("≥ {wanted:.2} ×"),
                    measured: format!("{gained:.2} ×"),
                    met: gained >= wanted,
                });
            }
        }
        goals
    }

    /// Whether all goals that were measured are met.
    pub(crate) fn met(&self) -> bool {
        self.goals().iter().all(|goal| goal.met)
    }

    fn goal_table(&self) -> String {
        let mut out = "| measure | wanted | measured | |\n|---|---:|---:|---|\n".to_owned();
        for goal in self.goals() {
            let word = if goal.met { "met" } else { "**missed**" };
            let _ = writeln!(out, "| {} | {} | {} | {word} |", goal.what, goal.wanted, goal.measured);
        }
        out
    }

    fn archive_table(&self) -> String {
        let mut out = "| command | wall s | CPU s | peak MiB | kubetriage's wall against it |\n|---|---:|---:|---:|---:|\n".to_owned();
        let Some(ours) = self.archive.first() else { return out };
        for item in &self.archive {
            let _ = writeln!(
                out,
                "| {} | {:.2} | {:.2} | {:.0} | {:.2} × |",
                item.name,
                item.median(wall),
                item.median(cpu),
                item.median(peak),
                ours.against(item, wall)
            );
        }
        out
    }

    fn plain_table(all: &[Contestant]) -> String {
        let mut out = "| | wall s | CPU s | peak MiB |\n|---|---:|---:|---:|\n".to_owned();
        for item in all {
            let (wall, cpu, peak) = (item.median(wall), item.median(cpu), item.median(peak));
            let _ = writeln!(out, "| {} | {wall:.2} | {cpu:.2} | {peak:.0} |", item.name);
        }
        out
    }

    fn big_words(&self) -> String {
        let Some(Big { logs, objects, all }) = &self.big else { return String::new() };
        let base = self.small.as_ref().map_or(0.0, |item| item.median(peak));
        let pod = (objects.peak_mib - base) * f64::from(1 << 20) / 150_000.0;
        format!(
            "| | wall s | CPU s | peak MiB |\n|---|---:|---:|---:|\n\
             | its objects (150,000 pods and what belongs to them) | {:.1} | {:.1} | {:.0} |\n\
             | all of it, with a million events and {:.0} GB of logs | {:.1} | {:.1} | {:.0} |\n\n\
             A run with nothing to read takes {base:.0} MiB: the objects of the cluster take {:.1} kB for each pod, \
             its services, policies, roles and nodes counted in.\n",
            objects.wall_s,
            objects.cpu_s,
            objects.peak_mib,
            *logs as f64 / 1e9,
            all.wall_s,
            all.cpu_s,
            all.peak_mib,
            pod / 1e3
        )
    }

    fn machine(&self) -> String {
        let (os, arch, day) =
            (std::env::consts::OS, std::env::consts::ARCH, jiff::Timestamp::now().strftime("%Y-%m-%d"));
        format!(
            "{day}, {} processors, {os} {arch}; medians over {} rounds, input in the page cache",
            self.processors, self.runs
        )
    }

    /// For the terminal.
    pub(crate) fn told(&self) -> String {
        let mut out = format!(
            "{}\nbundle {}\nmachine {}\n\n{}",
            self.archive_table(),
            self.bundle,
            self.machine(),
            self.goal_table()
        );
        for table in [&self.parallel, &self.parts, &self.questions] {
            if !table.is_empty() {
                let _ = write!(out, "\n{}", Self::plain_table(table));
            }
        }
        let _ = write!(out, "\n{}", self.big_words());
        out
    }

    /// For the documents.
    pub(crate) fn markdown(&self) -> String {
        WORDS
            .replace("{bundle}", &self.bundle)
            .replace("{machine}", &self.machine())
            .replace("{goals}", self.goal_table().trim_end())
            .replace("{archive}", self.archive_table().trim_end())
            .replace("{parallel}", Self::plain_table(&self.parallel).trim_end())
            .replace("{parts}", Self::plain_table(&self.parts).trim_end())
            .replace("{questions}", Self::plain_table(&self.questions).trim_end())
            .replace("{big}", self.big_words().trim_end())
    }
}
