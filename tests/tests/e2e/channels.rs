//! Many channels at once, to a device whose sshd is configured as Debian configures it.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::{Done, Run, Running};
use tidegate_tests::wait;

use crate::forwards::{connect, exchange, free_port};
use crate::needs_devices;
use crate::pier::Pier;
use crate::support::Scratch;

/// A connection of the stock client that others come on, and how to come on it.
struct Master {
    ssh: Running,
    control: String,
    _scratch: Scratch,
}

impl Master {
    fn start(pier: &Pier, options: &[&str]) -> Self {
        let scratch = Scratch::new(pier.name);
        let path = scratch.path("master");
        let control = format!("ControlPath={}", path.display());
        let words = [&["-N", "-M", "-o", &control][..], options].concat();
        let ssh = pier.ssh(&words, &[]).within(Duration::from_secs(240)).start().unwrap();
        wait::until_true("the master is up", PATIENCE, || path.exists()).unwrap();
        Self { ssh, control, _scratch: scratch }
    }

    fn run(&self, pier: &Pier, command: &str) -> Run {
        pier.ssh(&["-o", &self.control], &[command])
    }
}

/// Runs so many at once.
fn at_once<T: Send>(many: usize, one: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let all: Vec<_> = (0..many)
            .map(|number| {
                scope.spawn({
                    let one = &one;
                    move || one(number)
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

fn say_their_numbers(runs: Vec<Done>) {
    for (number, done) in runs.into_iter().enumerate() {
        assert_eq!(done.out(), format!("{number}\n"), "{}", done.all());
    }
}

#[test]
fn thirty_commands_at_once_over_one_connection_all_run() {
    needs_devices!();
    let pier = Pier::new("pier-thirty", "\"local\"");
    let master = Master::start(&pier, &[]);
    for _ in 0..2 {
        // Each waits until all are there, so that they are there at once.
        let meet = format!(
            "echo x >> /tmp/{n}; until [ $(wc -l < /tmp/{n}) -ge 30 ]; do sleep 0.1; done",
            n = pier.name
        );
        pier.street.device.ok(&["rm", "-f", &format!("/tmp/{}", pier.name)]).unwrap();
        say_their_numbers(at_once(30, |number| {
            let run = master.run(&pier, &format!("{meet}; echo {number}"));
            run.within(Duration::from_secs(240)).run().unwrap()
        }));
    }
    master.ssh.kill().unwrap();
}

#[test]
fn thirty_commands_and_sixty_connections_of_a_forward_are_there_at_once() {
    needs_devices!();
    let pier = Pier::new("pier-ninety", "\"local\"");
    let (service, port) = pier.echo(&[]);
    let here = free_port();
    let master = Master::start(&pier, &["-L", &format!("127.0.0.1:{here}:127.0.0.1:{port}")]);
    let go = format!("/tmp/{}-go", pier.name);
    let commands: Vec<Running> = (0..30)
        .map(|number| format!("echo there; until [ -e {go} ]; do sleep 0.1; done; echo {number}"))
        .map(|command| master.run(&pier, &command).within(Duration::from_secs(240)).start().unwrap())
        .collect();
    let streams = at_once(60, |_| {
        let mut stream = connect(here);
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        stream
    });
    // Nobody has left before all ninety are there.
    for command in &commands {
        wait::until_true("a command runs", PATIENCE, || command.stdout_so_far().contains("there")).unwrap();
    }
    pier.street.device.ok(&["touch", &go]).unwrap();
    for (number, command) in commands.into_iter().enumerate() {
        let done = command.done().unwrap();
        assert_eq!(done.out(), format!("there\n{number}\n"), "{}", done.all());
    }
    for stream in streams {
        assert!(exchange(stream, &[7; 1000]) == [7; 1000]);
    }
    master.ssh.kill().unwrap();
    service.kill().unwrap();
}

#[test]
fn five_hundred_connections_one_after_the_other_beside_a_command_need_no_log_in_of_their_own() {
    needs_devices!();
    let pier = Pier::new("pier-row", "\"local\"");
    let (service, port) = pier.echo(&[]);
    let here = free_port();
    let master = Master::start(&pier, &["-L", &format!("127.0.0.1:{here}:127.0.0.1:{port}")]);
    let beside = master.run(&pier, "echo there; cat").start().unwrap();
    wait::until_true("the command runs", PATIENCE, || beside.stdout_so_far().contains("there")).unwrap();
    let own = format!("Accepted publickey for {} ", pier.name);
    let log_ins = || {
        let journal = pier.street.device.ok(&["journalctl", "--no-pager", "-o", "cat", "-u", "ssh"]).unwrap();
        journal.out().matches(&own).count()
    };
    let before = log_ins();
    for number in 0..500 {
        let sent = number.to_string().into_bytes();
        assert!(exchange(connect(here), &sent) == sent, "{number}");
    }
    // One for the forward; a few where the next came before the last was let go.
    let more = log_ins() - before;
    assert!(more <= 5, "{more} log-ins");
    beside.kill().unwrap();
    master.ssh.kill().unwrap();
    service.kill().unwrap();
}
