//! EXPLAIN: findings become a diagnosis: a verdict per cause, roots, and what to ask for.
//!
//! [`Diagnosis`] is the one view that every output renders, and the JSON output as it is
//! (`"schema": "kubetriage/v1"`).

mod addresses;
mod causes;
mod chains;
mod coverage;
mod first_screen;
mod focus;
mod inventory;
mod layout;
mod node_health;
mod path;
mod platform;
mod questions;
mod remainder;
mod summary;
mod timeline;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use addresses::{NodeAddresses, PoolUse, SubnetUse};
pub use causes::CauseRow;
pub use coverage::{ContradictionView, CoverageView, EntryView, FailedView, FormatShare};
pub use first_screen::FirstScreen;
pub use inventory::{Inventory, NodeCounts};
pub use node_health::NodeHealth;
pub use platform::Inferred;
pub use timeline::{Gap, Lane, Onset, Timeline};

use focus::Focus;
use questions::{OpenQuestion, Setting};

use crate::cluster::Cluster;
use crate::detectors::{self, Chapter, Confidence, Detector, Finding, FindingState, Need, Outcome, Severity};
use crate::facts::text::counted;
use crate::facts::{Facts, time};
use crate::timings::{TimedPart, Timings, timed};

/// The shape of the JSON output.
pub const SCHEMA: &str = "kubetriage/v1";

/// What was decided about one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// The bundle shows it.
    Confirmed,
    /// Something points to it.
    Suspected,
    /// A fact of the bundle refutes it.
    RuledOut,
    /// The data was there, and nothing in it points to it; nothing refutes it either.
    NoSign,
    /// The data was not there.
    NotEvaluated,
}

impl VerdictKind {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Suspected => "suspected",
            Self::RuledOut => "ruled out",
            Self::NoSign => "no sign seen",
            Self::NotEvaluated => "not evaluated",
        }
    }
}

/// One line of the verdict board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The detector.
    #[serde(skip_deserializing)]
    pub id: &'static str,
    /// Its chapter.
    pub chapter: Chapter,
    /// The cause in a few words.
    #[serde(skip_deserializing)]
    pub title: &'static str,
    /// What was decided.
    pub verdict: VerdictKind,
    /// Why.
    pub reason: String,
    /// Ids of the findings.
    pub findings: Vec<String>,
    /// Data that was not there.
    pub missing: Vec<String>,
}

/// A cause that nothing else explains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RootCause {
    /// Id of the finding.
    pub id: String,
    /// The fault in one line.
    pub title: String,
    /// What it does to the user.
    pub severity: Severity,
    /// How sure we are.
    pub confidence: Confidence,
    /// Why, in a sentence.
    pub why: String,
    /// How often: requests, lines or addresses, as the title says.
    pub count: u64,
    /// What to do first, in a sentence.
    pub first_step: String,
    /// Whether it goes on.
    pub state: FindingState,
    /// It is about what the customer asks about: described by name, or named in the note.
    pub in_question: bool,
    /// Findings that it explains, itself first.
    pub findings: Vec<String>,
}

/// Data to ask the customer for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Ask {
    /// What.
    pub what: String,
    /// What it would decide.
    pub why: String,
    /// How to collect it.
    pub command: String,
    /// It would refute or complete this diagnosis.
    pub decides: bool,
}

/// The program that wrote the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `kubetriage`.
    #[serde(skip_deserializing)]
    pub name: &'static str,
    /// Its version.
    #[serde(skip_deserializing)]
    pub version: &'static str,
}

/// What was taken out of the report before it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redaction {
    /// Places where a secret stood.
    pub secrets: u64,
    /// What is shown by pseudonyms: names, addresses.
    pub pseudonyms: Vec<String>,
}

/// Everything that a report says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// [`SCHEMA`].
    #[serde(skip_deserializing)]
    pub schema: &'static str,
    /// Who wrote it.
    pub tool: Tool,
    /// What a reader must know before anything else: that names are pseudonyms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// What a reader needs first.
    pub first_screen: FirstScreen,
    /// The diagnosis in one paragraph.
    pub summary: String,
    /// The beginning of the summary: what broke, since when, what to do first.
    pub headline: String,
    /// What the cluster is, as far as the bundle says.
    pub inventory: Inventory,
    /// The verdict board.
    pub verdicts: Vec<Verdict>,
    /// All findings, worst first.
    pub findings: Vec<Finding>,
    /// Causes that nothing else explains, worst first.
    pub root_causes: Vec<RootCause>,
    /// The same in rows: one for each cause, whomever it hits.
    pub causes: Vec<CauseRow>,
    /// What was seen and had ended before the capture: told, and no cause of what goes on.
    pub seen_and_over: Vec<RootCause>,
    /// The nodes, those of the same state in one row.
    pub node_health: Vec<NodeHealth>,
    /// What happened when; nothing when no times are known.
    pub timeline: Option<Timeline>,
    /// What to ask for.
    pub ask_for: Vec<Ask>,
    /// The part of time that was asked for, when not all of it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowView>,
    /// What was too much to keep: counts that are therefore too low.
    pub too_much: Vec<String>,
    /// Faults of this tool: detectors that failed.
    pub internal_errors: Vec<String>,
    /// What was taken out.
    pub redaction: Redaction,
    /// What was read.
    pub coverage: CoverageView,
}

impl Diagnosis {
    /// Runs all detectors over a cluster and explains what they found; notes the time of each when it is wanted.
    pub fn of(cluster: &Cluster, inputs: Vec<String>, timings: Option<&Timings>) -> Self {
        let mut verdicts = Vec::new();
        let mut findings: Vec<Finding> = Vec::new();
        let mut questions: Vec<OpenQuestion> = Vec::new();
        let mut internal_errors = Vec::new();
        let all: Vec<&'static Detector> = detectors::all().collect();
        // Many causes need the same, and to look for it may take as long as the bundle has entries.
        let needs: BTreeMap<&str, &Need> =
            all.iter().flat_map(|detector| detector.needs).map(|need| (need.what, need)).collect();
        let needs: Vec<_> = needs.into_iter().collect();
        let lacking: BTreeSet<&str> =
            needs.par_iter().filter(|(_, need)| !(need.met)(cluster)).map(|(what, _)| *what).collect();
        let detect = |detector: &'static Detector| {
            let detect = || timed(timings, TimedPart::Detector(detector.id), || detector.detect(cluster));
            let missing: Vec<_> = detector.needs.iter().filter(|need| lacking.contains(need.what)).collect();
            (catch_unwind(AssertUnwindSafe(detect)), missing)
        };
        let mut judged: Vec<_> = all.par_iter().map(|detector| detect(detector)).collect();
        remainder::keep_what_no_other_tells(judged.iter_mut().filter_map(|(found, _)| found.as_mut().ok()));
        for (detector, (found, missing)) in all.into_iter().zip(judged) {
            // What was there did not decide it: a better collection may.
            let undecided = missing.is_empty() && found.as_ref().is_ok_and(|found| found.undecided.is_some());
            let question = if undecided { detector.needs.iter().collect() } else { missing.clone() };
            questions.extend(question.into_iter().map(|need| OpenQuestion { detector, need }));
            let missing: Vec<String> = missing.iter().map(|need| need.what.to_owned()).collect();
            if let Ok(found) = found {
                verdicts.push(verdict(detector, &found, missing));
                findings.extend(found.findings);
            } else {
                internal_errors
                    .push(format!("the detector {} failed: this is a fault of kubetriage", detector.id));
                let mut failed = verdict(detector, &Outcome::default(), missing);
                failed.verdict = VerdictKind::NotEvaluated;
                "the detector failed".clone_into(&mut failed.reason);
                verdicts.push(failed);
            }
        }
        let elsewhere = cluster.is_elsewhere();
        for finding in &mut findings {
            fit_commands(finding, elsewhere);
            if finding.state == FindingState::Unknown && finding.rests_on_an_object() {
                finding.state = FindingState::Ongoing;
            }
        }
        chains::weigh_last_words(&mut findings);
        findings.sort_by_cached_key(Finding::rank);
        number_equal_ids(&mut findings);
        chains::explain(cluster, &mut findings);
        path::trace(cluster, &mut findings);
        for verdict in &mut verdicts {
            verdict.findings =
                findings.iter().filter(|f| f.detector == verdict.id).map(|f| f.id.clone()).collect();
        }
        let focus = Focus::of(cluster);
        let root_causes: Vec<RootCause> = findings
            .iter()
            .filter(|finding| finding.explained_by.is_empty() && finding.severity > Severity::Info)
            .map(|finding| root(finding, &findings, &focus))
            .collect();
        let (seen_and_over, mut root_causes): (Vec<RootCause>, Vec<RootCause>) =
            root_causes.into_iter().partition(|root| root.state == FindingState::Ended);
        // What the customer asks about comes before all that is not critical; of two that are as bad and as sure, the one
        // that explains more.
        root_causes.sort_by_key(|root| {
            std::cmp::Reverse((
                root.severity == Severity::Critical,
                root.in_question,
                root.severity,
                root.confidence,
                root.findings.len(),
            ))
        });
        let ask_for = {
            let unknown =
                verdicts.iter().filter(|verdict| verdict.verdict == VerdictKind::NotEvaluated).count();
            let mostly_checked = unknown * 2 < verdicts.len();
            questions::join(&questions, &root_causes, &findings, Setting { elsewhere, mostly_checked })
        };
        let timeline = Timeline::of(cluster, &root_causes, &findings);
        let coverage = CoverageView::of(&cluster.facts, cluster.anchor);
        let inventory = Inventory::of(cluster, &inputs);
        let window = WindowView::of(&cluster.facts);
        let causes = causes::rows(&root_causes, &findings);
        let node_health = node_health::rows(cluster, &inventory.addresses);
        let first_screen = FirstScreen::of(&first_screen::ScreenParts {
            cluster,
            findings: &findings,
            causes: &causes,
            over: seen_and_over.len(),
            worst_over: seen_and_over.first().map(|root| root.title.as_str()),
            verdicts: &verdicts,
            inventory: &inventory,
            coverage: &coverage,
            nodes: &node_health,
        });
        let (headline, mut summary) =
            summary::paragraph(&findings, &root_causes, &verdicts, &inventory, &coverage);
        if let Some(window) = &window {
            summary.push(' ');
            summary.push_str(&window.words());
        }
        Self {
            schema: SCHEMA,
            tool: Tool { name: "kubetriage", version: env!("CARGO_PKG_VERSION") },
            notice: None,
            inputs,
            first_screen,
            summary,
            headline,
            inventory,
            verdicts,
            findings,
            root_causes,
            causes,
            seen_and_over,
            node_health,
            timeline,
            ask_for,
            window,
            too_much: too_much(cluster),
            internal_errors,
            redaction: Redaction::default(),
            coverage,
        }
    }

    /// Takes the words that are the program's own, and so are not read back, from what this was made of.
    pub fn keep_own_words(&mut self, from: &Self) {
        (self.schema, self.tool) = (from.schema, from.tool.clone());
        for (verdict, from) in self.verdicts.iter_mut().zip(&from.verdicts) {
            (verdict.id, verdict.title) = (from.id, from.title);
        }
        for (subnet, from) in self.inventory.subnets.iter_mut().zip(&from.inventory.subnets) {
            subnet.role = from.role;
        }
        let lanes = |timeline: &Option<Timeline>| {
            timeline.iter().flat_map(|timeline| timeline.lanes.clone()).collect::<Vec<_>>()
        };
        let from = lanes(&from.timeline);
        for (lane, from) in self.timeline.iter_mut().flat_map(|timeline| &mut timeline.lanes).zip(from) {
            lane.what = from.what;
        }
    }

    /// The worst severity among findings that are at least likely.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().filter(|f| f.confidence >= Confidence::Likely).map(|f| f.severity).max()
    }
}

/// The part of time that was asked for with `--since` and `--until`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowView {
    /// RFC 3339; nothing before it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// RFC 3339; nothing after it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Signs of trouble and events of another time; an event and what its message tells count each.
    pub left_out: u64,
}

impl WindowView {
    /// For people.
    pub fn words(&self) -> String {
        let text =
            |text: &str| time::rfc3339(text.as_bytes()).and_then(|(at, _)| at.resolve(None)).map(time::show);
        let from = self.since.as_deref().and_then(text).map_or_else(String::new, |at| format!(" from {at}"));
        let to = self.until.as_deref().and_then(text).map_or_else(String::new, |at| format!(" to {at}"));
        let left_out = match self.left_out {
            0 => String::new(),
            1 => "; 1 sign of trouble of another time was left out".to_owned(),
            n => format!("; {n} signs of trouble of another time were left out"),
        };
        format!("Of logs and events, only what happened{from}{to} counts{left_out}.")
    }

    fn of(facts: &Facts) -> Option<Self> {
        let window = facts.window;
        let text = |at: i64| time::rfc3339_text(at);
        (!window.is_all()).then(|| Self {
            since: window.since.map(text),
            until: window.until.map(text),
            left_out: facts.left_out,
        })
    }
}

fn too_much(cluster: &Cluster) -> Vec<String> {
    let facts = &cluster.facts;
    [
        (facts.denials.map.overflowed(), "kinds of refused requests"),
        (facts.access.map.overflowed(), "kinds of refused requests in the access log"),
        (facts.events.map.overflowed(), "kinds of events"),
        (facts.signals.map.overflowed(), "kinds of known errors"),
        (facts.flows.map.overflowed(), "kinds of firewall records"),
        (facts.collected.overflowed(), "kinds of objects"),
    ]
    .into_iter()
    .filter(|(overflowed, _)| *overflowed)
    .map(|(_, what)| what.to_owned())
    .chain(facts.objects.overflowed().into_iter().map(|kind| kind.replace('_', " ")))
    .map(|what| format!("more {what} than can be kept: some are missing from this report"))
    .collect()
}

/// Where it was looked for.
fn places(detector: &Detector) -> String {
    let places: Vec<&str> = detector.needs.iter().map(|need| need.what.trim_start_matches("the ")).collect();
    if places.is_empty() { "bundle".to_owned() } else { places.join(" and the ") }
}

fn verdict(detector: &Detector, outcome: &Outcome, missing: Vec<String>) -> Verdict {
    let found = &outcome.findings;
    let surest = found.iter().map(|finding| finding.confidence).max();
    let (decision, reason) = match surest {
        Some(Confidence::Confirmed) => (VerdictKind::Confirmed, counted(found.len(), "finding")),
        Some(_) => (VerdictKind::Suspected, counted(found.len(), "finding")),
        None if missing.is_empty() && outcome.undecided.is_some() => {
            (VerdictKind::NotEvaluated, outcome.undecided.clone().unwrap_or_default())
        }
        None if missing.is_empty() => match &outcome.ruled_out {
            Some(fact) => (VerdictKind::RuledOut, fact.clone()),
            // What was looked at may be one line of one pod: that holds no sign, and refutes nothing.
            None => (VerdictKind::NoSign, format!("no sign in the {}", places(detector))),
        },
        None => (VerdictKind::NotEvaluated, format!("missing: {}", missing.join("; "))),
    };
    Verdict {
        id: detector.id,
        chapter: detector.chapter,
        title: detector.title,
        verdict: decision,
        reason,
        findings: Vec::new(),
        missing,
    }
}

/// The image with which a shell is started on a node: Azure's registry is allowed wherever AKS runs.
const AZURE_IMAGE: &str = "mcr.microsoft.com/azure-cli";

/// Commands that can run where the cluster is: without Azure's where it is not on Azure, without a namespace that is not
/// known.
fn fit_commands(finding: &mut Finding, elsewhere: bool) {
    for commands in [&mut finding.fix.commands, &mut finding.verify] {
        if elsewhere {
            let of_azure = |command: &String| {
                command.trim_start().starts_with("az ") || command.contains("/var/log/azure/")
            };
            commands.retain(|command| !of_azure(command));
            for command in commands.iter_mut().filter(|command| command.contains(AZURE_IMAGE)) {
                *command = command.replace(AZURE_IMAGE, "busybox");
            }
        }
        for command in commands {
            if command.contains(" -n ''") {
                *command = command.replace(" -n ''", "");
            }
            // A name that the bundle does not tell.
            if command.contains(" ''") {
                *command = command.replace(" pod ''", " pod POD").replace(" ''", " NAME");
            }
        }
    }
}

/// Two findings about things whose names differ only in signs would share an id. What has one by its name keeps it.
fn number_equal_ids(findings: &mut [Finding]) {
    let mut taken: HashSet<String> = findings.iter().map(|finding| finding.id.clone()).collect();
    let mut seen: HashMap<String, u32> = HashMap::new();
    for finding in findings {
        let times = seen.entry(finding.id.clone()).or_insert(0);
        *times += 1;
        while *times > 1 {
            let id = format!("{}-{times}", finding.id);
            if taken.insert(id.clone()) {
                finding.id = id;
                break;
            }
            *times += 1;
        }
    }
}

fn root(finding: &Finding, findings: &[Finding], focus: &Focus) -> RootCause {
    let symptoms = chains::symptoms(&finding.id, findings);
    // What it does to the user is what follows from it, too.
    let follows = findings.iter().filter(|other| {
        other.confidence >= Confidence::Likely
            && other.state != FindingState::Ended
            && symptoms.contains(&other.id)
    });
    let severity = follows.map(|other| other.severity).max().unwrap_or(finding.severity);
    let first = |text: &str| text.split_inclusive(". ").next().unwrap_or_default().trim().to_owned();
    RootCause {
        id: finding.id.clone(),
        title: finding.title.clone(),
        severity: severity.max(finding.severity),
        confidence: finding.confidence,
        state: finding.state,
        // A mere possibility is no answer.
        in_question: finding.severity >= Severity::Medium
            && finding.confidence >= Confidence::Likely
            && focus.holds(finding),
        why: first(&finding.cause),
        count: finding.count,
        first_step: first(&finding.fix.text),
        findings: std::iter::once(finding.id.clone()).chain(symptoms).collect(),
    }
}
