//! All texts of a diagnosis that come from a bundle or name something of it, in one list.

use serde_json::Value;

use crate::detectors::Finding;
use crate::diagnosis::Diagnosis;

fn boxed(text: &mut Box<str>, with: &mut impl FnMut(&mut String)) {
    let mut owned = std::mem::take(text).into_string();
    with(&mut owned);
    *text = owned.into_boxed_str();
}

fn shared(text: &mut std::sync::Arc<str>, with: &mut impl FnMut(&mut String)) {
    let mut owned = text.to_string();
    with(&mut owned);
    if *owned != **text {
        *text = owned.into();
    }
}

fn value(value: &mut Value, with: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => with(text),
        Value::Array(items) => items.iter_mut().for_each(|item| self::value(item, with)),
        Value::Object(map) => map.values_mut().for_each(|item| self::value(item, with)),
        _ => {}
    }
}

/// Calls something with every text of a finding; its id is not among them.
pub(super) fn of_finding(finding: &mut Finding, with: &mut impl FnMut(&mut String)) {
    with(&mut finding.title);
    for subject in &mut finding.subjects {
        with(&mut subject.name);
    }
    for evidence in &mut finding.evidence {
        shared(&mut evidence.source, with);
        if let Some(pointer) = &mut evidence.pointer {
            boxed(pointer, with);
        }
        boxed(&mut evidence.excerpt, with);
    }
    finding.details.values_mut().for_each(|detail| value(detail, with));
    with(&mut finding.cause);
    with(&mut finding.fix.text);
    finding.fix.commands.iter_mut().for_each(&mut *with);
    finding.fix.manifests.iter_mut().for_each(&mut *with);
    finding.verify.iter_mut().for_each(&mut *with);
    finding.explained_by.iter_mut().for_each(|link| with(&mut link.because));
}

/// Calls something with every text; ids are not among them.
pub(super) fn each(diagnosis: &mut Diagnosis, with: &mut impl FnMut(&mut String)) {
    // Pseudonyms are numbered in this order.
    before_findings(diagnosis, with);
    diagnosis.findings.iter_mut().for_each(|finding| of_finding(finding, with));
    after_findings(diagnosis, with);
}

/// Calls something with every text that stands before the findings.
pub(super) fn before_findings(diagnosis: &mut Diagnosis, with: &mut impl FnMut(&mut String)) {
    diagnosis.inputs.iter_mut().for_each(&mut *with);
    with(&mut diagnosis.summary);
    with(&mut diagnosis.headline);
    let inventory = &mut diagnosis.inventory;
    for inferred in
        [&mut inventory.provider, &mut inventory.network, &mut inventory.policy_engine].into_iter().flatten()
    {
        with(&mut inferred.what);
        with(&mut inferred.from);
    }
    for node in &mut inventory.addresses {
        with(&mut node.node);
        with(&mut node.note);
    }
    for subnet in &mut inventory.subnets {
        [&mut subnet.range, &mut subnet.name, &mut subnet.arithmetic].into_iter().for_each(&mut *with);
    }
    for pool in &mut inventory.calico_pools {
        with(&mut pool.range);
    }
    for verdict in &mut diagnosis.verdicts {
        with(&mut verdict.reason);
    }
}

/// Calls something with every text that stands after the findings.
pub(super) fn after_findings(diagnosis: &mut Diagnosis, with: &mut impl FnMut(&mut String)) {
    for root in &mut diagnosis.root_causes {
        [&mut root.title, &mut root.why, &mut root.first_step].into_iter().for_each(&mut *with);
    }
    for onset in diagnosis.timeline.iter_mut().flat_map(|timeline| &mut timeline.onsets) {
        with(&mut onset.title);
    }
    diagnosis.internal_errors.iter_mut().for_each(&mut *with);
    let coverage = &mut diagnosis.coverage;
    for entry in &mut coverage.entries {
        with(&mut entry.path);
        entry.problem.iter_mut().for_each(&mut *with);
        entry.note.iter_mut().for_each(&mut *with);
        entry.first_unrecognised.iter_mut().for_each(|(_, text)| with(text));
    }
    for failed in &mut coverage.failed {
        with(&mut failed.why);
        with(&mut failed.place);
    }
    for contradiction in &mut coverage.contradictions {
        with(&mut contradiction.object);
        for (text, place) in &mut contradiction.readings {
            with(text);
            with(place);
        }
    }
}

/// Calls something with every id of a finding, wherever it is named.
pub(super) fn each_id(diagnosis: &mut Diagnosis, with: &mut impl FnMut(&mut String)) {
    for finding in &mut diagnosis.findings {
        with(&mut finding.id);
        finding.explained_by.iter_mut().for_each(|link| with(&mut link.by));
    }
    for root in &mut diagnosis.root_causes {
        with(&mut root.id);
        root.findings.iter_mut().for_each(&mut *with);
    }
    for verdict in &mut diagnosis.verdicts {
        verdict.findings.iter_mut().for_each(&mut *with);
    }
    for onset in diagnosis.timeline.iter_mut().flat_map(|timeline| &mut timeline.onsets) {
        with(&mut onset.id);
    }
}
