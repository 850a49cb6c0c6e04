//! Command lines of a terminal: where a prompt ends and a command begins, with any prompt or with none.
//!
//! Shells print what their users like, so a prompt is known in two ways: by its form (`user@host:~$`, `PS C:\>`, `sh-4.4#`), and
//! by what follows it: a command of the field within [`REACH`] characters makes whatever stands before it a prompt, as long as
//! it ends in one of the signs that prompts end in.

use super::command;
use crate::bytes::pattern::{named, pattern, search};

// Forms that say by themselves that a command follows. What may stand before: virtual environments, `kube-ps1`, a clock.
pattern!(
    PROMPT,
    r"^(?:\([^()]{1,60}\) ?)*(?:\[\d\d:\d\d(?::\d\d)?\] ?)?(?:"
    // `user@host:~$`, `[user@host ~]#`, `root@node:/#`
    r"\[?(?P<user>[\w.-]+)@(?P<host>[\w.-]+)[^#$%>]{0,80}[#$%>]"
    // `user [ ~ ]$` of the Azure Cloud Shell
    r"|[\w.-]+ \[ [^\]]{1,80} \][#$]"
    // `sh-4.4#`, `bash-5.1$`
    r"|(?:sh|bash|ash|zsh|ksh)-\d+\.\d+[#$%]"
    // `/ #` of a container, `~ $`
    r"|(?P<container>[~/][\w./-]*) [#$%]"
    r"|(?:PS )?[A-Z]:\\[^>]{0,120}>|PS [/~][^>]{0,120}>|PS>"
    r"|[❯➜λ»]\s+(?:[~/][\w./-]*\s+)?"
    r"|~?[$%]\s"
    r")\s*(?P<command>\S.*)?$"
);

/// Characters before a command within which its prompt ends.
const REACH: usize = 60;

/// What prompts end in.
const SIGNS: [char; 10] = ['$', '#', '%', '>', '❯', '➜', 'λ', '»', '+', '✗'];

/// A line that somebody typed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::formats) struct CommandLine<'a> {
    /// What was typed; empty behind a prompt alone.
    pub(in crate::formats) command: &'a str,
    /// The machine that the prompt names.
    pub(in crate::formats) host: Option<&'a str>,
    /// The command is one of the field: the line can hardly be anything else.
    pub(in crate::formats) sure: bool,
    /// The prompt is that of a shell in a container.
    pub(in crate::formats) container: bool,
}

impl<'a> CommandLine<'a> {
    /// Reads a line.
    pub(in crate::formats) fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim_end();
        let behind = known_command(line);
        if !line.contains(SIGNS) {
            return behind.map(|command| Self { command, host: None, sure: true, container: false });
        }
        if let Some(found) = search(&PROMPT, line) {
            let typed = found.name("command").map_or("", |command| command.as_str());
            let host = Some(named(Some(&found), "host")).filter(|host| !host.is_empty());
            let container = found.name("container").is_some()
                || named(Some(&found), "user") == "root"
                    && line.split_once(":/").is_some_and(|(_, rest)| {
                        rest.trim_start_matches(|c: char| c != '#').starts_with('#')
                    });
            // Some themes print more behind the form, and end in a sign of their own.
            let typed = if command::is_known(typed) { typed } else { behind.unwrap_or(typed) };
            let sure = command::is_known(typed);
            let bare = typed.is_empty() && host.is_none() && !line.starts_with("PS ");
            return (!bare).then_some(Self { command: typed, host, sure, container });
        }
        let command = behind?;
        Some(Self { command, host: None, sure: true, container: false })
    }
}

/// A command of the field near the start of a line, with a prompt of any form or none before it.
fn known_command(line: &str) -> Option<&str> {
    // `2026-11-20 09:00:00 … > kubectl` is a log that tells of a command.
    if line.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    // `  tail /dev/zero` is what a described container runs.
    if line.starts_with("     ") {
        return None;
    }
    if command::is_known(line) {
        // Without a prompt it may be a sentence.
        return (!reads_as_prose(line) && command::has_known_verb(line)).then_some(line);
    }
    let signs = line.char_indices().take(REACH).filter(|(_, c)| SIGNS.contains(c));
    signs
        .map(|(at, sign)| line.get(at + sign.len_utf8()..).unwrap_or_default().trim_start())
        .find(|rest| command::is_known(rest) && !reads_as_prose(rest))
}

/// Whether words that begin with the name of a command go on as a sentence does.
fn reads_as_prose(line: &str) -> bool {
    const WORDS: [&str; 14] = [
        "is", "the", "shows", "says", "that", "was", "to", "we", "returns", "and", "gives", "but", "also",
        "are",
    ];
    line.ends_with(['.', ':', ',', ';'])
        || line.split_whitespace().skip(1).take(6).any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_behind_every_prompt() {
        for prompt in [
            "$ ",
            "# ",
            "$",
            "+ ",
            "> ",
            "% ",
            "jane@box:~$ ",
            "[jane@box ~]$ ",
            "jane [ ~ ]$ ",
            "PS C:\\Users\\jane> ",
            "C:\\>",
            "PS /home/jane> ",
            "sh-4.4# ",
            "bash-5.1$ ",
            "/ # ",
            "box:~ # ",
            "box:~ jane$ ",
            "➜  ~ ",
            "➜  src git:(main) ✗ ",
            "❯ ",
            "(⎈|aks-prod:default) jane@box:~$ ",
            "(base) jane@box:~/src$ ",
            "[10:12] jane@box$ ",
            "root@aks-np1-12345678-vmss000003:/# ",
            "",
        ] {
            let line = format!("{prompt}kubectl get pods -n shop");
            let found = CommandLine::parse(&line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((found.command, found.sure), ("kubectl get pods -n shop", true), "{line}");
        }
    }

    #[test]
    fn what_logs_and_people_write_is_no_command() {
        for line in [
            "2026-11-20T09:00:00Z $ kubectl get pods",
            "kubectl get pods shows that CoreDNS is down.",
            "kubectl is not installed",
            "az is the name of a zone",
            "helm chart of the shop",
            "I1120 09:00:00.000000 1 main.go:1] > done",
            "total # of pods",
            "cost > 3$ of it",
            "curl: (28) Connection timed out",
            "# a comment of a configuration",
            "host is down",
        ] {
            assert_eq!(CommandLine::parse(line), None, "{line}");
        }
    }

    #[test]
    fn any_command_is_one_behind_a_prompt_that_shells_print() {
        let found = CommandLine::parse("jane@aks-np1-1-vmss000000:~$ ./collect.sh --all").unwrap();
        assert_eq!(
            (found.command, found.host, found.sure),
            ("./collect.sh --all", Some("aks-np1-1-vmss000000"), false)
        );
        assert!(CommandLine::parse("/ # ls /host").unwrap().container);
        assert!(CommandLine::parse("root@curl:/# wget x").unwrap().container);
    }
}
