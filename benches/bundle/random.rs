//! Chance: splitmix64 (Steele, Lea, Flood 2014), started anew for each record, so that the k-th record needs
//! none before it and no clock, thread or hash order takes part.

use std::fmt::{self, Display};

/// What a draw is for. Each purpose has its own numbers: a change to one leaves the others as they were.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Node = 1,
    App,
    Account,
    Pod,
    Request,
    Body,
    Noise,
    Session,
    Row,
    Burst,
    Event,
}

pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64, purpose: Purpose, record: u64) -> Self {
        Self(mix(mix(seed ^ (purpose as u64) << 56).wrapping_add(record)))
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`, by multiplication: the bias is below one in 2^32 for the bounds used here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        nth(list, self.draw() >> 1)
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid(self.draw(), self.draw())
    }

    /// A SHA-256, or a container's id, as hex.
    pub(crate) fn digest(&mut self) -> String {
        format!("{:016x}{:016x}{:016x}{:016x}", self.draw(), self.draw(), self.draw(), self.draw())
    }

    /// The random end of a name.
    pub(crate) fn suffix(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(*self.pick(SUFFIX_LETTERS))).collect()
    }

    /// Letters of a token.
    pub(crate) fn letters(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 9);
        while text.len() < length {
            let bits = self.draw();
            text.extend((0..10).map(|k| char::from(*nth(TOKEN_LETTERS, bits >> (6 * k) & 63))));
        }
        text.truncate(length);
        text
    }

    /// A time in nanoseconds that is mostly small and rarely very long, as latencies are.
    pub(crate) fn latency(&mut self) -> u64 {
        let base = 350_000_u64 << self.below(5);
        let slow = if self.one_in(400) { 60 } else { 1 };
        (base + self.below(base)) * slow
    }
}

pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The number of a thing that has a name.
pub(crate) fn number_of(words: &[&str]) -> u64 {
    words.iter().flat_map(|word| word.bytes()).fold(1, |number, byte| mix(number ^ u64::from(byte)))
}

/// The k-th of a list, counted round and round.
#[expect(clippy::indexing_slicing, reason = "no list here is empty, and the remainder is below the length")]
pub(crate) fn nth<T>(list: &[T], k: u64) -> &T {
    &list[(k % list.len() as u64) as usize]
}

/// What Kubernetes makes name suffixes of: no vowels, no look-alikes (apimachinery `util/rand`).
pub(crate) const SUFFIX_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Base64 for URLs (RFC 4648).
const TOKEN_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A random UUID (RFC 9562, version 4).
#[derive(Clone, Copy)]
pub(crate) struct Uuid(pub(crate) u64, pub(crate) u64);

impl Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = (self.0 & !0xF000 | 0x4000, self.1 & !(0b11 << 62) | 0b10 << 62);
        let (first, second, third) = (high >> 32, high >> 16 & 0xFFFF, high & 0xFFFF);
        write!(f, "{first:08x}-{second:04x}-{third:04x}-{:04x}-{:012x}", low >> 48, low & 0xFFFF_FFFF_FFFF)
    }
}
