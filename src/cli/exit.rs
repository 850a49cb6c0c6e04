//! How the program ends.

use std::process::{ExitCode, Termination};

/// Exit codes: part of the contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Something that was asked for could not be done.
    Failed,
    /// The arguments make no sense.
    Usage,
    /// Nothing in the input was recognised.
    NothingRecognised,
    /// `--fail-on`: a finding is as severe as that, or more.
    FoundSevere,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NothingRecognised => 3,
            Self::FoundSevere => 10,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
