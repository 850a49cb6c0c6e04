//! Exit codes of the scripts that make a node of a machine (CSE).

use std::sync::LazyLock;

use serde::Deserialize;

/// What is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CseFault {
    /// Nothing outside is reached.
    Egress,
    /// The API server is not reached.
    ApiServer,
    /// The API server's name does not resolve.
    ApiServerDns,
    /// Names do not resolve.
    Dns,
    /// Software could not be installed from its repository.
    Package,
    /// An image could not be pulled.
    ImagePull,
    /// A disk.
    Disk,
    /// The driver of a GPU.
    Gpu,
    /// A certificate.
    Certificate,
    /// The node's identity.
    Identity,
    /// The HTTP proxy.
    Proxy,
    /// What the user configured.
    Configuration,
    /// It did not end in time.
    Timeout,
    /// The image of the node's disk.
    Image,
    /// A step on the node itself.
    Internal,
}

/// An exit code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitCode {
    /// The number.
    pub code: u32,
    /// The script's own name for it.
    pub name: String,
    /// The name in Azure's error, `VMExtensionError_<short>`.
    #[serde(default)]
    pub short: Option<String>,
    /// What is at fault.
    pub fault: CseFault,
    /// What failed, without a full stop.
    pub says: String,
    /// What to do.
    pub fix: String,
    /// Where the script has it.
    pub source: String,
}

#[derive(Deserialize)]
struct ExitCodeFile {
    code: Vec<ExitCode>,
}

#[allow(clippy::expect_used, reason = "a test reads the file")]
fn read(text: &str) -> Vec<ExitCode> {
    toml::from_str::<ExitCodeFile>(text).expect("knowledge/exit_codes can be read").code
}

/// Of Linux nodes.
pub static CSE_LINUX: LazyLock<Vec<ExitCode>> =
    LazyLock::new(|| read(include_str!("../../knowledge/exit_codes/cse-linux.toml")));
/// Of Windows nodes: the same numbers mean something else.
pub static CSE_WINDOWS: LazyLock<Vec<ExitCode>> =
    LazyLock::new(|| read(include_str!("../../knowledge/exit_codes/cse-windows.toml")));

impl ExitCode {
    /// By its number or, where that is not told, by a name of it.
    pub fn find(windows: bool, code: u32, name: &str) -> Option<&'static Self> {
        let all: &'static [Self] = if windows { &CSE_WINDOWS } else { &CSE_LINUX };
        let named = |item: &&Self| {
            !name.is_empty()
                && (item.name == name || item.short.as_deref().is_some_and(|short| short == name))
        };
        all.iter().find(|item| code > 0 && item.code == code).or_else(|| all.iter().find(named))
    }

    /// The name by which people know it.
    pub fn label(&self) -> &str {
        self.short.as_deref().unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_stands_once_and_says_what_failed() {
        for all in [&*CSE_LINUX, &*CSE_WINDOWS] {
            assert!(all.len() > 50);
            let mut codes = BTreeSet::new();
            for item in all {
                assert!(codes.insert(item.code), "{} stands twice", item.code);
                assert!(item.says.len() <= 90 && !item.says.ends_with('.'), "{}: {}", item.name, item.says);
                assert!(item.fix.ends_with('.') && item.source.contains('/'), "{}", item.name);
            }
        }
    }

    #[test]
    fn the_same_number_is_another_fault_on_windows() {
        assert_eq!(ExitCode::find(false, 50, "").unwrap().fault, CseFault::Egress);
        assert_eq!(ExitCode::find(true, 50, "").unwrap().name, "WINDOWS_CSE_ERROR_NO_CSE_RESULT_LOG");
        assert_eq!(ExitCode::find(false, 0, "K8SAPIServerConnFail").unwrap().code, 51);
    }
}
