//! Completes what one representation leaves out from another of the same object.

use std::collections::BTreeMap;

use super::values::{
    Address, CloudAnnotations, DnsTexts, IntOrString, Labels, List, Quantities, Stamp, Version,
};
use crate::facts::text::Text;

/// A shape whose empty fields can be filled.
pub trait FillMissing {
    /// Takes from another what is empty here.
    fn fill_missing_from(&mut self, from: &Self);
}

fn take<T: Clone + PartialEq + Default>(ours: &mut T, from: &T) {
    if *ours == T::default() {
        ours.clone_from(from);
    }
}

macro_rules! leaves {
    ($($type:ty),*) => {
        $(impl FillMissing for $type {
            fn fill_missing_from(&mut self, from: &Self) {
                take(self, from);
            }
        })*
    };
}
leaves!(Text, Labels, CloudAnnotations, Quantities, DnsTexts, Address, Stamp, Version, bool, u32, i64);

impl<T: Clone + PartialEq> FillMissing for List<T> {
    fn fill_missing_from(&mut self, from: &Self) {
        if self.is_empty() {
            self.clone_from(from);
        }
    }
}

impl<T: Clone + PartialEq> FillMissing for BTreeMap<Text, T> {
    fn fill_missing_from(&mut self, from: &Self) {
        if self.is_empty() {
            self.clone_from(from);
        }
    }
}

impl<T: Clone + PartialEq> FillMissing for Option<T> {
    fn fill_missing_from(&mut self, from: &Self) {
        take(self, from);
    }
}

impl FillMissing for IntOrString {
    fn fill_missing_from(&mut self, _: &Self) {}
}
