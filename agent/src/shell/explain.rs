//! Answers why sshd refused a log-in, and what it does otherwise than one asks, beside the loop: sshd
//! is asked, and its journal read.

use std::sync::Arc;

use tidegate_common::wire::FromAgent;
use tokio::sync::Semaphore;

use crate::link::Link;
use crate::paths::Paths;
use crate::sshd::{Known, LogIn, trust};

/// Questions looked into at once; each runs a few programs of the host's.
const AT_ONCE: usize = 2;

/// What is told of one log-in, at most.
const MOST_CAUSES: usize = 8;

/// Looks into log-ins.
#[derive(Debug)]
pub struct Explainer {
    paths: Paths,
    link: Link,
    permits: Arc<Semaphore>,
    known: Arc<Known>,
}

impl Explainer {
    /// Answers go to this link.
    #[must_use]
    pub fn new(paths: Paths, link: Link) -> Self {
        Self { paths, link, permits: Arc::new(Semaphore::new(AT_ONCE)), known: Arc::default() }
    }

    /// Looks into one that is about to be; says that it knows of nothing where too many are asked at
    /// once.
    pub fn remark(&self, question: u64, log_in: LogIn) {
        let known = Arc::clone(&self.known);
        self.answer(question, move |paths| log_in.remarks(paths, &trust(paths), &known));
    }

    /// Looks into one that was refused; says that it knows of nothing where too many are asked at once.
    pub fn explain(&self, question: u64, log_in: LogIn) {
        self.answer(question, move |paths| {
            let lines = log_in.explain(paths, &trust(paths)).refuses;
            tracing::warn!(account = %log_in.account, from = %log_in.from.ip(), "sshd refused a log-in of the proxy's: {}", lines.join("; "));
            lines
        });
    }

    fn answer(&self, question: u64, look: impl FnOnce(&Paths) -> Vec<String> + Send + 'static) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return self.link.send(FromAgent::Explained { question, lines: Vec::new() });
        };
        let (paths, link) = (self.paths.clone(), self.link.clone());
        tokio::task::spawn_blocking(move || {
            let mut lines = look(&paths);
            lines.truncate(MOST_CAUSES);
            link.send(FromAgent::Explained { question, lines });
            drop(permit);
        });
    }
}
