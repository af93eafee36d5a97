//! A PostgreSQL server of a test program's own: Debian's, in a new directory, on a Unix
//! socket only, as Debian's account `postgres` where root runs the tests. It goes with the program, however that ends.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};

/// Makes and starts the server of the programs in `$1` in the directory `$2`; ends and removes it at the end of
/// standard input, whose other end only the test program holds.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
bin=$1 dir=$2
as() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
    else
        "$@"
    fi
}
{
    if [ "$(id -u)" = 0 ]; then chown -R postgres "$dir"; fi
    cd "$dir" &&
        as "$bin/initdb" -D data -U tidegate -A trust -E UTF8 --locale=C.UTF-8 --no-sync &&
        as sh -c 'cat settings >>data/postgresql.conf' &&
        as "$bin/pg_ctl" -D data -l log -w -t 60 start
} >"$dir/started" 2>&1 </dev/null && echo ready || cat "$dir/started" "$dir/log"
exec >/dev/null 2>&1
read -r _
as "$bin/pg_ctl" -D data -m immediate stop
rm -rf --one-file-system "$dir"
"#;

/// What the server is told.
const SETTINGS: &str = "\nlisten_addresses = ''\nshared_buffers = '16MB'\nmax_connections = 300\n";

/// Where it is told to listen: on a socket of this port's name.
const PORT: u16 = 5432;

/// Nothing of it survives the tests, so it need not reach the disk. It does survive the server:
/// without synchronous commits one that is stopped at once forgets what it has acknowledged.
const HASTY: &str = "fsync = off\nfull_page_writes = off\n";

/// A running server. Dropping it ends and removes it.
#[derive(Debug)]
pub struct Server {
    dir: PathBuf,
    bin: PathBuf,
    port: u16,
    made: AtomicU64,
    process: Child,
    held: Option<ChildStdin>,
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// When Debian's package `postgresql-15` (or a later one) is missing, or it does not start.
    pub fn start() -> Result<Self> {
        Self::with(HASTY, PORT, &[])
    }

    /// Starts one that keeps what it has acknowledged, as a real one does.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn durable() -> Result<Self> {
        Self::with("", PORT, &[])
    }

    /// Starts one that also listens on 127.0.0.1, with this certificate and key in PEM.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn with_tls(certificate: &str, key: &str) -> Result<Self> {
        // One that was free a moment ago: a server cannot be asked which one it took.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let more = format!(
            "{HASTY}port = {port}\nlisten_addresses = '127.0.0.1'\nssl = on\n\
             ssl_cert_file = '../server.crt'\nssl_key_file = '../server.key'\n"
        );
        Self::with(&more, port, &[("server.crt", certificate), ("server.key", key)])
    }

    fn with(more: &str, port: u16, files: &[(&str, &str)]) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let bin = programs()?;
        let dir = nix::unistd::mkdtemp(&std::env::temp_dir().join("tidegate-postgres-XXXXXX"))?;
        let settings = format!("unix_socket_directories = '{}'{SETTINGS}{more}", dir.display());
        for (name, text) in [&[("settings", settings.as_str())], files].concat() {
            std::fs::write(dir.join(name), text)?;
            std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o600))?;
        }
        let mut process = Command::new("setsid")
            .args(["sh", "-c", SCRIPT, "tidegate-postgres"])
            .args([&bin, &dir])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start setsid(1) with sh(1)")?;
        let held = process.stdin.take();
        let said = process.stdout.take().context("no standard output")?;
        let lines: Vec<String> = BufReader::new(said).lines().collect::<Result<_, _>>()?;
        let server = Self { dir, bin, port, made: AtomicU64::new(0), process, held };
        if lines != ["ready"] {
            bail!("PostgreSQL did not start:\n{}", lines.join("\n"));
        }
        Ok(server)
    }

    /// The url of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=tidegate&port={}", self.dir.display(), self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The url of a new, empty database.
    pub fn database(&self) -> Result<String> {
        let name = format!("t{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// What a statement answers, one line for each row.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "tidegate", "-d", database])
            .args(["-p", &self.port.to_string(), "-c", statement, "-h"])
            .arg(&self.dir);
        Ok(String::from_utf8(done(&mut psql)?.stdout)?.trim_end().to_owned())
    }

    /// Stops the server at once, as when its machine dies.
    pub fn stop(&self) -> Result<()> {
        self.control(&["-m", "immediate", "stop"])
    }

    /// Starts it again after [`Self::stop`].
    pub fn go_on(&self) -> Result<()> {
        self.control(&["-l", &self.dir.join("log").display().to_string(), "-w", "-t", "60", "start"])
    }

    fn control(&self, words: &[&str]) -> Result<()> {
        let ctl = self.bin.join("pg_ctl");
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(ctl);
            command
        } else {
            Command::new(ctl)
        };
        // The server keeps what it is given open.
        command.arg("-D").arg(self.dir.join("data")).args(words).current_dir("/");
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !status.success() {
            bail!("pg_ctl {} failed, see {}", words.join(" "), self.dir.join("log").display());
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.held.take());
        let _ = self.process.wait();
    }
}

fn done(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output)
}

/// Where its programs are: Debian keeps them out of the search path.
fn programs() -> Result<PathBuf> {
    let base = Path::new("/usr/lib/postgresql");
    let versions = std::fs::read_dir(base).into_iter().flatten().filter_map(Result::ok);
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.filter(|version| base.join(format!("{version}/bin/initdb")).exists()).max();
    let newest = newest.context("PostgreSQL is missing: install postgresql-15 (`make deps` does)")?;
    Ok(base.join(format!("{newest}/bin")))
}
