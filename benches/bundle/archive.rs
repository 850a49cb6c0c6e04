//! The bundle as a file: what share of its size each sort of record fills, and the tar.gz around them.
//!
//! | share | entries | like |
//! |---|---|---|
//! | 45 % | `contoso/logs/kube-apiserver-NNN.log` | [`apiserver_log`] |
//! | 30 % | `contoso/logs/audit-NNN.log` | [`audit`]; most requests are left out |
//! | 15 % | `contoso/json/*.json` | [`dumps`] and [`crate::rbac`], nearly all of it `pods.json` |
//! | 8 % | `contoso/insights/ContainerLogV2.csv` | [`insights`] |
//! | 2 % | `contoso/insights/KubeEvents.csv` | [`insights`] |

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use rayon::prelude::*;
use serde_json::Value;

use crate::cluster::World;
use crate::notation::START;
use crate::random::nth;
use crate::rbac::Rbac;
use crate::requests::REFUSED;
use crate::{apiserver_log, audit, dumps, insights};

/// Bytes of a pod in `pods.json`, about (with its share of the other objects).
const POD_BYTES: u64 = 8_950;
/// Bytes of a log file, about: where a log rotates.
const LOG_FILE: u64 = 64_000_000;

/// Writes the bundle of this seed that has, unpacked, about this many bytes.
pub(crate) fn write(seed: u64, size: u64, path: &Path) -> Result<()> {
    let world = sized(seed, size)?;
    let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let gzip = GzBuilder::new().mtime(START as u32).write(file, Compression::new(6));
    let mut tar = tar::Builder::new(gzip);
    for entry in entries(&world, size) {
        let mut header = tar::Header::new_gnu();
        // The header comes first, so each entry is made twice: that is cheap beside gzip, and takes no memory.
        header.set_size(io::copy(&mut entry.open(), &mut io::sink())?);
        header.set_mode(0o644);
        header.set_mtime(START);
        tar.append_data(&mut header, &entry.path, entry.open()).with_context(|| entry.path.clone())?;
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok(())
}

/// Writes the largest cluster with so many bytes of logs into a folder: each file compressed by itself, as many at a
/// time as there are processors.
pub(crate) fn write_big(seed: u64, logs: u64, folder: &Path) -> Result<()> {
    let mut world = World::big(seed);
    share_logs(&mut world, logs, 60, 40)?;
    world.log_rows = logs / 100 / bytes_of_100(&world, insights::write_container_log)?.max(1);
    entries(&world, logs * 100 / 75).into_par_iter().try_for_each(|entry| {
        let path = folder.join(format!("{}.gz", entry.path));
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        let file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut gzip = GzBuilder::new().mtime(START as u32).write(file, Compression::fast());
        io::copy(&mut entry.open(), &mut gzip)?;
        gzip.finish()?.flush()?;
        Ok(())
    })
}

/// All files of the bundle, in their order in the archive.
fn entries(world: &World, size: u64) -> Vec<Entry<'_>> {
    let rbac = Rbac::of(world);
    let mut all = vec![
        held("clusterrolebindings", rbac.cluster_bindings),
        held("clusterroles", rbac.cluster_roles),
        held("endpointslices", dumps::endpoint_slices(world)),
        held("namespaces", dumps::namespaces(world)),
        held("nodes", dumps::nodes(world)),
        list("pods", world.pods, |k| dumps::pod(world, k)),
        held("rolebindings", rbac.bindings),
        held("roles", rbac.roles),
        held("serviceaccounts", dumps::service_accounts(world)),
        held("services", dumps::services(world)),
    ];
    if world.policies > 0 {
        all.push(held("networkpolicies", dumps::network_policies(world)));
    }
    let records = |path: String, head, records, record: Record| {
        let record = Box::new(move |k, out: &mut Vec<u8>| record(world, k, out));
        Entry { path: format!("contoso/{path}"), head, records, record, tail: "" }
    };
    let table = |name, head, rows, row| records(format!("insights/{name}.csv"), head, 0..rows, row);
    let (log_head, events_head) = (insights::CONTAINER_LOG_HEAD, insights::KUBE_EVENTS_HEAD);
    all.push(table("ContainerLogV2", log_head, world.log_rows, insights::write_container_log));
    all.push(table("KubeEvents", events_head, world.event_rows, insights::write_kube_event));
    let logs: [(&str, u64, Record); 2] =
        [("audit", 30, audit::write), ("kube-apiserver", 45, apiserver_log::write)];
    for (name, share, line) in logs {
        let files = (size * share / 100).div_ceil(LOG_FILE);
        for n in 0..files {
            let requests = world.requests * n / files..world.requests * (n + 1) / files;
            all.push(records(format!("logs/{name}-{n:03}.log"), "", requests, line));
        }
    }
    all
}

fn held(name: &str, objects: Vec<Value>) -> Entry<'static> {
    list(name, objects.len() as u64, move |k| nth(&objects, k).clone())
}

fn list<'w>(name: &str, count: u64, object: impl Fn(u64) -> Value + Sync + 'w) -> Entry<'w> {
    Entry {
        path: format!("contoso/json/{name}.json"),
        head: dumps::LIST_HEAD,
        records: 0..count,
        record: Box::new(move |k, out| dumps::write_item(k, object(k), out)),
        tail: dumps::LIST_TAIL,
    }
}

/// Writes the k-th record of an entry.
type RecordOf<'w> = Box<dyn Fn(u64, &mut Vec<u8>) -> io::Result<()> + Sync + 'w>;

/// A file of the bundle, as the recipe of its records: one of any size needs no memory.
struct Entry<'w> {
    path: String,
    head: &'static str,
    records: Range<u64>,
    record: RecordOf<'w>,
    tail: &'static str,
}

impl Entry<'_> {
    fn open(&self) -> Stream<'_> {
        Stream { entry: self, next: self.records.start, ended: false, buffer: self.head.into(), read: 0 }
    }
}

/// An entry being read: its records, one buffer after the other.
struct Stream<'e> {
    entry: &'e Entry<'e>,
    next: u64,
    ended: bool,
    buffer: Vec<u8>,
    read: usize,
}

impl Read for Stream<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.buffer.len() {
            self.buffer.clear();
            self.read = 0;
        }
        while self.buffer.len() < 1 << 18 && !self.ended {
            if self.next < self.entry.records.end {
                (self.entry.record)(self.next, &mut self.buffer)?;
                self.next += 1;
            } else {
                self.buffer.extend_from_slice(self.entry.tail.as_bytes());
                self.ended = true;
            }
        }
        let count = self.buffer.get(self.read..).unwrap_or_default().read(out)?;
        self.read += count;
        Ok(count)
    }
}

/// Writes the k-th record of a sort.
type Record = fn(&World, u64, &mut Vec<u8>) -> io::Result<()>;

/// Lays out the cluster, then measures some records of each sort to know how many fill their share.
fn sized(seed: u64, size: u64) -> io::Result<World> {
    let mut world = World::new(seed, size * 15 / 100 / POD_BYTES);
    share_logs(&mut world, size, 45, 30)?;
    world.log_rows = size * 8 / bytes_of_100(&world, insights::write_container_log)?;
    world.event_rows = size * 2 / bytes_of_100(&world, insights::write_kube_event)?;
    Ok(world)
}

/// How many requests fill so many percent of a size with access lines, and how many of them are audited so that these
/// fill their percent.
fn share_logs(world: &mut World, size: u64, access: u64, audited: u64) -> io::Result<()> {
    let klog = bytes_of_100(world, apiserver_log::write)?;
    let audit = bytes_of_100(world, audit::write)?;
    let refused = (1 << 32) * REFUSED / 100_000;
    world.audited = (((audited << 32) / access * klog / audit) - refused).min(1 << 32);
    world.requests = size * access / klog;
    Ok(())
}

fn bytes_of_100(world: &World, record: Record) -> io::Result<u64> {
    const SAMPLE: u64 = 5_000;
    let mut sample = Vec::new();
    for k in 0..SAMPLE {
        record(world, k * 7, &mut sample)?;
    }
    Ok(sample.len() as u64 * 100 / SAMPLE)
}
