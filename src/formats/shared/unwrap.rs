//! What container runtimes, journals and kubectl put around a line, taken off.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;

use super::json::fields;
use crate::facts::text::lossy;
use crate::facts::time::{self, When};

/// A line without its wrappers.
pub(in crate::formats) struct Unwrapped<'a> {
    pub(in crate::formats) text: Cow<'a, [u8]>,
    pub(in crate::formats) when: Option<When>,
    pub(in crate::formats) host: Option<String>,
    /// The line has a time of its own, so that copies of it in other files can be told to be copies.
    pub(in crate::formats) timed: bool,
}

#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
}

/// A record of `journalctl -o json`.
#[derive(Deserialize)]
struct JournalLine {
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    realtime: String,
    #[serde(rename = "_HOSTNAME", default)]
    host: Option<String>,
    #[serde(rename = "MESSAGE", default)]
    message: JournalMessage,
}

/// Text, or bytes when it is not UTF-8, or null when it is too long.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum JournalMessage {
    Text(String),
    Bytes(Vec<u8>),
    #[default]
    None,
}

impl JournalMessage {
    fn text(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::None => Vec::new(),
        }
    }
}

/// Takes off what container runtimes, journals and kubectl put around a line, up to four layers.
pub(in crate::formats) fn unwrap(line: &[u8]) -> Unwrapped<'_> {
    let mut text = Cow::Borrowed(line.trim_ascii());
    let mut when: Option<When> = None;
    let mut host = None;
    let mut timed = false;
    for _ in 0..4 {
        if text.starts_with(b"{\"log\":") {
            let Ok(docker) = serde_json::from_slice::<DockerLine<'_>>(&text) else { break };
            let outer = docker.time.as_deref().and_then(|time| time::rfc3339(time.as_bytes()));
            when = when.or(outer.map(|(when, _)| when));
            let inner = docker.log.trim().as_bytes().to_vec();
            text = Cow::Owned(inner);
            continue;
        }
        if text.starts_with(b"{") && memmem::find(&text, b"\"__REALTIME_TIMESTAMP\"").is_some() {
            let Ok(journal) = serde_json::from_slice::<JournalLine>(&text) else { break };
            when = when.or_else(|| time::epoch(journal.realtime.parse::<f64>().ok()?));
            host = journal.host;
            timed = true;
            text = Cow::Owned(journal.message.text());
            continue;
        }
        if let Some((stamp, length)) = time::rfc3339(&text) {
            let rest = text.get(length..).unwrap_or_default();
            let Some(rest) = rest.strip_prefix(b" ") else {
                when = when.or(Some(stamp));
                break;
            };
            when = when.or(Some(stamp));
            if let Some((name, message)) = journal_head(rest) {
                host = Some(lossy(name).into_owned());
                timed = true;
                text = rest_of(&text, message.len());
                continue;
            }
            let rest = ["stderr F ", "stdout F ", "stderr P ", "stdout P "]
                .iter()
                .find_map(|mark| rest.strip_prefix(mark.as_bytes()))
                .unwrap_or(rest);
            text = rest_of(&text, rest.len());
            continue;
        }
        if let Some(stamp) = klog_time(&text) {
            when = when.or(Some(stamp));
            timed = true;
            break;
        }
        if let Some(stamp) = time::go_log(&text) {
            when = when.or(Some(stamp));
            break;
        }
        if let Some(stamp) = time::syslog(&text) {
            when = when.or(Some(stamp));
            // Some journals show fractions of a second.
            let rest = text.get(15..).unwrap_or_default();
            let fraction = rest.iter().take_while(|byte| **byte == b'.' || byte.is_ascii_digit()).count();
            let rest = rest.get(fraction + 1..).unwrap_or_default();
            let mut words = rest.splitn(3, |byte| *byte == b' ');
            let (name, _program, message) = (words.next(), words.next(), words.next());
            host = name.map(|name| lossy(name).into_owned());
            let Some(length) = message.map(<[u8]>::len) else { break };
            timed = true;
            text = rest_of(&text, length);
            continue;
        }
        if text.starts_with(b"[pod/") {
            let Some(close) = memmem::find(&text, b"] ") else { break };
            text = rest_of(&text, text.len() - close - 2);
            continue;
        }
        if text.starts_with(b"{") && when.is_none() {
            when = json_time(&text);
            timed = when.is_some();
        }
        break;
    }
    timed |= when.is_some();
    Unwrapped { text, when, host, timed }
}

/// The host and the message of a line of `journalctl -o short-iso` behind its time: `aks-1 kubelet[2291]: …`, `aks-1 kernel: …`.
fn journal_head(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut words = text.splitn(3, |byte| *byte == b' ');
    let (host, program, message) = (words.next()?, words.next()?, words.next()?);
    let program = program.strip_suffix(b":")?;
    let of_process = program.strip_suffix(b"]").is_some_and(|rest| {
        rest.iter().rposition(|byte| *byte == b'[').is_some_and(|at| {
            rest.get(at + 1..).is_some_and(|id| !id.is_empty() && id.iter().all(u8::is_ascii_digit))
        })
    });
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let is_host = !host.is_empty() && host.iter().all(plain);
    (is_host && (of_process || program == b"kernel")).then_some((host, message))
}

fn rest_of<'a>(text: &Cow<'a, [u8]>, length: usize) -> Cow<'a, [u8]> {
    let from = text.len().saturating_sub(length);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(from..).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(from..).unwrap_or_default().to_vec()),
    }
}

/// The time of a klog header, `I1123 20:52:03.889309   16403 file.go:1] `.
pub(in crate::formats) fn klog_time(text: &[u8]) -> Option<When> {
    let (severity, rest) = text.split_first()?;
    if !matches!(severity, b'I' | b'W' | b'E' | b'F') {
        return None;
    }
    time::klog(rest)
}

/// Keys of JSON logs that hold the time of a record (klog, zap, logrus, bunyan, pino, serilog, log4j, python-json-logger, ECS).
const TIME_KEYS: [&[u8]; 18] = [
    b"ts",
    b"time",
    b"timestamp",
    b"Timestamp",
    b"@timestamp",
    b"@t",
    b"t",
    b"Time",
    b"TS",
    b"datetime",
    b"date",
    b"asctime",
    b"eventTime",
    b"timeMillis",
    b"time_iso8601",
    b"timeStamp",
    b"requestReceivedTimestamp",
    b"TimeGenerated",
];

/// The time of a record of a JSON log: of its own keys, not of what is nested in it.
pub(in crate::formats) fn json_time(text: &[u8]) -> Option<When> {
    fields(text).filter(|(key, _)| TIME_KEYS.contains(key)).find_map(|(_, value)| {
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        time::of_field(std::str::from_utf8(value).ok()?)
    })
}
