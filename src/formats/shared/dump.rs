//! The frame that `kubectl cluster-info dump` puts around the log of each container
//! (kubernetes/kubernetes `staging/src/k8s.io/kubectl/pkg/cmd/clusterinfo/clusterinfo_dump.go`):
//! `==== START logs for container C of pod NS/POD ====`, the log, `==== END logs …`. Within it nothing is JSON.

const START: &str = "==== START logs for container ";
const END: &[u8] = b"==== END logs for container ";

/// A line of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::formats) enum Frame<'a> {
    /// A log begins: namespace and name of its pod.
    Start(&'a str, &'a str),
    End,
}

impl<'a> Frame<'a> {
    /// Reads a line; `None` when it is of the log itself.
    pub(in crate::formats) fn parse(line: &'a [u8]) -> Option<Self> {
        if line.starts_with(END) {
            return Some(Self::End);
        }
        let rest = line.strip_prefix(START.as_bytes())?;
        let (_container, pod) = std::str::from_utf8(rest).ok()?.split_once(" of pod ")?;
        let (namespace, name) = pod.split([' ', '\n', '\r']).next()?.split_once('/')?;
        Some(Self::Start(namespace, name))
    }
}

/// The parts of a text between the lines of frames, each with the pod whose log it is and the lines before it.
pub(in crate::formats) fn logs(text: &[u8]) -> Vec<FramedLog<'_>> {
    let mut found = vec![FramedLog { pod: None, start: 0, end: 0, line: 0 }];
    let mut at = 0;
    for (raw, number) in text.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        let end = at + raw.len();
        match (Frame::parse(raw), found.last_mut()) {
            (Some(frame), _) => {
                let pod = match frame {
                    Frame::Start(namespace, name) => Some((namespace, name)),
                    Frame::End => None,
                };
                found.push(FramedLog { pod, start: end, end, line: number });
            }
            (None, Some(last)) => last.end = end,
            (None, None) => {}
        }
        at = end;
    }
    found.retain(|log| log.start < log.end);
    found
}

/// A log, as a range of the text that it stands in.
pub(in crate::formats) struct FramedLog<'a> {
    /// Namespace and name.
    pub(in crate::formats) pod: Option<(&'a str, &'a str)>,
    pub(in crate::formats) start: usize,
    pub(in crate::formats) end: usize,
    /// Lines of the text before it.
    pub(in crate::formats) line: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_log_is_of_its_pod() {
        let text = "==== START logs for container c of pod shop/cart-1 ====\n[a {\nb\n\
                    ==== END logs for container c of pod shop/cart-1 ====\n\
                    ==== START logs for container d of pod shop/web-1 ====\nc";
        let found: Vec<_> =
            logs(text.as_bytes()).iter().map(|log| (log.pod, &text[log.start..log.end], log.line)).collect();
        assert_eq!(found, [(Some(("shop", "cart-1")), "[a {\nb\n", 1), (Some(("shop", "web-1")), "c", 5)]);
    }
}
