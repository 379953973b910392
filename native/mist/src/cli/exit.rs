//! Owns the exit codes and how a command that failed says so; knows nothing of why it failed.

use std::io;

/// What the program's exit code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    CannotConnect = 3,
    AuthRefused = 4,
    ServerError = 5,
    WaitRanOut = 124,
    Interrupted = 130,
}

/// Ends a command early, with at most one line on stderr.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) code: Code,
    /// Nothing when there is nothing to add, as after Ctrl-C.
    pub(crate) text: Option<String>,
}

impl Stop {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: Some(text.into()),
        }
    }

    pub(crate) fn quiet(code: Code) -> Self {
        Self { code, text: None }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Code::Usage, text)
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(Code::Failed, text)
    }

    /// The reader of our output has read enough, as `head -1` does: that is not a failure.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::quiet(Code::Ok)
        } else {
            Self::failed(format!("cannot write to stdout: {error}"))
        }
    }
}
