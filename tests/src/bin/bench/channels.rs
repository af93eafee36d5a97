//! Many channels of one connection of the client: commands at once, connections through one
//! forward at once, and connections one after the other beside a command. Straight, what one
//! sshd lets a connection have bounds the first.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_tests::client::run_of;
use tidegate_tests::host::Host;
use tidegate_tests::run::Running;
use tidegate_tests::wait;

use crate::Sizes;
use crate::measures::float;
use crate::report::Row;
use crate::ways::{Course, Way};

const COMMANDS: usize = 30;
const AT_ONCE: usize = 30;
const IN_A_ROW: usize = 500;
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// On the device: says where it listens, then sends back what it is sent.
const ECHO: &str = r#"
use IO::Socket::INET; $| = 1; $SIG{CHLD} = "IGNORE";
my $at = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 128) or die $!;
print $at->sockport . "\n";
while (my $one = $at->accept) {
    next if fork;
    while (sysread($one, my $bytes, 65536)) { syswrite($one, $bytes); }
    exit 0;
}
"#;

/// The three figures, straight and through Tidegate in turns.
pub fn many(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let service = course.device.command(&["perl", "-e", ECHO])?.within(Duration::from_secs(3600)).start()?;
    let port = wait::until("the service listens", PATIENCE, || {
        let said = service.stdout_so_far();
        said.ends_with('\n').then(|| said.trim().to_owned())
    })?;
    let ways = [Way::Direct, Way::Tidegate];
    let mut times = [(); 3].map(|()| [Vec::new(), Vec::new()]);
    let mut failed = [0; 2];
    for _ in 0..sizes.runs {
        for (place, way) in ways.into_iter().enumerate() {
            let master = Master::start(course, way, &port)?;
            let (commands, wrong) = master.commands()?;
            let values = [commands, master.at_once()?, master.in_a_row()?];
            for (times, value) in times.iter_mut().zip(values) {
                times.get_mut(place).context("two ways")?.push(value * 1e3);
            }
            *failed.get_mut(place).context("two ways")? += wrong;
            drop(master.ssh.kill()?);
        }
    }
    drop(service.kill()?);
    let names = [
        format!("{COMMANDS} commands at once over one connection"),
        format!("{AT_ONCE} connections at once through one forward"),
        format!("{IN_A_ROW} connections in a row beside a command"),
    ];
    let mut rows: Vec<Row> = names
        .into_iter()
        .zip(&times)
        .map(|(name, [direct, tidegate])| Row::in_turns(name, "ms", tidegate, direct, &[]))
        .collect();
    let [direct, tidegate] = failed.map(|wrong| float(wrong) / float(sizes.runs));
    rows.push(Row::new("commands of these that failed", "", tidegate, Some(direct), None, sizes.runs));
    Ok(rows)
}

/// A connection that others come on.
struct Master<'a> {
    course: &'a Course,
    way: Way,
    ssh: Running,
    socket: PathBuf,
    port: u16,
}

impl<'a> Master<'a> {
    fn start(course: &'a Course, way: Way, to: &str) -> Result<Self> {
        let socket = course.world.dir().join(format!("{}-master", way.host()));
        if socket.exists() {
            fs::remove_file(&socket)?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (path, forward) = (socket.display().to_string(), format!("127.0.0.1:{port}:127.0.0.1:{to}"));
        let words =
            course.ssh(way, "", &["-M", "-S", &path, "-L", &forward], "echo there; exec sleep 600")?;
        let ssh = run_of(&words).within(Duration::from_secs(600)).start()?;
        wait::until_true("the master's command runs", PATIENCE, || {
            ssh.stdout_so_far().contains("there") && socket.exists()
        })?;
        Ok(Self { course, way, ssh, socket, port })
    }

    /// How long they take, and how many fail.
    fn commands(&self) -> Result<(f64, usize)> {
        let path = self.socket.display().to_string();
        let words = self.course.ssh(self.way, "", &["-S", &path], "true")?;
        let start = Instant::now();
        let running: Vec<Running> =
            (0..COMMANDS).map(|_| run_of(&words).within(PATIENCE).start()).collect::<Result<_>>()?;
        let done = running.into_iter().map(Running::done).collect::<Result<Vec<_>>>()?;
        let failed = done.iter().filter(|done| !done.success()).count();
        Ok((start.elapsed().as_secs_f64(), failed))
    }

    fn at_once(&self) -> Result<f64> {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| self.exchange())).collect();
            for one in all {
                let Ok(result) = one.join() else { bail!("a connection panicked") };
                result?;
            }
            Ok(start.elapsed().as_secs_f64())
        })
    }

    fn in_a_row(&self) -> Result<f64> {
        let start = Instant::now();
        for _ in 0..IN_A_ROW {
            self.exchange()?;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn exchange(&self) -> Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[7; 1000])?;
        stream.shutdown(Shutdown::Write)?;
        let mut back = Vec::new();
        stream.read_to_end(&mut back)?;
        if back != [7; 1000] {
            bail!("{} of 1000 bytes came back through {}", back.len(), self.way.host());
        }
        Ok(())
    }
}
