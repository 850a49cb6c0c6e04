//! Completes what one representation leaves out from another of the same object.

use std::collections::BTreeMap;

use super::values::{Address, DnsTexts, IntOrString, Labels, List, Stamp, Version};
use crate::facts::text::Text;

/// A shape whose empty fields can be filled.
pub trait Fill {
    /// Takes from another what is empty here.
    fn fill(&mut self, from: &Self);
}

fn take<T: Clone + PartialEq + Default>(own: &mut T, from: &T) {
    if *own == T::default() {
        own.clone_from(from);
    }
}

macro_rules! leaves {
    ($($type:ty),*) => {
        $(impl Fill for $type {
            fn fill(&mut self, from: &Self) {
                take(self, from);
            }
        })*
    };
}
leaves!(Text, Labels, DnsTexts, Address, Stamp, Version, bool, u32, i64);

impl<T: Clone + PartialEq> Fill for List<T> {
    fn fill(&mut self, from: &Self) {
        if self.is_empty() {
            self.clone_from(from);
        }
    }
}

impl<T: Clone + PartialEq> Fill for BTreeMap<Text, T> {
    fn fill(&mut self, from: &Self) {
        if self.is_empty() {
            self.clone_from(from);
        }
    }
}

impl<T: Clone + PartialEq> Fill for Option<T> {
    fn fill(&mut self, from: &Self) {
        take(self, from);
    }
}

impl Fill for IntOrString {
    fn fill(&mut self, _: &Self) {}
}
