//! What the operations are tried on.

use tidegate_common::name::GateName;
use tidegate_screen::Screen;

use super::*;

/// A world with a session of `operator`'s, its recording, its grant, and a request that waits,
/// or an emergency that waits for its review.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) session: String,
    pub(super) gone: Actor,
    pub(super) emergency: bool,
    /// Where the recording is not sealed yet.
    pub(super) recorder: Option<Recorder>,
}

const MORE: &str = include_str!("more.toml");

impl Scene {
    pub(super) async fn new(emergency: bool, recorded_now: bool) -> Self {
        let world = World::new().await;
        let by = crate::access::By::proxy();
        world.services.access.apply(MORE, &by, false).await.unwrap();
        let ops = "ops@db01".parse().unwrap();
        secrets::set(&world.services, &world.actor("admin"), &ops, &mut OneWord("hunter2")).await.unwrap();
        let gone = world.actor("gone");
        let off = "[[user]]\nname = \"gone\"\nroles = [\"admin\"]\nenabled = false\n";
        world.services.access.apply(off, &by, false).await.unwrap();
        for (target, emergency) in [("web@web01", emergency), ("ops@db01", false)] {
            let made = ask(&world, "operator", target, emergency).await;
            assert_eq!(made.unwrap().done.len(), 1);
        }
        let draft = changes::Written::Draft(Box::new(draft("CHG-1")));
        changes::create(&world.services, &world.actor("operator"), draft).await.unwrap();
        let (approver, ids) = (world.actor("approver"), [RequestId(2)]);
        let approved = requests::deal(&world.services, &approver, &ids, &approve()).await;
        assert_eq!(approved.unwrap().done.len(), 1);
        let by = crate::access::By::proxy();
        world.services.remote_accesses.create(&remote(), &by).await.unwrap();
        let session = world.session().await;
        let (spare, why) = (PanicScope::Device("web01".parse().unwrap()), "a drill".parse().unwrap());
        world.services.access.begin_panic(spare, why, &by).await.unwrap();
        let recorder = if recorded_now {
            Some(shown(&world.services.recordings, session, "shown").await)
        } else {
            world.sealed(session, "shown").await;
            None
        };
        world.links.grants.lock().unwrap().push(grant(session));
        let now = Timestamp::now();
        world.services.store.enrol(&"db01".parse().unwrap(), "x", now).await;
        world.gave_up_telling("operator").await;
        Self { world, session: session.to_string(), gone, emergency, recorder }
    }

    pub(super) fn live(&self) -> LiveSession {
        self.world.services.live.get(self.session.parse().unwrap()).unwrap()
    }

    pub(super) fn actor(&self, role: &str) -> Actor {
        if role == "gone" { self.gone.clone() } else { self.world.actor(role) }
    }

    pub(super) async fn newest(&self, count: u64) -> Vec<Record> {
        self.world.services.audit.last(count).await
    }
}

/// Types one word for a secret, or is shown one.
pub(super) struct OneWord(pub &'static str);

impl secrets::SecretSource for OneWord {
    async fn read(&mut self) -> std::io::Result<Option<zeroize::Zeroizing<Vec<u8>>>> {
        Ok(Some(self.0.as_bytes().to_vec().into()))
    }
}

impl passwords::PasswordViewer for OneWord {
    async fn show(&mut self, shown: &passwords::ShownPassword) -> std::io::Result<()> {
        assert!(["hunter2", "hunter3"].contains(&shown.password.reveal()));
        self.0 = "shown";
        Ok(())
    }

    async fn clear(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) fn grant(session: SessionId) -> GrantSeen {
    let what = What {
        device: "db01".parse().unwrap(),
        account: "ops".parse().unwrap(),
        privileges: Vec::new(),
        applied: Vec::new(),
        since: Timestamp::now(),
        expires: None,
    };
    let lease_left = Duration::from_secs(27);
    GrantSeen { session, what, lease_left, linked: true, state: GrantState::Active }
}

pub(super) fn wanted(claims: Claims) -> requests::Wanted {
    let (wish, limits) = (Wish::default(), Limits::default());
    requests::Wanted { action: Action::Session, claims, wish, limits }
}

pub(super) fn approve() -> Deed {
    Deed::Approve(None, Narrowed::default())
}

/// A remote access for `operator`.
pub(super) fn remote() -> NewRemoteAccess {
    NewRemoteAccess {
        group: "field".parse().unwrap(),
        user: Some("operator".parse().unwrap()),
        scope: Scope::Full,
        claims: Claims { justification: Some("x".parse().unwrap()), ..Claims::default() },
        start: None,
        duration: Length::hours(1),
    }
}

pub(super) fn draft(id: &str) -> Draft {
    let now = Timestamp::now();
    Draft {
        id: id.parse().unwrap(),
        title: "restart the database".parse().unwrap(),
        description: None,
        start: now,
        due: Length::hours(1).after(now),
        group: "dba".parse().unwrap(),
        devices: vec!["db01".parse().unwrap()],
        commands: Vec::new(),
        ordered: false,
        responsible: vec!["approver".parse().unwrap()],
        interrupt: false,
    }
}

pub(super) async fn ask(
    world: &World,
    who: &str,
    target: &str,
    emergency: bool,
) -> Result<Each<requests::RequestView>, Failure> {
    let claims = Claims {
        justification: Some("x".parse().unwrap()),
        emergency: emergency.then(|| "the shop is down".parse().unwrap()),
        ..Claims::default()
    };
    let wanted = wanted(claims);
    requests::create(&world.services, &world.actor(who), vec![target.parse().unwrap()], &wanted).await
}

/// Takes all that comes.
#[derive(Default)]
pub(super) struct Taken(pub(super) usize);

impl audit::Records for Taken {
    async fn record(&mut self, _: Option<&GateName>, _: Record) -> std::io::Result<()> {
        self.0 += 1;
        Ok(())
    }
}

/// Looks at a session once, and leaves.
pub(super) struct OneLook;

impl live::Viewer for OneLook {
    async fn begin(&mut self, _: &sessions::SessionView) -> std::io::Result<()> {
        Ok(())
    }

    async fn show(&mut self, screen: &mut Screen) -> std::io::Result<()> {
        assert_eq!(screen.text().trim_end(), "shown");
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    async fn changed(&mut self) {}
}
