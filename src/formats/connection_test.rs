//! Outputs of the commands with which people try a connection: curl, wget, nc, telnet, nslookup, dig, openssl; and
//! the address that a service such as `ifconfig.me` answered.

use std::net::IpAddr;

use super::shared::sections;
use super::shared::{command, line};
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::bytes::pattern::{named, pattern, search};
use crate::evidence::excerpt;
use crate::facts::time::{self, When};
use crate::facts::{
    API_SERVER_DOMAINS, AttemptKey, AttemptSeen, Certificate, Facts, Failure, Outward, Place, Probe,
    ResolvedName, Speaker, Whose, fingerprint,
};

pub(super) struct ConnectionTest;
pub(super) const FORMAT: ConnectionTest = ConnectionTest;

/// Longest output that is one: a log is something else.
const BYTES: usize = 256 << 10;

// What failed: `curl: (28) Failed to connect to h port 443 after 21 ms: Timed out`, `* connect to ip port 80 failed:
// Connection refused`, `nc: connect to h port 443 (tcp) failed: Connection timed out`.
pattern!(
    FAILED,
    r"(?:[Ff]ailed to connect to|connect to|\* connect to|nc: connect to) (?P<host>\[?[A-Za-z0-9_.:-]+?\]?) port (?P<port>\d{1,5})(?: \(tcp\)| after \d+ ms)*(?: failed)?: (?P<why>.+)$"
);
pattern!(OTHER_TIMEOUT, r"^curl: \(28\) (?P<why>.+)$");
pattern!(
    CURL_PROXY,
    r"^curl: \((?:5|7|56|97)\) (?:CONNECT tunnel failed, response \d+|Received HTTP code \d+ from proxy after CONNECT|Could not resolve proxy|Proxy CONNECT aborted)"
);
pattern!(CURL_TLS, r"^curl: \((?P<code>35|60)\) (?P<why>.+)$");
pattern!(
    REACHED,
    r"^(?:\* Connected to (?P<host>[A-Za-z0-9_.:-]+) \([^)]*\) port (?P<port>\d+)|Connection to (?P<host2>[A-Za-z0-9_.:-]+) (?P<port2>\d+) port \[tcp/[^\]]*\] succeeded|Ncat: Connected to (?P<host3>[A-Za-z0-9_.:-]+):(?P<port3>\d+)|(?P<host4>[A-Za-z0-9_.-]+) \([^)]*:(?P<port4>\d+)\) open)"
);
pattern!(
    TELNET,
    r"^telnet: (?:Unable to connect to remote host|connect to address (?P<host>\S+)): (?P<why>.+)$"
);
pattern!(
    WGET,
    r"^wget: (?:can't connect to remote host \((?P<host>[^)]+)\): (?P<why>.+)|(?P<slow>download timed out)|bad address '(?P<name>[^':]+)(?::\d+)?')"
);
// Windows, `DNS_ERROR_RCODE_NAME_ERROR`; `DNS_ERROR_RCODE_SERVER_FAILURE`.
pattern!(
    RESOLVE_DNSNAME,
    r"^Resolve-DnsName : (?P<name>[A-Za-z0-9_.-]+?)\.? : (?P<why>DNS name does not exist|DNS server failure)"
);
pattern!(NXDOMAIN, r"^\*\* server can't find (?P<name>[A-Za-z0-9_.-]+?)\.?: (?P<why>[A-Z]+)");
pattern!(
    NO_SERVERS,
    r"^;; (?:connection timed out; no servers could be reached|communications error to (?P<server>[0-9a-fA-F.:]+)#53: timed out)"
);
pattern!(DIG, r"^;; ->>HEADER<<- opcode: QUERY, status: (?P<why>[A-Z]+)");
pattern!(SERVER, r"^(?:Server:\s+|;; SERVER: )(?P<server>[0-9a-fA-F.:]+)(?:[\s#(]|$)");
pattern!(QUESTION, r"^;(?P<name>[A-Za-z0-9_.-]+)\.\s+IN\s+A");
pattern!(
    URL,
    r"https?://(?P<host>\[[0-9a-fA-F:]+\]|[$A-Za-z0-9_.{}-]+)(?::(?P<port>[$A-Za-z0-9_{}]+))?(?P<path>/[^\s'\x22]*)?"
);
pattern!(CONNECT, r"-connect (?P<host>\[?[A-Za-z0-9_.:-]+?\]?):(?P<port>\d+)");
pattern!(NOT_AFTER, r"^\s*(?:notAfter=|NotAfter: )(?P<date>[A-Z][a-z]{2} +\d{1,2} [\d:]{8} \d{4})");
// A name and its address: `Address: 1.2.3.4`, busybox's `Address 1: 1.2.3.4 name`, and `host`, `dig`, curl in their words.
pattern!(NAME, r"^Name:\s+(?P<name>[A-Za-z0-9_.-]+?)\.?$");
pattern!(
    ADDRESS,
    r"^Address(?:es)?(?: \d+)?:\s+(?P<address>[0-9a-fA-F.:]+)(?:\s+(?P<name>[A-Za-z0-9_.-]+))?$"
);
pattern!(
    ALIAS,
    r"^(?P<name>[A-Za-z0-9_.-]+?)\.?(?:\s+canonical name = |\s+is an alias for |\.\s+\d+\s+IN\s+CNAME\s+)(?P<other>[A-Za-z0-9_.-]+?)\.?$"
);
pattern!(
    RECORD,
    r"^(?P<name>[A-Za-z0-9_.-]+?)\.?(?: has (?:IPv6 )?address |\s+\d+\s+IN\s+A{1,4}\s+)(?P<address>[0-9a-fA-F.:]+)$"
);
pattern!(
    CONNECTED,
    r"^\* (?:Connected to|Failed to connect to) (?P<name>[A-Za-z0-9_.-]+) \((?P<address>[0-9a-fA-F.:]+)\) port \d+"
);
pattern!(VERIFY, r"^(?:verify error:num=(?P<number>\d+)|Verify return code: (?P<code>\d+))");

/// Words that stand in every output with an address that was found.
const FOUND: &[&str] = &[
    "Non-authoritative answer",
    "canonical name = ",
    " has address ",
    " is an alias for ",
    "\tIN\tA\t",
    " IN A ",
];

/// Services that answer with the address that they see, by a part of their names.
const MIRRORS: &[&str] = &[
    "ifconfig.me",
    "ifconfig.co",
    "ifconfig.io",
    "ipinfo.io",
    "ipify.org",
    "checkip",
    "icanhazip.com",
    "ident.me",
    "myip.opendns.com",
    "whatismyip",
    "ip.me",
];

/// What a line of such an output says.
#[derive(Debug, PartialEq, Eq)]
enum ConnectionResult {
    Failed { failure: Failure, host: String, port: u16 },
    Reached { host: String, port: u16 },
}

/// How it failed, in the words of the C library, of curl and of OpenSSL; without a first letter that is a capital in some
/// versions.
fn failure(why: &str) -> Option<Failure> {
    let has = |words: &str| why.contains(words);
    Some(if has("imed out") || has("imeout") {
        Failure::Timeout
    } else if has("efused") {
        Failure::Refused
    } else if has("o route") || has("unreachable") {
        Failure::NoRoute
    } else if has("reset") || has("SSL_ERROR_SYSCALL") || has("unexpected eof") {
        Failure::Reset
    } else if has("expired") {
        Failure::TlsExpired
    } else if has("local issuer") || has("self signed") || has("self-signed") {
        Failure::TlsUntrusted
    } else if has("does not match") || has("no alternative certificate") {
        Failure::TlsWrongName
    } else if has("protocol version") || has("unsupported protocol") {
        Failure::TlsVersion
    } else {
        // Newer curls say "Couldn't connect to server" of a refusal and of a timeout alike: that decides nothing.
        return None;
    })
}

/// The host and the port of the URL, or of `-connect`, in a command.
fn aim(command: &str) -> (String, u16) {
    if let Some(found) = search(&CONNECT, command) {
        let port = found.name("port").and_then(|port| port.as_str().parse().ok()).unwrap_or(0);
        return (found.name("host").map_or("", |host| host.as_str()).to_owned(), port);
    }
    let Some(found) = search(&URL, command) else { return (String::new(), 0) };
    let get = |name: &str| found.name(name).map_or("", |part| part.as_str());
    let host =
        if get("host").contains("KUBERNETES_SERVICE_HOST") { "kubernetes.default.svc" } else { get("host") };
    let otherwise = if command.contains("https://") { 443 } else { 80 };
    (host.to_owned(), get("port").parse().unwrap_or(otherwise))
}

/// What a line says; the command and the server are those named before it.
fn connection_result(text: &str, command: &str, question: &str) -> Option<ConnectionResult> {
    let number = |text: &str| text.parse::<u16>().unwrap_or(0);
    if let Some(found) = search(&REACHED, text) {
        let part = |names: [&str; 4]| {
            names.iter().find_map(|name| found.name(name)).map_or("", |part| part.as_str())
        };
        return Some(ConnectionResult::Reached {
            host: part(["host", "host2", "host3", "host4"]).to_owned(),
            port: number(part(["port", "port2", "port3", "port4"])),
        });
    }
    let failed = |failure: Failure, host: &str, port: u16| {
        Some(ConnectionResult::Failed { failure, host: host.trim_matches(['[', ']']).to_owned(), port })
    };
    if let Some(found) = search(&FAILED, text) {
        let get = |name: &str| found.name(name).map_or("", |part| part.as_str());
        return failed(failure(get("why"))?, get("host"), number(get("port")));
    }
    if search(&CURL_PROXY, text).is_some() {
        let (host, port) = aim(command);
        return failed(Failure::Proxy, &host, port);
    }
    if let Some(found) = search(&CURL_TLS, text).or_else(|| search(&OTHER_TIMEOUT, text)) {
        let (host, port) = aim(command);
        return failed(failure(found.name("why")?.as_str())?, &host, port);
    }
    if let Some(found) = search(&TELNET, text) {
        let host = found.name("host").map_or("", |host| host.as_str());
        return failed(failure(found.name("why")?.as_str())?, host, 0);
    }
    if let Some(found) = search(&WGET, text) {
        let get = |name: &str| found.name(name).map_or("", |part| part.as_str());
        if !get("name").is_empty() {
            return failed(Failure::NameUnknown, get("name"), 0);
        }
        let (host, port) = aim(command);
        let host = if get("host").is_empty() { host } else { get("host").to_owned() };
        return failed(
            if get("slow").is_empty() { failure(get("why"))? } else { Failure::Timeout },
            &host,
            port,
        );
    }
    if let Some(found) = search(&NXDOMAIN, text) {
        let unknown = found.name("why").is_some_and(|why| why.as_str() == "NXDOMAIN");
        let failure = if unknown { Failure::NameUnknown } else { Failure::ResolverFailed };
        return failed(failure, found.name("name")?.as_str(), 0);
    }
    if let Some(found) = search(&RESOLVE_DNSNAME, text) {
        let unknown = found.name("why").is_some_and(|why| why.as_str() == "DNS name does not exist");
        let failure = if unknown { Failure::NameUnknown } else { Failure::ResolverFailed };
        return failed(failure, found.name("name")?.as_str(), 0);
    }
    if search(&NO_SERVERS, text).is_some() {
        return failed(Failure::ResolverFailed, question, 0);
    }
    if let Some(found) = search(&DIG, text) {
        return match found.name("why")?.as_str() {
            "NXDOMAIN" => failed(Failure::NameUnknown, question, 0),
            "SERVFAIL" | "REFUSED" => failed(Failure::ResolverFailed, question, 0),
            _ => None,
        };
    }
    None
}

/// The name that a command asks a DNS server for.
fn requested_name(command: &str) -> &str {
    let mut words = command.split_whitespace().skip_while(|word| {
        let tool = word.rsplit('/').next().unwrap_or(word);
        !matches!(tool, "nslookup" | "dig" | "host")
    });
    words.next();
    // Types and classes may stand before the name, bare or behind an option.
    let mut words = words.skip_while(|word| {
        word.starts_with(['-', '+', '@'])
            || matches!(word.to_ascii_uppercase().as_str(), "A" | "AAAA" | "IN" | "CNAME" | "ANY")
    });
    words.next().unwrap_or_default().trim_end_matches('.')
}

/// The lines of an output that say how a connection went.
fn lines<'a>(text: &'a str, command: &str) -> Vec<(u64, &'a str, String, ConnectionResult)> {
    let mut found = Vec::new();
    let mut server = String::new();
    let mut question = requested_name(command).to_owned();
    // `dig` prints its answer before the question.
    if question.is_empty() {
        question = text
            .lines()
            .find_map(|line| search(&QUESTION, line))
            .map_or_else(String::new, |line| line.name("name").map_or("", |name| name.as_str()).to_owned());
    }
    let later = text.lines().find_map(|line| search(&SERVER, line));
    if let Some(entry) = later.as_ref().and_then(|item| item.name("server")) {
        server = entry.as_str().to_owned();
    }
    for (number, line) in (0..).zip(text.lines()) {
        if line.len() > 2000 {
            continue;
        }
        if let Some(given) = connection_result(line.trim_end(), command, &question) {
            found.push((number, line, server.clone(), given));
        }
    }
    found
}

/// A name that a DNS server can be asked for: a command may hold what its shell puts a name for.
fn is_name(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Reads the answers of one output after the other.
struct Answers {
    found: Vec<(u64, ResolvedName)>,
    /// Answers of `dig` that still lack their server, which is told after them.
    without_server: usize,
    /// A failure of `dig`, whose question and server are told after it.
    failed: Option<(u64, Box<str>, Box<str>)>,
    ipv6: bool,
    /// The name that the command asks for; empty when the output tells it.
    command: Box<str>,
    question: Box<str>,
    /// Names that the one asked for is an alias of, itself among them.
    aliases: Vec<Box<str>>,
    server: Box<str>,
    /// `Name:` and `Address:` stand in pairs.
    name: Option<Box<str>>,
    /// More addresses may stand below.
    list: bool,
}

fn plain(name: &str) -> Box<str> {
    name.trim_end_matches('.').to_lowercase().into()
}

impl Answers {
    fn new(command: &str) -> Self {
        let command = plain(Some(requested_name(command)).filter(|name| is_name(name)).unwrap_or_default());
        let mut answers = Self {
            found: Vec::new(),
            without_server: 0,
            failed: None,
            ipv6: false,
            command,
            question: "".into(),
            aliases: Vec::new(),
            server: "".into(),
            name: None,
            list: false,
        };
        answers.begin();
        answers
    }

    /// Another output begins: nothing of the one before holds for it.
    fn begin(&mut self) {
        self.question.clone_from(&self.command);
        self.aliases.clear();
        self.aliases.extend((!self.question.is_empty()).then(|| self.question.clone()));
        self.server = "".into();
        self.name = None;
        self.failed = None;
        self.ipv6 = false;
        self.without_server = self.found.len();
    }

    /// A server's answer that there is none.
    fn fail(&mut self, number: u64, message: Box<str>, name: Box<str>, status: Box<str>) {
        // After an address of the same name and server, the second question of `nslookup` is for IPv6.
        let answered = self.found.iter().skip(self.without_server);
        let mut answered = answered.filter(|(_, answer)| answer.name == name && answer.server == self.server);
        let ipv6 = self.ipv6 || answered.any(|(_, answer)| answer.address.is_some_and(|ip| ip.is_ipv4()));
        let (question, server) = (name.clone(), self.server.clone());
        let answer =
            ResolvedName { question, name, address: None, status, ipv6, server, in_cluster: false, message };
        self.found.push((number, answer));
    }

    /// Takes a name as the one that was asked for, when none is known yet.
    fn asks(&mut self, name: &str) {
        if self.question.is_empty() {
            self.question = plain(name);
            self.aliases.push(self.question.clone());
        }
    }

    fn add(&mut self, number: u64, line: &str, name: Box<str>, address: IpAddr) {
        let question = if self.question.is_empty() { name.clone() } else { self.question.clone() };
        let message = excerpt(line.as_bytes());
        let (server, address) = (self.server.clone(), Some(address));
        self.found.push((
            number,
            ResolvedName { question, name, address, server, message, ..ResolvedName::default() },
        ));
    }

    fn line(&mut self, number: u64, line: &str) {
        // Windows writes more addresses below the first.
        let more = std::mem::take(&mut self.list).then(|| line.trim().parse::<IpAddr>().ok()).flatten();
        if let Some(item) = search(&CONNECTED, line) {
            // curl tells where it went: another question than that of a command before it.
            let name = plain(named(Some(&item), "name"));
            if let Ok(address) = named(Some(&item), "address").parse() {
                let question = std::mem::replace(&mut self.question, name.clone());
                self.add(number, line, name, address);
                self.question = question;
            }
        } else if line.starts_with("Server:")
            || line.starts_with("; <<>>")
            || line.starts_with(";; ->>HEADER")
        {
            self.begin();
            self.server = named(search(&SERVER, line).as_ref(), "server").into();
            if let Some(status) = search(&DIG, line).map(|item| named(Some(&item), "why").to_owned())
                && matches!(status.as_str(), "NXDOMAIN" | "SERVFAIL" | "REFUSED")
            {
                self.failed = Some((number, excerpt(line.as_bytes()), status.into()));
            }
        } else if let Some(item) = search(&NXDOMAIN, line) {
            let [name, why] = ["name", "why"].map(|part| named(Some(&item), part));
            self.fail(number, excerpt(line.as_bytes()), plain(name), why.into());
        } else if let Some(item) = search(&SERVER, line) {
            // `dig` tells it behind its answer.
            let server: Box<str> = named(Some(&item), "server").into();
            let late = self.found.iter_mut().skip(self.without_server);
            late.for_each(|(_, answer)| answer.server.clone_from(&server));
            self.server = server;
            if let Some((number, message, status)) = self.failed.take()
                && !self.question.is_empty()
            {
                self.fail(number, message, self.question.clone(), status);
            }
        } else if let Some(item) = search(&QUESTION, line) {
            self.ipv6 = line.trim_end().ends_with("AAAA");
            self.asks(named(Some(&item), "name"));
        } else if let Some(item) = search(&ALIAS, line) {
            let (name, other) = (plain(named(Some(&item), "name")), plain(named(Some(&item), "other")));
            self.asks(&name);
            if self.aliases.contains(&name) {
                self.aliases.push(other);
            }
        } else if let Some(item) = search(&RECORD, line) {
            // Addresses of other names are those of name servers. A search list may have made the name longer.
            let name = plain(named(Some(&item), "name"));
            self.asks(&name);
            let longer = name.strip_prefix(&*self.question).is_some_and(|rest| rest.starts_with('.'));
            if let Ok(address) = named(Some(&item), "address").parse()
                && (longer || self.aliases.contains(&name))
            {
                self.add(number, line, name, address);
            }
        } else if let Some(item) = search(&NAME, line) {
            self.name = Some(plain(named(Some(&item), "name")));
        } else if let Some(name) = self.name.clone() {
            let first = || named(search(&ADDRESS, line).as_ref(), "address").parse().ok();
            if let Some(address) = more.or_else(first) {
                self.add(number, line, name, address);
                self.list = true;
            }
        }
    }
}

/// The addresses that an output tells of the name that was asked for, with the number of the line.
fn answers(text: &str, command: &str) -> Vec<(u64, ResolvedName)> {
    let mut answers = Answers::new(command);
    for (number, line) in (0..).zip(text.lines()).filter(|(_, line)| line.len() <= 2000) {
        answers.line(number, line.trim_end());
    }
    answers.found
}

/// Whose address a file holds, by its name: without a word on it, nobody's.
fn by_name(path: &str) -> Whose {
    let name = path.rsplit(['/', '!']).next().unwrap_or_default().to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if any(&["egress", "outbound", "snat"]) {
        Whose::Cluster
    } else if any(&["client", "my-ip", "my_ip", "myip", "workstation", "laptop", "runner", "ifconfig"]) {
        Whose::Client
    } else {
        Whose::Unknown
    }
}

/// Whether a text is the answer of a service that tells one's own address, and nothing else.
fn lone_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    (text.len() < 60).then(|| text.parse().ok())?
}

impl InputFormat for ConnectionTest {
    fn name(&self) -> &'static str {
        "connection-test"
    }

    fn about(&self) -> &'static str {
        "attempts to reach something: curl, wget, nc, telnet, nslookup, dig, openssl; one's own address as seen from outside"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if head.bytes.len() >= super::HEAD_BYTES {
            return 0;
        }
        if lone_address(head.bytes).is_some() {
            return 60;
        }

        let has = |word: &str| memchr::memmem::find(head.bytes, word.as_bytes()).is_some();
        let tools = [
            "curl: (",
            "nc: connect",
            "* Trying ",
            "telnet: ",
            "wget: ",
            "** server can't find",
            "Resolve-DnsName : ",
            ";; ->>HEADER",
            "no servers could be reached",
            "CONNECTED(0",
            "* Connected to ",
            "port [tcp/",
            "verify error:num",
            "notAfter=",
        ];
        let looked_up =
            FOUND.iter().any(|words| has(words)) || (has("Server:") && has("Name:") && has("Address"));
        if !(looked_up || tools.iter().any(|tool| has(tool))) || sections::mixed(head.bytes) {
            return 0;
        }
        let text = String::from_utf8_lossy(head.bytes);
        let certificates =
            text.lines().any(|line| search(&NOT_AFTER, line).is_some() || search(&VERIFY, line).is_some());
        let answered = !answers(&text, "").is_empty();
        if certificates || answered || !lines(&text, "").is_empty() { 62 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        if let Some(address) = lone_address(piece.bytes) {
            // Whose it is, its command tells: see `answered`.
            if piece.command.is_some() {
                return 1;
            }
            note_address(
                piece,
                address,
                by_name(&piece.entry.path),
                "a file that holds an address and nothing else",
                facts,
            );
            return 1;
        }
        line::scan_prose(piece, facts);
        let text = String::from_utf8_lossy(piece.bytes.get(..BYTES).unwrap_or(piece.bytes));
        let command = piece.command.unwrap_or_default();
        let found = lines(&text, command);
        let mut records = found.len() as u64;
        let answers = answers(&text, command);
        // A name whose address the same output tells was found, whatever else was asked of it (IPv6, the search list).
        let was_found = |name: &str| {
            let name = plain(name);
            answers.iter().any(|(_, answer)| answer.address.is_some() && answer.name == name)
        };
        for (number, line, server, given) in found {
            if matches!(&given, ConnectionResult::Failed { failure, host, .. } if failure.of_dns() && was_found(host))
            {
                continue;
            }
            note(piece, piece.first_line + number, line, &server, given, facts);
        }
        for (number, answer) in answers {
            records += 1;
            let place = Place { source: piece.source.clone(), line: piece.first_line + number };
            if let Some(slot) = facts.nodes.answers.slot(place) {
                *slot = ResolvedName { in_cluster: piece.in_cluster || piece.node.is_some(), ..answer };
            }
        }
        records += certificates(piece, &text, command, facts);
        records
    }
}

/// What `openssl s_client` and `openssl x509` say of certificates.
fn certificates(piece: &Piece<'_>, text: &str, command: &str, facts: &mut Facts) -> u64 {
    let mut records = 0;
    let mut ours = Certificate { whose: aim(command).0.into(), ..Certificate::default() };
    let value = |line: &str, name: &str| line.trim().strip_prefix(name).map(|rest| rest.trim().to_owned());
    let mut untrusted = false;
    let mut first_line = None;
    for (number, line) in (0..).zip(text.lines()) {
        if let Some(found) = search(&VERIFY, line) {
            let code = found.name("number").or_else(|| found.name("code")).map_or("", |code| code.as_str());
            // 18–21: self-signed, or an issuer that is not known.
            untrusted |= matches!(code, "18" | "19" | "20" | "21");
        }
        if let Some(subject) = value(line, "subject=") {
            ours.subject = subject.into();
            first_line.get_or_insert(number);
        }
        if let Some(issuer) = value(line, "issuer=") {
            ours.issuer = issuer.into();
            first_line.get_or_insert(number);
        }
        if let Some(found) = search(&NOT_AFTER, line) {
            ours.not_after = date(found.name("date").map_or("", |date| date.as_str()));
            let place = Place { source: piece.source.clone(), line: piece.first_line + number };
            if let Some(slot) = facts.nodes.certificates.slot(place) {
                *slot = ours.clone();
                records += 1;
            }
            ours.not_after = None;
            first_line = None;
        }
    }
    if let Some(number) = first_line {
        ours.untrusted = untrusted;
        let place = Place { source: piece.source.clone(), line: piece.first_line + number };
        if let Some(slot) = facts.nodes.certificates.slot(place) {
            *slot = ours;
            records += 1;
        }
    }
    records
}

/// `Nov 23 20:05:01 2025`, in UTC.
fn date(text: &str) -> Option<i64> {
    let mut words = text.split_whitespace();
    let (month, day, clock, year) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let mut clock = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    let month = time::month(month.as_bytes())?;
    let at =
        time::civil(year.parse().ok()?, month, day.parse().ok()?, hours * 3600 + minutes * 60 + seconds, 0)?;
    match at {
        When::At(micros) => Some(micros),
        When::Yearless(_) | When::Before(_) => None,
    }
}

/// The pod in which the command ran.
fn pod_of<'a>(piece: &Piece<'a>) -> Option<(&'a str, &'a str)> {
    command::kubectl(piece.command?).filter(|kubectl| kubectl.verb == "exec")?.pod()
}

fn note(
    piece: &Piece<'_>,
    number: u64,
    line: &str,
    server: &str,
    given: ConnectionResult,
    facts: &mut Facts,
) {
    let place = Place { source: piece.source.clone(), line: number };
    let (host, port, reached) = match &given {
        ConnectionResult::Failed { host, port, .. } => (host, *port, false),
        ConnectionResult::Reached { host, port } => (host, *port, true),
    };
    if let Some(slot) = facts.nodes.probes.slot(place) {
        *slot = Probe {
            on_node: piece.node.is_some(),
            node: piece.node.map(Into::into),
            target: host.as_str().into(),
            port,
            in_cluster: piece.in_cluster,
            reached,
            message: excerpt(line.as_bytes()),
        };
    }
    let ConnectionResult::Failed { failure, host, port } = given else { return };
    let speaker = match (piece.node.is_some(), piece.in_cluster, piece.command.is_some()) {
        (true, ..) => Speaker::Node,
        (_, true, _) => Speaker::Unknown,
        // Somebody's own terminal, and the API server's name: any other host is somebody's test of something else.
        (.., true) if API_SERVER_DOMAINS.iter().any(|name| host.ends_with(name)) => Speaker::Person,
        _ => Speaker::Unknown,
    };
    let key = AttemptKey {
        failure,
        host: host.into(),
        port,
        resolver: if server.is_empty() { "".into() } else { format!("{server}:53").into() },
        speaker,
        of_api: piece
            .command
            .is_some_and(|command| command.contains("/api/v1") || command.contains("KUBERNETES_SERVICE")),
        node: piece.node.unwrap_or_default().into(),
        // `kubectl exec POD -- curl …`
        pod: pod_of(piece).map_or_else(Default::default, |(namespace, name)| (namespace.into(), name.into())),
        source: piece.source.clone(),
    };
    let print = fingerprint((piece.source, number));
    facts.attempted(AttemptSeen {
        key,
        print,
        stated: 1,
        times: [None, None],
        line: number,
        text: line.as_bytes(),
    });
}

fn note_address(piece: &Piece<'_>, address: IpAddr, whose: Whose, from: &str, facts: &mut Facts) {
    let place = Place { source: piece.source.clone(), line: piece.first_line };
    if let Some(slot) = facts.nodes.outward.slot(place) {
        *slot = Outward { address: Some(address), whose, from: from.into() };
    }
}

/// What only the command before it makes an answer: the document that the API server gave to curl, and the address
/// that a mirror told.
pub(super) fn answered(piece: &Piece<'_>, facts: &mut Facts) {
    let Some(command) = piece.command else { return };
    if !["curl", "wget", "dig", "Invoke-WebRequest", "irm ", "nslookup"]
        .iter()
        .any(|tool| command.contains(tool))
    {
        return;
    }
    if MIRRORS.iter().any(|mirror| command.contains(mirror)) {
        let text = String::from_utf8_lossy(piece.bytes.get(..2000).unwrap_or(piece.bytes));
        let words = text.split(|c: char| c.is_whitespace() || "\"',{}".contains(c));
        let addresses: Vec<IpAddr> = words.filter_map(|word| word.parse().ok()).collect();
        // A resolver's own address comes first in `nslookup`; a plain answer has one address.
        if let [address] = addresses.as_slice() {
            let command: String = command.chars().take(80).collect();
            let whose = if piece.in_cluster { Whose::Cluster } else { Whose::Client };
            note_address(piece, *address, whose, &format!("the answer to `{command}`"), facts);
        }
        return;
    }
    let body = piece.bytes.trim_ascii_start();
    let head = body.get(..2000).unwrap_or(body);
    let has = |word: &str| memchr::memmem::find(head, word.as_bytes()).is_some();
    let answer = body.starts_with(b"{") && (has("\"kind\"") || has("\"gitVersion\""));
    if answer && (command.contains("/api") || command.contains("/version") || command.contains("/healthz")) {
        let (host, port) = aim(command);
        let place = Place { source: piece.source.clone(), line: piece.first_line };
        let first = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if let Some(slot) = facts.nodes.probes.slot(place) {
            *slot = Probe {
                on_node: piece.node.is_some(),
                node: piece.node.map(Into::into),
                target: host.into(),
                port,
                in_cluster: piece.in_cluster,
                reached: true,
                message: excerpt(first),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single_result(text: &str, command: &str) -> ConnectionResult {
        lines(text, command).pop().unwrap_or_else(|| panic!("{text}")).3
    }

    #[test]
    fn every_tool_says_how_it_went_in_its_own_words() {
        let failed =
            |failure, host: &str, port| ConnectionResult::Failed { failure, host: host.to_owned(), port };
        for (text, command, expected) in [
            (
                "curl: (28) Failed to connect to 10.0.0.1 port 443 after 130 ms: Connection timed out",
                "",
                failed(Failure::Timeout, "10.0.0.1", 443),
            ),
            (
                "curl: (7) Failed to connect to 10.1.0.7 port 8080: Connection refused",
                "",
                failed(Failure::Refused, "10.1.0.7", 8080),
            ),
            (
                "* connect to 20.1.2.3 port 443 failed: Timed out",
                "",
                failed(Failure::Timeout, "20.1.2.3", 443),
            ),
            (
                "curl: (60) SSL certificate problem: unable to get local issuer certificate",
                "curl https://mcr.microsoft.com/v2/",
                failed(Failure::TlsUntrusted, "mcr.microsoft.com", 443),
            ),
            (
                "nc: connect to mcr.microsoft.com port 443 (tcp) failed: Connection timed out",
                "",
                failed(Failure::Timeout, "mcr.microsoft.com", 443),
            ),
            ("wget: bad address 'cart.shop.svc'", "", failed(Failure::NameUnknown, "cart.shop.svc", 0)),
            (
                "** server can't find a.privatelink.westeurope.azmk8s.io: NXDOMAIN",
                "",
                failed(Failure::NameUnknown, "a.privatelink.westeurope.azmk8s.io", 0),
            ),
            (
                ";; connection timed out; no servers could be reached",
                "nslookup a.example",
                failed(Failure::ResolverFailed, "a.example", 0),
            ),
            (
                "Connection to 10.0.0.4 443 port [tcp/https] succeeded!",
                "",
                ConnectionResult::Reached { host: "10.0.0.4".into(), port: 443 },
            ),
            (
                "* Connected to api.example (20.1.2.3) port 443 (#0)",
                "",
                ConnectionResult::Reached { host: "api.example".into(), port: 443 },
            ),
        ] {
            assert_eq!(single_result(text, command), expected, "{text}");
        }
    }

    #[test]
    fn every_tool_tells_an_address_in_its_own_words() {
        for (text, command, question, name, address) in [
            (
                "Server:\t\t168.63.129.16\nAddress:\t168.63.129.16#53\n\nNon-authoritative answer:\nName:\tprod-1.hcp.westeurope.azmk8s.io\nAddress: 20.1.2.3\n",
                "",
                "prod-1.hcp.westeurope.azmk8s.io",
                "prod-1.hcp.westeurope.azmk8s.io",
                "20.1.2.3",
            ),
            (
                "Server:\t10.0.0.10\nAddress:\t10.0.0.10:53\n\nprod-1.hcp.westeurope.azmk8s.io\tcanonical name = prod-1.0f.privatelink.westeurope.azmk8s.io\nName:\tprod-1.0f.privatelink.westeurope.azmk8s.io\nAddress: 10.1.0.4\n",
                "",
                "prod-1.hcp.westeurope.azmk8s.io",
                "prod-1.0f.privatelink.westeurope.azmk8s.io",
                "10.1.0.4",
            ),
            (
                "Server:    10.0.0.10\nAddress 1: 10.0.0.10 kube-dns.kube-system.svc.cluster.local\n\nName:      kubernetes.default\nAddress 1: 10.0.0.1 kubernetes.default.svc.cluster.local\n",
                "",
                "kubernetes.default",
                "kubernetes.default",
                "10.0.0.1",
            ),
            (
                "Server:  dns.contoso.example\r\nAddress:  10.2.0.4\r\n\r\nName:    a.example\r\nAddresses:  2001:db8::1\r\n          10.1.0.4\r\n",
                "",
                "a.example",
                "a.example",
                "10.1.0.4",
            ),
            (
                "b.example is an alias for a.example.\na.example has address 10.1.0.4\n",
                "host b.example",
                "b.example",
                "a.example",
                "10.1.0.4",
            ),
            (
                ";; ANSWER SECTION:\na.example.\t60\tIN\tCNAME\tb.example.\nb.example.\t60\tIN\tA\t10.1.0.4\n",
                "",
                "a.example",
                "b.example",
                "10.1.0.4",
            ),
            // The command's name is what its shell makes of it; the servers of the domain are another matter.
            (
                ";; ANSWER SECTION:\na.example.\t60\tIN\tA\t10.1.0.4\n;; ADDITIONAL SECTION:\nns1.example.\t60\tIN\tA\t10.2.0.4\n",
                "dig $(cat name)",
                "a.example",
                "a.example",
                "10.1.0.4",
            ),
            (
                "Server:  UnKnown\nAddress:  10.2.0.4\n\nName:    b.example\nAddress:  10.1.0.9\n\nServer:  UnKnown\nAddress:  10.2.0.4\n\nName:    a.example\nAddress:  10.1.0.4\n",
                "",
                "a.example",
                "a.example",
                "10.1.0.4",
            ),
            (
                "*   Trying 10.1.0.4:443...\n* Connected to a.example (10.1.0.4) port 443 (#0)\n",
                "",
                "a.example",
                "a.example",
                "10.1.0.4",
            ),
        ] {
            let given: Vec<_> = answers(text, command)
                .into_iter()
                .map(|(_, answer)| (answer.question.to_string(), answer.name.to_string(), answer.address))
                .collect();
            assert_eq!(
                given.last(),
                Some(&(question.to_owned(), name.to_owned(), address.parse().ok())),
                "{text}"
            );
            let servers = ["10.0.0.10", "10.2.0.4"].map(|server| server.parse().ok());
            assert!(given.iter().all(|(.., address)| !servers.contains(address)), "{text}");
        }
    }

    #[test]
    fn the_guides_own_command_aims_at_the_api_server() {
        let command = "curl -sSk -H \"Authorization: Bearer $KUBE_TOKEN\" https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/default/pods";
        assert_eq!(aim(command), ("kubernetes.default.svc".to_owned(), 443));
        assert_eq!(
            requested_name("kubectl exec a -- nslookup -debug kubernetes.default. 10.0.0.10"),
            "kubernetes.default"
        );
    }

    #[test]
    fn the_end_of_a_certificate_is_a_date() {
        assert_eq!(date("Nov 23 20:05:01 2025").map(time::show).as_deref(), Some("2025-11-23 20:05:01Z"));
    }
}
