//! A host for one agent: its own account files, its own sudoers include, in a mount
//! namespace of its own. Everything is in one directory, removed at the end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

static COUNT: AtomicU32 = AtomicU32::new(0);

const AGENT: &str = env!("CARGO_BIN_EXE_tidegate-agent");
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nops:x:4000:4000::/nonexistent:/bin/sh\n";
const GROUP: &str = "root:x:0:\nadm:x:4:\ntg-docker:x:998:jane\nops:x:4000:\n";
const GSHADOW: &str = "root:*::\nadm:*::\ntg-docker:!::jane\nops:!::\n";

pub struct Host {
    pub directory: PathBuf,
    proxy: String,
    /// What its agent's witness watches. The kernel's audit is one for the whole machine,
    /// so only the tests of the witness, one at a time, let it. Empty: as its file says.
    pub watch: &'static str,
}

/// Whether tests can have a mount namespace; says so when not.
pub fn possible() -> bool {
    let tried = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    let fine = tried.is_ok_and(|status| status.success());
    if !fine {
        println!("SKIPPED: needs root and a mount namespace of its own (unshare -m)");
    }
    fine
}

impl Host {
    pub fn new(proxy: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("tidegate-host-{}-{number}", std::process::id()));
        let host = Self { directory, proxy: proxy.to_owned(), watch: "nothing" };
        for name in ["etc", "run", "sudoers.d"] {
            std::fs::create_dir_all(host.directory.join(name)).unwrap();
        }
        host.write("etc/passwd", PASSWD);
        host.write("etc/group", GROUP);
        host.write("etc/gshadow", GSHADOW);
        let include = format!("@includedir {}\n", host.directory.join("run/sudoers.d").display());
        host.write("sudoers.d/tidegate", &include);
        use std::os::unix::fs::PermissionsExt;
        let closed = std::fs::Permissions::from_mode(0o440);
        std::fs::set_permissions(host.directory.join("sudoers.d/tidegate"), closed).unwrap();
        host
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.directory.join(file), text).unwrap();
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let script = "mount --bind \"$1/sudoers.d\" /etc/sudoers.d && mount --bind \"$1/etc/passwd\" /etc/passwd \
                      && shift && exec \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(&self.directory)
            .arg(program)
            .args(arguments)
            .env("TIDEGATE_AGENT__PROXY", &self.proxy)
            .env("TIDEGATE_AGENT__PATHS__ETC", self.directory.join("etc"))
            .env("TIDEGATE_AGENT__PATHS__STATE", self.directory.join("state"))
            .env("TIDEGATE_AGENT__PATHS__RUN", self.directory.join("run"))
            .stdin(Stdio::null());
        if !self.watch.is_empty() {
            command.env("TIDEGATE_AGENT__WITNESS__WATCH", self.watch);
        }
        command
    }

    pub fn agent(&self, arguments: &[&str]) -> Output {
        self.run(AGENT, arguments)
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        Running(self.command(AGENT, arguments).spawn().unwrap())
    }

    /// With what it says kept.
    pub fn start_quiet(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(AGENT, arguments);
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// An agent from a file of this host's own, which can be replaced.
    pub fn start_own(&self, arguments: &[&str]) -> Running {
        self.replace_program();
        Running(self.command(self.program().to_str().unwrap(), arguments).spawn().unwrap())
    }

    fn program(&self) -> PathBuf {
        self.directory.join("tidegate-agent")
    }

    /// Another file of the same program.
    pub fn replace_program(&self) {
        let fresh = self.directory.join("fresh");
        std::fs::copy(AGENT, &fresh).unwrap();
        std::fs::rename(fresh, self.program()).unwrap();
    }

    /// Something else in the place of the program.
    pub fn put_program(&self, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let fresh = self.directory.join("fresh");
        std::fs::write(&fresh, script).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(fresh, self.program()).unwrap();
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program, arguments).output().unwrap()
    }

    /// What sudo says of the account.
    pub fn sudo_allows(&self) -> bool {
        let output = self.command("sudo", &["-n", "-l", "-U", "ops"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("may run the following")
    }

    pub fn in_group(&self) -> bool {
        self.read("etc/group").contains("tg-docker:x:998:jane,ops\n")
    }

    /// The host's lock on its account files, as another program would hold it: it
    /// belongs to this process until the file is closed.
    pub fn lock_accounts(&self) -> std::fs::File {
        let file = std::fs::File::create(self.directory.join("etc/.pwd.lock")).unwrap();
        let whole = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_SETLK(&whole)).unwrap();
        file
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.directory.join(file)).unwrap()
    }

    /// Whether the account files are byte for byte what they were and no rule is left.
    pub fn untouched(&self) -> bool {
        let rules = std::fs::read_dir(self.directory.join("run/sudoers.d"));
        self.read("etc/group") == GROUP
            && self.read("etc/gshadow") == GSHADOW
            && self.read("etc/passwd") == PASSWD
            && rules.map_or(0, |rules| rules.count()) == 0
    }

    pub fn state(&self, file: &str) -> PathBuf {
        Path::new(&self.directory).join("state").join(file)
    }

    /// Waits for a state of the host.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < Duration::from_secs(20), "{what}: never came");
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A running agent, killed when dropped.
pub struct Running(Child);

impl Running {
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([format!("-{name}"), pid]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }

    /// Ends it as systemd does, which is a success.
    pub fn stop(&mut self) {
        self.signal("TERM");
        assert!(self.wait().success());
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// The inode of the program that runs.
    pub fn program(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(format!("/proc/{}/exe", self.0.id())).unwrap().ino()
    }

    /// What it said, once it has ended.
    pub fn output(&mut self) -> Output {
        let read = |pipe: &mut dyn std::io::Read| {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            bytes
        };
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        Output {
            status: self.0.wait().unwrap(),
            stdout: read(&mut stdout.unwrap()),
            stderr: read(&mut stderr.unwrap()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
