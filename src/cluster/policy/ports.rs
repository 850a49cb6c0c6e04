//! Which ports of a destination are open, as ranges.

use std::collections::BTreeSet;

use super::{Answer, Direction, End, Policies, Protocol, Socket, Which, named_ports};

/// First and last port.
pub type Range = (u16, u16);

/// The open ports of a protocol, and those of which it can't be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Of which.
    pub protocol: Protocol,
    /// Open ones.
    pub open: Vec<Range>,
    /// Not to be told.
    pub unknown: Vec<Range>,
}

impl Ports {
    /// All of them are open.
    pub fn all(&self) -> bool {
        self.open == [(1, u16::MAX)]
    }
}

impl Policies {
    /// The open ports between two ends, by protocol. The answer changes only where a rule begins or ends, so one
    /// port of each stretch between is asked.
    pub fn ports(&self, from: &End<'_>, to: &End<'_>) -> [Ports; 3] {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|protocol| {
            let mut starts = BTreeSet::from([1_u16]);
            for (end, direction) in [(from, Direction::Egress), (to, Direction::Ingress)] {
                let End::Pod(pod) = end else { continue };
                let specs = self.of(&pod.key.namespace).filter_map(|policy| policy.spec.as_ref());
                let rules = specs.flat_map(|spec| spec.rules(direction).unwrap_or_default());
                for port in rules.flat_map(|rule| &rule.ports) {
                    let mut edge = |first: u16, last: u16| starts.extend([first, last.saturating_add(1)]);
                    match (&port.which, to) {
                        (Which::Range(first, last), _) => edge(*first, *last),
                        (Which::Named(name), End::Pod(pod)) => {
                            let numbers = pod.spec.map(|spec| named_ports(spec, name, protocol));
                            numbers.unwrap_or_default().into_iter().for_each(|port| edge(port, port));
                        }
                        _ => {}
                    }
                }
            }
            starts.remove(&0);
            let mut ports = Ports { protocol, open: Vec::new(), unknown: Vec::new() };
            let mut bounds = starts.iter().copied().peekable();
            while let Some(first) = bounds.next() {
                let last = bounds.peek().map_or(u16::MAX, |next| next.saturating_sub(1)).max(first);
                let list = match self.evaluate(from, to, Socket { protocol, port: first }).answer() {
                    Answer::Yes => &mut ports.open,
                    Answer::Unknown => &mut ports.unknown,
                    Answer::No => continue,
                };
                match list.last_mut() {
                    Some(before) if before.1.checked_add(1) == Some(first) => before.1 = last,
                    _ => list.push((first, last)),
                }
            }
            ports
        })
    }
}
