//! What tests share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::paths::Paths;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A directory of a test's own with the roots in it, removed at the end.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
    paths: Paths,
}

impl Scratch {
    pub fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("tidegate-agent-{}-{number}", std::process::id()));
        let paths = Paths {
            root: directory.clone(),
            etc: directory.join("etc"),
            state: directory.join("state"),
            run: directory.join("run"),
            proc: "/proc".into(),
        };
        for root in [&paths.etc, &paths.state, &paths.run] {
            std::fs::create_dir_all(root).unwrap();
        }
        Self { directory, paths }
    }

    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    pub fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
