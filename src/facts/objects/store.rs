//! The objects of one kind, each once, however many copies of it a bundle holds.
//!
//! Copies differ in what they can hold: JSON and YAML hold all, `describe` text less, a table row
//! little. The fullest form wins, then the newest version, then the weightiest, then the first place.
//! Nothing depends on the order in which copies come.

use std::borrow::Borrow;
use std::cmp::{Ordering, Reverse};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::fill_missing_from::FillMissing;
use super::shapes::Meta;
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::text::Text;

/// How much of an object a representation holds, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A row of a `kubectl get` table.
    Table,
    /// A row of Container Insights' inventory.
    Inventory,
    /// `kubectl describe`.
    Describe,
    /// The object itself, as JSON or YAML.
    #[default]
    Full,
}

/// An object that has metadata.
pub trait Object: Clone + Default {
    /// Its metadata.
    fn meta(&self) -> &Meta;
    /// Where objects written into a namespaced file without a namespace belong.
    fn meta_mut(&mut self) -> &mut Meta;
    /// What it says, field by field, in words that every representation can be compared by. Fields
    /// about which it says nothing are left out.
    fn statements(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty for cluster-scoped objects, and for rows that do not tell it.
    pub namespace: Text,
    /// Name.
    pub name: Text,
}

impl Key {
    /// Made of two strings.
    pub fn new(namespace: impl Into<Text>, name: impl Into<Text>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// `namespace/name`, or the name alone.
    pub fn label(&self) -> String {
        if self.namespace.is_empty() {
            self.name.to_string()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }
}

/// A key, or its two parts as they lie somewhere: objects are looked up without making a key.
trait Parts {
    fn parts(&self) -> (&str, &str);
}

impl Parts for Key {
    fn parts(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

impl Parts for (&str, &str) {
    fn parts(&self) -> (&str, &str) {
        *self
    }
}

impl PartialEq for dyn Parts + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Parts + '_ {}

impl PartialOrd for dyn Parts + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Parts + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl<'a> Borrow<dyn Parts + 'a> for Key {
    fn borrow(&self) -> &(dyn Parts + 'a) {
        self
    }
}

/// Where a copy was: entry, line, and byte for copies that share a line.
type CopyPlace = (Arc<str>, u64, u64);

/// What is known of a copy before it is added.
pub struct Origin<'a> {
    /// How much it can hold.
    pub form: Form,
    /// Of two copies of one version and form the weightier is kept: the length of the text, or the time
    /// of an inventory row.
    pub weight: usize,
    /// Entry.
    pub source: &'a Arc<str>,
    /// Line in the entry.
    pub line: u64,
    /// Byte in the entry.
    pub at: u64,
}

impl<'a> Origin<'a> {
    /// A whole object.
    pub fn full(weight: usize, source: &'a Arc<str>, line: u64, at: u64) -> Self {
        Self { form: Form::Full, weight, source, line, at }
    }
}

/// A statement in which copies differ, and where each reading stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Which field.
    pub field: &'static str,
    /// The readings.
    pub readings: Vec<Evidence>,
}

/// Form, version and weight: the greatest wins.
type Rank = (Form, u64, usize);

/// An object with where it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// The fullest and newest form, completed from the others once everything is read.
    pub object: T,
    /// Its form.
    pub form: Form,
    version: u64,
    weight: usize,
    /// The best copy of each lesser form, while there is no full one.
    lesser: Vec<(Rank, CopyPlace, T)>,
    /// Entries and lines where it was seen, in all forms; the first is where `object` was.
    places: Vec<CopyPlace>,
    /// What the copies say, once there are several.
    statements: BTreeMap<(&'static str, Box<str>), CopyPlace>,
}

/// Most different statements kept of one object.
const STATEMENTS: usize = 48;

impl<T> Seen<T> {
    fn rank(&self) -> (Rank, Reverse<Option<&CopyPlace>>) {
        ((self.form, self.version, self.weight), Reverse(self.places.first()))
    }

    /// The places as evidence: the object itself, wherever it was.
    pub fn evidence(&self, kind: &str, key: &Key) -> Vec<Evidence> {
        let place = |(source, line, _): &CopyPlace| Evidence {
            source: Arc::clone(source),
            line: *line,
            pointer: Some(format!("{kind} {}", key.label()).into()),
            excerpt: "".into(),
        };
        self.places.iter().map(place).collect()
    }

    /// Where its copies do not agree.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut fields: BTreeMap<&'static str, Vec<Evidence>> = BTreeMap::new();
        for ((field, value), (source, line, _)) in &self.statements {
            fields.entry(field).or_default().push(Evidence::field(source, *line, *field, value));
        }
        let differ = fields.into_iter().filter(|(_, readings)| readings.len() > 1);
        differ.map(|(field, readings)| Contradiction { field, readings }).collect()
    }
}

impl<T: Object> Seen<T> {
    /// What this copy claims, before it is joined to another.
    fn note_statements(&mut self) {
        if !self.statements.is_empty() {
            return;
        }
        if let Some(place) = self.places.first() {
            let statements = self.object.statements().into_iter();
            self.statements =
                statements.map(|(field, value)| ((field, value.into()), place.clone())).collect();
        }
    }

    fn join(&mut self, mut other: Self) {
        self.note_statements();
        other.note_statements();
        for (statement, place) in std::mem::take(&mut other.statements) {
            match self.statements.entry(statement) {
                Entry::Vacant(slot) => {
                    slot.insert(place);
                }
                Entry::Occupied(mut slot) if place < *slot.get() => {
                    slot.insert(place);
                }
                Entry::Occupied(_) => {}
            }
        }
        while self.statements.len() > STATEMENTS {
            self.statements.pop_last();
        }
        if other.rank() > self.rank() {
            std::mem::swap(self, &mut other);
            std::mem::swap(&mut self.statements, &mut other.statements);
        }
        self.keep_lesser(&mut other);
        let mut rest: Vec<CopyPlace> = self.places.split_off(1.min(self.places.len()));
        rest.append(&mut other.places);
        rest.retain(|place| Some(place) != self.places.first());
        rest.sort();
        rest.dedup();
        rest.truncate(EXAMPLES - 1);
        self.places.append(&mut rest);
    }

    /// Keeps the best copy of each form below this one's.
    fn keep_lesser(&mut self, other: &mut Self) {
        // A manifest that somebody wrote has no version, and no status: what the cluster says completes it.
        if self.form == Form::Full && self.version > 0 {
            self.lesser.clear();
            return;
        }
        let mut all = std::mem::take(&mut self.lesser);
        all.append(&mut other.lesser);
        if let Some(place) = other.places.first().cloned() {
            let object = std::mem::take(&mut other.object);
            all.push(((other.form, other.version, other.weight), place, object));
        }
        all.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
        let mut forms = BTreeSet::from([self.form]);
        all.retain(|((form, ..), ..)| forms.insert(*form));
        self.lesser = all;
    }
}

/// All objects of one kind, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store<T> {
    // In boxes, so that the half-empty nodes of a map that grew in order waste little.
    map: BTreeMap<Key, Box<Seen<T>>>,
    /// More came than are kept.
    overflowed: bool,
}

/// Most objects of a kind: more than the largest clusters have (Kubernetes is tested to 150,000 pods). The first by
/// namespace and name are kept, so that it does not matter in which order they come.
const OBJECTS: usize = 200_000;

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), overflowed: false }
    }
}

impl<T: Object> Store<T> {
    /// Adds a copy of an object.
    pub fn add(&mut self, object: T, origin: &Origin<'_>) {
        let meta = object.meta();
        let key = Key::new(meta.namespace.clone(), meta.name.clone());
        let version = meta.resource_version.0;
        let places = vec![(Arc::clone(origin.source), origin.line, origin.at)];
        let seen = Seen {
            object,
            form: origin.form,
            version,
            weight: origin.weight,
            lesser: Vec::new(),
            places,
            statements: BTreeMap::new(),
        };
        self.join(key, Box::new(seen));
    }

    fn join(&mut self, key: Key, seen: Box<Seen<T>>) {
        if self.map.len() >= OBJECTS && !self.map.contains_key(&key) {
            self.overflowed = true;
            if self.map.last_key_value().is_some_and(|(largest, _)| key > *largest) {
                return;
            }
            self.map.pop_last();
        }
        match self.map.entry(key) {
            Entry::Vacant(slot) => {
                slot.insert(seen);
            }
            Entry::Occupied(mut slot) => slot.get_mut().join(*seen),
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.overflowed |= other.overflowed;
        for (key, seen) in other.map {
            match self.map.entry(key) {
                Entry::Occupied(mut kept) => kept.get_mut().join(*seen),
                Entry::Vacant(slot) => drop(slot.insert(seen)),
            }
        }
        while self.map.len() > OBJECTS {
            self.map.pop_last();
            self.overflowed = true;
        }
    }
}

impl<T: Object> Store<T> {
    /// Whole objects without a namespace are manifests that somebody wrote: applied, they go to `default`.
    pub(super) fn settle_in_default_namespace(&mut self) {
        let homeless = self.map.iter().take_while(|(key, _)| key.namespace.is_empty());
        let whole: Vec<Key> =
            homeless.filter(|(_, seen)| seen.form == Form::Full).map(|(key, _)| key.clone()).collect();
        for key in whole {
            if let Some(mut seen) = self.map.remove(&key) {
                let home = Key::new("default", key.name);
                seen.object.meta_mut().namespace = home.namespace.clone();
                self.join(home, seen);
            }
        }
    }
}

impl<T: Object + FillMissing> Store<T> {
    /// Once everything is read: rows that do not tell their namespace are given to the only object of
    /// that name, and what lesser forms know completes the best one.
    pub(super) fn settle(&mut self) {
        let homeless: Vec<Key> =
            self.map.keys().take_while(|key| key.namespace.is_empty()).cloned().collect();
        // The objects of those names that tell their namespace: none yet, one, or several.
        let mut homes: BTreeMap<&str, Option<Option<Key>>> =
            homeless.iter().map(|key| (&*key.name, None)).collect();
        for key in self.map.keys().skip(homeless.len()).take_while(|_| !homeless.is_empty()) {
            if let Some(home) = homes.get_mut(&*key.name) {
                *home = Some(if home.is_none() { Some(key.clone()) } else { None });
            }
        }
        for key in &homeless {
            let Some(Some(Some(home))) = homes.get(&*key.name) else { continue };
            if let Some(mut seen) = self.map.remove(key) {
                seen.object.meta_mut().namespace = home.namespace.clone();
                self.join(home.clone(), seen);
            }
        }
        for seen in self.map.values_mut() {
            for (_, _, object) in std::mem::take(&mut seen.lesser) {
                seen.object.fill_missing_from(&object);
            }
        }
    }
}

impl<T> Store<T> {
    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Seen<T>> {
        self.map.get::<dyn Parts>(&(namespace, name)).map(AsRef::as_ref)
    }

    /// All, by namespace and name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Seen<T>)> {
        self.map.iter().map(|(key, seen)| (key, seen.as_ref()))
    }

    /// Those of a namespace, by name.
    pub fn of_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'a Key, &'a Seen<T>)> {
        let first = (namespace, "");
        let from: (Bound<&dyn Parts>, Bound<&dyn Parts>) = (Bound::Included(&first), Bound::Unbounded);
        let all =
            self.map.range::<dyn Parts, _>(from).take_while(move |(key, _)| &*key.namespace == namespace);
        all.map(|(key, seen)| (key, seen.as_ref()))
    }

    /// All, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Seen<T>> {
        self.map.values_mut().map(AsMut::as_mut)
    }

    /// Whether there were more than are kept.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}
