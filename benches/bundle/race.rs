//! Who runs against whom.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::measure::{Contestant, Cost};

/// How the races are run.
pub(crate) struct Races<'a> {
    /// Where commands may write.
    pub(crate) out: &'a Path,
    /// The kubetriage that runs.
    pub(crate) program: &'a Path,
    /// How often each command runs.
    pub(crate) runs: u32,
    /// Passed on to kubetriage.
    pub(crate) threads: Option<usize>,
}

/// A word that `grep` and its like are asked to count: what somebody would look for first.
const WORD: &str = "forbidden";

/// The guide's own line: addresses of the pods that have one of their own.
const JQ: &str = ".items[] | select(.spec.hostNetwork != true).status.podIP";

fn words<const N: usize>(all: [&str; N]) -> Vec<OsString> {
    all.into_iter().map(OsString::from).collect()
}

/// Whether a program is there.
fn is_there(program: &str) -> bool {
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(Command::new(program).arg("--version")).is_ok_and(|status| status.success())
}

impl Races<'_> {
    fn contestant(
        name: impl Into<String>,
        program: impl Into<OsString>,
        arguments: Vec<OsString>,
    ) -> Contestant {
        Contestant { name: name.into(), program: program.into(), arguments, costs: Vec::new() }
    }

    fn report(&self, name: &str, input: &Path) -> Contestant {
        let mut arguments: Vec<OsString> = vec!["report".into(), input.into()];
        for file in ["report.html", "report.md"] {
            arguments.extend(["-o".into(), self.out.join(file).into()]);
        }
        arguments.extend(self.threads.iter().flat_map(|n| ["--threads".into(), n.to_string().into()]));
        Self::contestant(name, self.program, arguments)
    }

    /// kubetriage on the archive, and what a user would do with it instead.
    pub(crate) fn archive(&self, bundle: &Path) -> Result<Vec<Contestant>> {
        let this_program = std::env::current_exe().context("cannot find this program's own file")?;
        let text = bundle.to_string_lossy();
        let unpacked = self.unpacked();
        let mut all = vec![
            self.report("kubetriage report", bundle),
            Self::contestant("tar xzf", "tar", words(["xzf", &text, "-C", &unpacked.to_string_lossy()])),
            Self::contestant("bare inflate", this_program, words(["--inflate", &text])),
            Self::contestant("gzip -dc", "gzip", words(["-dc", &text])),
            Self::contestant(
                format!("gzip -dc \\| grep -c {WORD}"),
                "sh",
                words(["-c", &format!("gzip -dc \"$0\" | grep -a -c {WORD}"), &text]),
            ),
        ];
        if is_there("rg") {
            all.push(Self::contestant(
                format!("rg -z -c {WORD}"),
                "rg",
                words(["-z", "-a", "-c", WORD, &text]),
            ));
        }
        self.run(all)
    }

    /// Folder and zip, on one processor and on all.
    pub(crate) fn parallel(&self, folder: &Path, zip: &Path) -> Result<Vec<Contestant>> {
        self.run(vec![
            Self::on_one(self.report("folder, one processor", folder)),
            self.report("folder, all processors", folder),
            Self::on_one(self.report("zip, one processor", zip)),
            self.report("zip, all processors", zip),
        ])
    }

    /// The same on one processor. One thread would not do: the reader has a thread of its own.
    fn on_one(mut all: Contestant) -> Contestant {
        let program = std::mem::replace(&mut all.program, "taskset".into());
        all.arguments.splice(0..0, ["-c".into(), "0".into(), program]);
        all
    }

    /// One question, asked the guide's way: against the whole diagnosis of the same file.
    pub(crate) fn questions(&self, folder: &Path) -> Result<Vec<Contestant>> {
        let pods = folder.join("contoso/json/pods.json");
        let mut all = vec![self.report("kubetriage report pods.json", &pods)];
        if is_there("jq") {
            all.push(Self::contestant(
                "jq, the guide's own line",
                "jq",
                words(["-r", JQ, &pods.to_string_lossy()]),
            ));
        }
        self.run(all)
    }

    /// The archive in two: its logs, and its objects and tables; each against the bare inflate of it.
    pub(crate) fn parts(&self, logs: &Path, rest: &Path) -> Result<Vec<Contestant>> {
        let this_program = std::env::current_exe().context("cannot find this program's own file")?;
        let bare = |name: &str, archive: &Path| {
            let arguments = words(["--inflate", &archive.to_string_lossy()]);
            Self::contestant(name, this_program.clone(), arguments)
        };
        self.run(vec![
            self.report("its logs alone", logs),
            bare("bare inflate of them", logs),
            self.report("its objects and tables alone", rest),
            bare("bare inflate of these", rest),
        ])
    }

    /// An archive of ten times the size, once.
    pub(crate) fn ten(&self, archive: &Path) -> Result<Contestant> {
        let ran = Races { runs: 1, ..*self }.run(vec![self.report("ten times the size", archive)])?;
        ran.into_iter().next().context("it ran")
    }

    /// What a run costs that has nothing to read.
    pub(crate) fn small(&self) -> Result<Contestant> {
        let file = self.out.join("empty.json");
        fs::write(&file, "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"items\":[]}\n")?;
        let ran = self.run(vec![self.report("an empty list", &file)])?;
        ran.into_iter().next().context("it ran")
    }

    /// The largest cluster: its objects and events alone, then everything. Once each, they take long.
    pub(crate) fn big(&self, folder: &Path, logs: u64) -> Result<Big> {
        let objects = folder.join("contoso/json");
        let once = Races { runs: 1, ..*self };
        let ran = once.run(vec![once.report("its objects", &objects), once.report("all of it", folder)])?;
        let costs: Vec<Cost> = ran.iter().filter_map(|item| item.costs.first().copied()).collect();
        let [objects, all] = costs[..] else { anyhow::bail!("both ran") };
        Ok(Big { logs, objects, all })
    }

    fn unpacked(&self) -> PathBuf {
        self.out.join("unpacked-by-the-benchmark")
    }

    /// Runs all commands as often as was asked for.
    ///
    /// The order turns by one from round to round, so that no command is always the one that runs after `tar` has
    /// filled the disk's queue; and that queue is drained before the next one starts.
    fn run(&self, mut all: Vec<Contestant>) -> Result<Vec<Contestant>> {
        let unpacked = self.unpacked();
        for _ in 0..self.runs {
            for item in &mut all {
                // What a run that was stopped left behind.
                fs::remove_dir_all(&unpacked).ok();
                fs::create_dir(&unpacked).with_context(|| format!("cannot create {}", unpacked.display()))?;
                let ran = item.run(&self.out.join("stderr-of-the-command.txt"));
                fs::remove_dir_all(&unpacked)
                    .with_context(|| format!("cannot remove {}", unpacked.display()))?;
                ran?;
                // Best effort: where there is no `sync -f`, the next command merely has a busier disk.
                let _settled = Command::new("sync").arg("-f").arg(self.out).stderr(Stdio::null()).status();
            }
            all.rotate_left(1);
        }
        let turned = self.runs as usize % all.len();
        all.rotate_right(turned);
        Ok(all)
    }
}

/// What the largest cluster took.
pub(crate) struct Big {
    /// Bytes of its logs, unpacked.
    pub(crate) logs: u64,
    /// Its objects alone.
    pub(crate) objects: Cost,
    /// Everything.
    pub(crate) all: Cost,
}
