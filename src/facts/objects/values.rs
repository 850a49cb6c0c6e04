//! Values of fields: short, so that a cluster of thousands of pods fits into memory.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};

use crate::facts::text::Text;
use crate::facts::time::{rfc1123, rfc3339};

/// A list without room to grow: half of a pod's memory would be such room.
pub type List<T> = Box<[T]>;

/// Labels and selectors, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels(Box<[(Text, Text)]>);

impl Labels {
    /// In the order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Text)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Text> {
        let at = self.0.binary_search_by(|(ours, _)| (**ours).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Text, Text)> for Labels {
    fn from_iter<I: IntoIterator<Item = (Text, Text)>>(pairs: I) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        // Most are in order as they come.
        if pairs.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Self(pairs.into());
        }
        // A map of 11 slots each would be most of a pod's memory.
        Self(pairs.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct LabelsVisitor;

        impl<'de> serde::de::Visitor<'de> for LabelsVisitor {
            type Value = Labels;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Labels, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<Text, Text>()? {
                    pairs.push(pair);
                }
                Ok(pairs.into_iter().collect())
            }
        }

        from.deserialize_map(LabelsVisitor)
    }
}

/// Annotations that a cloud's load balancer is set by, by key; all others are left out, since they may be long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudAnnotations(Labels);

impl CloudAnnotations {
    /// The value of the first key that ends like this.
    pub fn ending(&self, end: &str) -> Option<&Text> {
        self.0.iter().find(|(key, _)| key.ends_with(end)).map(|(_, value)| value)
    }
}

impl FromIterator<(Text, Text)> for CloudAnnotations {
    fn from_iter<I: IntoIterator<Item = (Text, Text)>>(pairs: I) -> Self {
        Self(pairs.into_iter().filter(|(key, _)| key.starts_with("service.beta.kubernetes.io/")).collect())
    }
}

impl<'de> Deserialize<'de> for CloudAnnotations {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AnnotationsVisitor;

        impl<'de> serde::de::Visitor<'de> for AnnotationsVisitor {
            type Value = CloudAnnotations;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a map of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<CloudAnnotations, M::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<Text>()? {
                    if key.starts_with("service.beta.kubernetes.io/") {
                        pairs.push((key, map.next_value::<Text>()?));
                    } else {
                        map.next_value::<serde::de::IgnoredAny>()?;
                    }
                }
                Ok(pairs.into_iter().collect())
            }
        }

        from.deserialize_map(AnnotationsVisitor)
    }
}

/// Quantities by resource (`cpu`, `requests.memory`, `services`), each as its text: `500m`, `1Gi`, `11`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantities(Box<[(Text, Text)]>);

impl Quantities {
    /// In the order in which they stand.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Text)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Of one resource; `None` when it is not there, or no quantity.
    pub fn amount(&self, resource: &str) -> Option<f64> {
        amount(self.text(resource)?)
    }

    /// The text of one resource.
    pub fn text(&self, resource: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| &**key == resource).map(|(_, value)| &**value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Text, Text)> for Quantities {
    fn from_iter<I: IntoIterator<Item = (Text, Text)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for Quantities {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let pairs = BTreeMap::<Text, Scalar>::deserialize(from)?;
        Ok(pairs.into_iter().map(|(key, value)| (key, value.0)).collect())
    }
}

/// A text, or a number as text: people write `cpu: 1` where the API server writes `cpu: "1"`.
#[derive(Default)]
struct Scalar(Text);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl serde::de::Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a quantity")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string().as_str().into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string().as_str().into()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string().as_str().into()))
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::default())
            }
        }

        from.deserialize_any(ScalarVisitor)
    }
}

/// Suffixes of quantities, the longer first.
const UNITS: &[(&str, f64)] = &[
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
];

/// A quantity as a number (apimachinery, `resource.Quantity`): `500m` is 0.5, `1Ki` is 1024, `2e3` is 2000.
pub fn amount(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    let (number, unit) = UNITS.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
    number.parse::<f64>().ok().map(|number| number * unit).filter(|number| number.is_finite())
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A name.
    Name(Text),
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct IntOrStringVisitor;

        impl serde::de::Visitor<'_> for IntOrStringVisitor {
            type Value = IntOrString;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a number or a name")
            }

            fn visit_i64<E>(self, number: i64) -> Result<IntOrString, E> {
                Ok(IntOrString::Int(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<IntOrString, E> {
                i64::try_from(number).map(IntOrString::Int).map_err(E::custom)
            }

            fn visit_str<E>(self, name: &str) -> Result<IntOrString, E> {
                Ok(IntOrString::Name(name.into()))
            }
        }

        from.deserialize_any(IntOrStringVisitor)
    }
}

/// An address or a range, without a string of its own: a cluster has a million of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address(pub Option<ipnet::IpNet>);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(OfText(|text: &str| {
            let alone = || text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from);
            Self(text.parse().ok().or_else(alone))
        }))
    }
}

/// A time of an object, RFC 3339, in microseconds since 1970, without a string of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(pub Option<i64>);

impl From<&str> for Stamp {
    fn from(text: &str) -> Self {
        // `kubectl describe` writes `Mon, 23 Nov 2026 08:00:00 +0000`.
        let when = rfc3339(text.as_bytes()).map(|(when, _)| when).or_else(|| rfc1123(text));
        Self(when.and_then(|when| when.resolve(None)))
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(OfText(|text: &str| text.into()))
    }
}

/// A version of an object, which grows with each change; 0 where it is no number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version(pub u64);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(OfText(|text: &str| Self(text.parse().unwrap_or_default())))
    }
}

/// Makes something of a string, which is not kept.
struct OfText<F>(F);

impl<T, F: FnOnce(&str) -> T> serde::de::Visitor<'_> for OfText<F> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

/// The keys of a config map that `CoreDNS` reads, `Corefile`, `*.server`, `*.override`, each with its text, and those
/// that it does not read although they lie beside; other data of config maps are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsTexts(pub Box<[(Text, Text)]>);

/// Longest text kept of such a key.
const DNS_TEXT_BYTES: usize = 16 << 10;

impl<'de> Deserialize<'de> for DnsTexts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let data = BTreeMap::<Text, Option<Text>>::deserialize(from)?;
        let configures =
            |text: &str| text.contains('{') && (text.contains("forward ") || text.contains("errors"));
        let kept = data.into_iter().filter_map(|(key, text)| {
            let text = text.unwrap_or_default();
            let ours = &*key == "Corefile" || key.ends_with(".server") || key.ends_with(".override");
            // A key with another ending is not read: that it looks like a server block is what matters.
            let stray = text.len() < DNS_TEXT_BYTES && configures(&text);
            (ours || stray).then(|| {
                let end = (0..=text.len().min(DNS_TEXT_BYTES)).rev().find(|at| text.is_char_boundary(*at));
                let cut = text.get(..end.unwrap_or(0)).unwrap_or_default().into();
                (key, if text.len() > DNS_TEXT_BYTES { cut } else { text })
            })
        });
        Ok(Self(kept.take(200).collect()))
    }
}
