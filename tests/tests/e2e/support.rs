//! What the tests share.

use std::path::{Path, PathBuf};

use tidegate_tests::device;

/// Where this run's devices live.
pub fn base() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fleet")
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// Says SKIPPED and why, where a device cannot be booted.
pub fn skipped(test: &str) -> bool {
    match device::possible() {
        Ok(()) => false,
        Err(why) => {
            eprintln!("SKIPPED {test}: {why}");
            true
        }
    }
}

/// Returns from the test where a device cannot be booted.
#[macro_export]
macro_rules! needs_devices {
    () => {
        if $crate::support::skipped(module_path!()) {
            return;
        }
    };
}

/// A directory of one test's own.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(what: &str) -> Self {
        let template = std::env::temp_dir().join(format!("tidegate-{what}-XXXXXX"));
        Self(nix::unistd::mkdtemp(&template).unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes that do not compress.
pub fn random_bytes(count: usize) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = vec![0; count];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}
