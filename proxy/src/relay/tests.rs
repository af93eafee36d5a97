//! A relay between a client that is no SSH at all and a device played by a server of russh's.

mod devices;

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use russh::Sig;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use devices::{Device, FLOOD};

use super::*;
use crate::inbox::Inbox;
use crate::recordings::{DumpFormat, End};
use crate::session::Keyboard;
use crate::testing::{World, permit};

/// What a client was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Success,
    Data(Bytes),
    Extended(u32, Bytes),
    Eof,
    Exit(u32),
    ExitSignal(String),
    Close,
}

/// The channel of a client in this process, which takes as many bytes as there is room for.
#[derive(Clone)]
struct InMemory {
    told: mpsc::UnboundedSender<Told>,
    room: Arc<Semaphore>,
}

impl InMemory {
    fn tell(&self, told: Told) -> Result<(), Gone> {
        self.told.send(told).map_err(|_| Gone)
    }
}

impl ClientChannel for InMemory {
    fn number(&self) -> u32 {
        7
    }

    async fn success(&self) -> Result<(), Gone> {
        self.tell(Told::Success)
    }

    async fn data(&self, data: Bytes) -> Result<(), Gone> {
        self.room.acquire_many(data.len().try_into().unwrap()).await.unwrap().forget();
        self.tell(Told::Data(data))
    }

    async fn extended_data(&self, kind: u32, data: Bytes) -> Result<(), Gone> {
        self.tell(Told::Extended(kind, data))
    }

    async fn xon_xoff(&self, _: bool) -> Result<(), Gone> {
        Ok(())
    }

    async fn eof(&self) -> Result<(), Gone> {
        self.tell(Told::Eof)
    }

    async fn exit_status(&self, status: u32) -> Result<(), Gone> {
        self.tell(Told::Exit(status))
    }

    async fn exit_signal(&self, signal: ExitSignal) -> Result<(), Gone> {
        self.tell(Told::ExitSignal(format!("{:?}", signal.name)))
    }

    async fn close(&self) -> Result<(), Gone> {
        self.tell(Told::Close)
    }
}

/// A relay at work, and both ends of it.
struct Stage {
    /// What it rests on.
    world: World,
    open: Arc<Open>,
    inbox: Inbox<Control>,
    room: Arc<Semaphore>,
    told: mpsc::UnboundedReceiver<Told>,
    heard: mpsc::UnboundedReceiver<String>,
    relay: JoinHandle<bool>,
    phase: watch::Sender<Phase>,
}

impl Stage {
    async fn new(terminal: bool, command: &str) -> Self {
        let (device, heard) = mpsc::unbounded_channel();
        let there = Device { heard: device, unanswered: None };
        let mut stage = Self::before(there, heard, terminal, command).await;
        assert_eq!(stage.told().await, Told::Success);
        stage
    }

    /// The same before another device, which need not start anything.
    async fn before(
        there: Device,
        heard: mpsc::UnboundedReceiver<String>,
        terminal: bool,
        command: &str,
    ) -> Self {
        let world = World::bare().await;
        let open = world.open(permit("{}"), there).await;
        let (sender, told) = mpsc::unbounded_channel();
        let (inbox, room) = (Inbox::default(), Arc::new(Semaphore::new(1 << 20)));
        let channel = InMemory { told: sender, room: Arc::clone(&room) };
        let size = Size { columns: 80, rows: 24, pixel_width: 0, pixel_height: 0 };
        let terminal = terminal.then(|| Terminal { term: "xterm".to_owned(), size, modes: Vec::new() });
        let program = Program::Exec(command.as_bytes().to_vec());
        inbox
            .push_control(Control::Start(Start { terminal, env: Vec::new(), forwarded: None, program }))
            .unwrap();
        let (phase, seen) = watch::channel(Phase::Open(Arc::clone(&open)));
        let relay = tokio::spawn(serve(Client { channel, inbox: inbox.clone() }, seen));
        Self { world, open, inbox, room, told, heard, relay, phase }
    }

    async fn told(&mut self) -> Told {
        tokio::time::timeout(Duration::from_secs(30), self.told.recv()).await.unwrap().unwrap()
    }

    async fn heard(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(30), self.heard.recv()).await.unwrap().unwrap()
    }

    async fn types(&self, keys: &str) {
        self.inbox.push_data(keys.as_bytes()).await.unwrap();
    }
}

fn data(text: &'static str) -> Told {
    Told::Data(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn what_a_client_that_is_no_ssh_does_reaches_the_device_and_the_answers_come_back() {
    let mut stage = Stage::new(true, "cat").await;
    assert_eq!(stage.heard().await, "terminal 80x24");
    stage.types("ls").await;
    assert_eq!((stage.heard().await.as_str(), stage.told().await), ("data ls", data("ls")));
    let size = Size { columns: 132, rows: 50, pixel_width: 0, pixel_height: 0 };
    stage.inbox.push_control(Control::WindowChange(size)).unwrap();
    assert_eq!(stage.heard().await, "size 132x50");
    stage.inbox.push_control(Control::Signal(Sig::TERM)).unwrap();
    assert_eq!(stage.heard().await, "signal TERM");
    assert_eq!(stage.open.live.facts().channels, 1);
    stage.inbox.push_eof().unwrap();
    assert_eq!(stage.heard().await, "eof");
    assert_eq!(stage.told().await, Told::Exit(7));
    assert_eq!((stage.told().await, stage.told().await), (Told::Eof, Told::Close));
    assert!(!stage.relay.await.unwrap(), "nobody had to be told why");
    let facts = stage.open.live.facts();
    assert_eq!((facts.channels, facts.bytes_in, facts.bytes_out), (0, 2, 2));
    let mut log = stage.world.audit.tail(1000, true);
    let closed = async {
        while let Some(record) = log.next_record().await.unwrap() {
            if record.to_string().contains("channel 7 closed, exit: 7, 2 bytes in") {
                return;
            }
        }
        panic!("the log ended");
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap();
}

#[tokio::test]
async fn a_device_that_breaks_off_as_its_session_ends_does_not_hide_why_it_ends() {
    for ends in [Some("the time of this access is over"), None] {
        let mut stage = Stage::new(true, "cat").await;
        stage.types("break").await;
        let broken = async {
            while stage.open.live.facts().channels > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), broken).await.unwrap();
        if let Some(why) = ends {
            stage.phase.send_replace(Phase::Over(Some(why.into())));
        }
        let why = ends.unwrap_or("the device closed the connection");
        assert_eq!(stage.told().await, Told::Success);
        assert_eq!(stage.told().await, Told::Extended(STDERR, format!("\r\ntidegate: {why}\r\n").into()));
    }
}

#[tokio::test]
async fn a_size_of_nothing_reaches_the_device_and_the_recording_keeps_the_last_good_one() {
    let mut stage = Stage::new(true, "cat").await;
    assert_eq!(stage.heard().await, "terminal 80x24");
    for (columns, rows) in [(132, 50), (0, 0)] {
        let size = Size { columns, rows, pixel_width: 0, pixel_height: 0 };
        stage.inbox.push_control(Control::WindowChange(size)).unwrap();
        assert_eq!(stage.heard().await, format!("size {columns}x{rows}"));
    }
    stage.open.recorder.seal(End { exit: None, cause: "a test" }).await.unwrap();
    let (recording, mut lines) = (stage.world.recordings().of(stage.open.id), Vec::new());
    let _verdict = recording.dump(None, &mut lines, DumpFormat::V3).await.unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains("132x50") && lines.matches("\"r\"").count() == 1, "{lines}");
}

#[tokio::test]
async fn ctrl_c_leaves_a_device_that_opens_no_channel_and_all_else_that_is_typed_waits_for_it() {
    let (device, heard) = mpsc::unbounded_channel();
    let silent = Device { heard: device, unanswered: Some(Vec::new()) };
    let mut stage = Stage::before(silent, heard, true, "cat").await;
    assert_eq!(stage.heard().await, "a channel");
    stage.types("ls\r").await;
    let early = tokio::time::timeout(Duration::from_millis(300), stage.told.recv()).await;
    assert!(early.is_err(), "{early:?}");
    stage.types("\x03").await;
    assert_eq!(stage.told().await, Told::Success);
    let text = format!("\r\ntidegate: {INTERRUPTED}\r\n");
    assert_eq!(stage.told().await, Told::Extended(STDERR, text.into()));
    assert_eq!((stage.told().await, stage.told().await), (Told::Exit(255), Told::Close));
    assert!(stage.relay.await.unwrap(), "the user was told why");
    let log: Vec<String> = stage.world.records().await.iter().map(ToString::to_string).collect();
    let refused = format!("channel refused: exec: channel 7: {INTERRUPTED}");
    assert!(log.iter().any(|line| line.contains(&refused)), "{log:#?}");
}

#[tokio::test]
async fn a_client_that_reads_slowly_holds_up_its_own_output_and_nothing_else() {
    let mut stage = Stage::new(false, "flood").await;
    let taken = Mutex::new(0);
    let take = |told: Told| match told {
        Told::Data(data) => {
            let mut taken = taken.lock().unwrap();
            *taken += data.len();
            *taken
        }
        other => panic!("{other:?}"),
    };
    // What there is room for comes, and no more.
    let mut sum = 0;
    while sum + 32_768 * 2 <= 1 << 20 {
        sum = take(stage.told().await);
    }
    stage.types("still here").await;
    assert_eq!(stage.heard().await, "data still here");
    assert!(sum < FLOOD);
    stage.room.add_permits(2 * FLOOD);
    while sum < FLOOD + "still here".len() {
        sum = take(stage.told().await);
    }
}

#[tokio::test]
async fn a_locked_keyboard_holds_back_what_is_typed_until_it_is_unlocked() {
    let mut stage = Stage::new(true, "cat").await;
    assert_eq!(stage.heard().await, "terminal 80x24");
    stage.types("before").await;
    assert_eq!((stage.heard().await.as_str(), stage.told().await), ("data before", data("before")));
    stage.open.live.set_keyboard(Keyboard::Locked("adam".into())).unwrap();
    let notice =
        "\r\ntidegate: adam locked the keyboard; what you type is held back until it is unlocked\r\n";
    assert_eq!(stage.told().await, data(notice));
    stage.types("held").await;
    let more = tokio::time::timeout(Duration::from_millis(300), stage.heard.recv()).await;
    assert!(more.is_err(), "{more:?}");
    stage.open.live.set_keyboard(Keyboard::Free).unwrap();
    assert_eq!(stage.heard().await, "data held");
    stage.open.live.set_keyboard(Keyboard::Locked("adam".into())).unwrap();
    stage.types("never").await;
    stage.inbox.close();
    assert!(!stage.relay.await.unwrap());
    assert!(stage.heard.try_recv().is_err(), "who leaves while it is locked has typed nothing more");
}

#[tokio::test]
async fn the_end_of_its_session_ends_a_channel_with_the_reason() {
    let mut stage = Stage::new(true, "cat").await;
    stage.phase.send_replace(Phase::Over(Some("adam ended the session".into())));
    assert_eq!(stage.told().await, Told::Success);
    let text = Bytes::from_static(b"\r\ntidegate: adam ended the session\r\n");
    assert_eq!(stage.told().await, Told::Extended(STDERR, text));
    assert_eq!((stage.told().await, stage.told().await), (Told::Exit(255), Told::Close));
    assert!(stage.relay.await.unwrap(), "the user was told why");
}
