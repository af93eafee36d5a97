//! Answers why sshd refused a log-in, beside the loop: sshd is asked, and its journal read.

use std::sync::Arc;

use tidegate_common::wire::FromAgent;
use tokio::sync::Semaphore;

use crate::link::Link;
use crate::paths::Paths;
use crate::sshd::{LogIn, trust};

/// Questions looked into at once; each runs a few programs of the host's.
const AT_ONCE: usize = 2;

/// What is told of one refusal, at most.
const MOST_CAUSES: usize = 8;

/// Looks into refusals.
#[derive(Debug)]
pub struct Explainer {
    paths: Paths,
    link: Link,
    room: Arc<Semaphore>,
}

impl Explainer {
    /// Answers go to this link.
    #[must_use]
    pub fn new(paths: Paths, link: Link) -> Self {
        Self { paths, link, room: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Looks into one; says that it knows of nothing where too many are asked at once.
    pub fn explain(&self, question: u64, log_in: LogIn) {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            return self.link.send(FromAgent::Explained { question, lines: Vec::new() });
        };
        let (paths, link) = (self.paths.clone(), self.link.clone());
        tokio::task::spawn_blocking(move || {
            let causes = log_in.explain(&paths, &trust(&paths));
            let mut lines = causes.refuses;
            lines.truncate(MOST_CAUSES);
            tracing::warn!(account = %log_in.account, from = %log_in.from.ip(), "sshd refused a log-in of the proxy's: {}", lines.join("; "));
            link.send(FromAgent::Explained { question, lines });
            drop(place);
        });
    }
}
