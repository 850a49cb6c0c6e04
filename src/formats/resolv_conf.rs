//! `resolv.conf`: `nameserver`, `search`, `options`, `domain`, and nothing else.

use memchr::memmem;

use super::{Head, InputFormat, Piece, share_of_lines};
use crate::bundle::{Framer, Whole};
use crate::facts::{Facts, Place, ResolverFile};

pub(super) struct ResolvConf;
pub(super) const FORMAT: ResolvConf = ResolvConf;

impl InputFormat for ResolvConf {
    fn name(&self) -> &'static str {
        "resolv-conf"
    }

    fn about(&self) -> &'static str {
        "DNS client configuration: resolv.conf of a node or a pod"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let names = memmem::find_iter(head.bytes, b"nameserver ")
            .any(|at| at == 0 || head.bytes.get(at - 1) == Some(&b'\n'));
        let known = || {
            share_of_lines(head.bytes, 100, |line| {
                line.starts_with(b"#") || line.starts_with(b";") || keyword(line).is_some()
            })
        };
        if names && known() == 100 { 90 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut resolver = ResolverFile { node: piece.node.map(Into::into), ..ResolverFile::default() };
        let mut records = 0;
        for line in String::from_utf8_lossy(piece.bytes).lines().take(1000) {
            let mut words = line.split_whitespace();
            let list = match words.next() {
                Some("nameserver") => &mut resolver.nameservers,
                Some("search" | "domain") => &mut resolver.search,
                Some("options") => &mut resolver.options,
                _ => continue,
            };
            records += 1;
            list.extend(words.take_while(|word| !word.starts_with('#')).take(64).map(Into::into));
        }
        let place = Place { source: piece.source.clone(), line: piece.first_line };
        if let Some(slot) = facts.nodes.resolvers.slot(place) {
            *slot = resolver;
        }
        records
    }
}

fn keyword(line: &[u8]) -> Option<()> {
    let word = line.split(u8::is_ascii_whitespace).next()?;
    matches!(word, b"nameserver" | b"search" | b"options" | b"domain" | b"sortlist").then_some(())
}
