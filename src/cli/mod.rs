//! The command line: parse, run, and say how it went by the exit code.

mod bundle;
mod can_i;
mod detectors;
mod exit;
mod explain;
mod inspect;
mod output;
mod progress;
mod questions;
mod reach;
mod report;
mod sizes;
mod times;

use clap::{CommandFactory, Parser, Subcommand};

pub use exit::Exit;

/// Finds out what is wrong with a Kubernetes cluster from its support bundle, offline.
///
/// Give it whatever the customer sent: kubectl dumps, API server and audit logs, Container Insights
/// exports, IPAM listings, in any archive. It names the causes with their evidence, proposes fixes,
/// and says what was not in the bundle. Nothing is unpacked to disk and nothing is sent anywhere.
#[derive(Parser)]
#[command(
    name = "kubetriage",
    version,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 nothing recognised in the input;
10 a finding at or above the severity of --fail-on"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read a bundle and write a report
    Report(report::Report),
    /// Show what a bundle holds, what is wrong with it, and what to ask for
    Inspect(inspect::Inspect),
    /// May an identity do something, by the roles and bindings of the bundle?
    CanI(can_i::CanI),
    /// Who may do something, by the roles and bindings of the bundle?
    WhoCan(can_i::WhoCan),
    /// May a pod reach a pod, a service or an address, by the network policies of the bundle?
    Reach(reach::Reach),
    /// List the causes that can be found
    Detectors(detectors::Detectors),
    /// Explain one cause: what it means, how it is decided, what to do
    Explain(explain::Explain),
    /// Write a shell completion script to the standard output
    #[command(after_help = "Example:\n  kubetriage completions bash > /etc/bash_completion.d/kubetriage")]
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page to the standard output
    #[command(after_help = "Example:\n  kubetriage man > kubetriage.1")]
    Man,
    /// Write the JSON Schema of the JSON report to the standard output
    Schema,
}

/// Parses the arguments of the process and runs the command.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    run(cli)
}

fn run(cli: Cli) -> Exit {
    let ran = match cli.command {
        Command::Report(report) => report.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::CanI(can_i) => can_i.run(),
        Command::WhoCan(who_can) => who_can.run(),
        Command::Reach(reach) => reach.run(),
        Command::Detectors(detectors) => detectors.run(),
        Command::Explain(explain) => explain.run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "kubetriage", &mut script);
            output::to_stdout(&script).map(|()| Exit::Done)
        }
        Command::Man => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
            rendered.map_err(Into::into).and_then(|()| output::to_stdout(&page)).map(|()| Exit::Done)
        }
        Command::Schema => output::to_stdout(crate::report::schema().as_bytes()).map(|()| Exit::Done),
    };
    ran.unwrap_or_else(|error| {
        output::complain(&format!("error: {error:#}"));
        Exit::Failed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
