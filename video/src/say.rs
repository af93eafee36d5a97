//! What a command says to whoever runs it. A reader that went away is no reason to stop.

use std::fmt::Arguments;
use std::io::{Write as _, stderr};

/// A line on standard error.
pub fn error(text: Arguments<'_>) {
    let _ = writeln!(stderr(), "{text}");
}

/// A message on standard error.
pub fn message(message: &crate::message::Message) {
    let _ = stderr().write_all(message.line().as_bytes());
}

/// An error with its causes, each told once: some tell theirs themselves.
#[must_use]
pub fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_once() {
        let cause = std::io::Error::other("the disk is full");
        let told = anyhow::anyhow!("no video: the disk is full");
        assert_eq!(sentence(&told), "no video: the disk is full");
        assert_eq!(sentence(&anyhow::Error::new(cause).context("no video")), "no video: the disk is full");
        #[derive(Debug, thiserror::Error)]
        #[error("no video: {source}")]
        struct Own {
            source: std::io::Error,
        }
        let own = Own { source: std::io::Error::other("the disk is full") };
        assert_eq!(sentence(&own.into()), "no video: the disk is full");
    }
}
