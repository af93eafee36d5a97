//! The list of operations, and the one way in which each of them is carried out.
//!
//! Whoever adds one adds a row here and a function in the file of its resource; the test of what
//! each role may (`operation/tests.rs`) fails until it has rows for it.

#[cfg(test)]
mod tests;

use std::future::Future;

use tidegate_common::audit::{Event, Note};

use super::{Actor, Failure, Services};

/// Who may ask for an operation at all. What is not the actor's own is looked at within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// Everybody who is enabled, and the local administrator.
    Anybody,
    /// Users only: it is about an access or a vote of their own.
    User,
    /// Who reads what is not their own: auditors and administrators.
    Reader,
    /// Monitors, and the local administrator.
    Monitor,
    /// Administrators.
    Administrator,
}

/// Whether the audit log has an operation before it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    /// It changes something, or hands out evidence.
    Before,
    /// It only shows. A screen that refreshes would bury what matters.
    Never,
}

macro_rules! operations {
    ($( $name:ident = $word:literal, $right:ident, $log:ident; )+) => {
        /// What may be asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operation {
            $( #[doc = concat!("`", $word, "`")] $name, )+
        }

        impl Operation {
            /// Every one.
            #[cfg(test)]
            const ALL: &[Self] = &[$( Self::$name, )+];

            /// As a command line writes it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $( Self::$name => $word, )+
                }
            }

            fn right(self) -> Right {
                match self {
                    $( Self::$name => Right::$right, )+
                }
            }

            fn log(self) -> Log {
                match self {
                    $( Self::$name => Log::$log, )+
                }
            }
        }
    };
}

operations! {
    Overview = "overview", User, Never;
    AccessList = "access list", Anybody, Never;
    AccessExplain = "access explain", Reader, Never;
    AccessMatrix = "access matrix", Reader, Never;
    GroupReviewList = "group-review list", Anybody, Never;
    GroupReviewShow = "group-review show", Anybody, Never;
    GroupReviewConfirm = "group-review confirm", User, Before;
    ResourcesApply = "apply", Administrator, Before;
    ResourcesList = "get", Reader, Never;
    ResourcesGet = "get one", Reader, Never;
    ResourcesDelete = "delete", Administrator, Before;
    ResourcesExport = "export", Reader, Before;
    RequestCreate = "request create", User, Before;
    RequestList = "request list", Anybody, Never;
    RequestShow = "request show", Anybody, Never;
    RequestApprove = "request approve", User, Before;
    RequestReject = "request reject", User, Before;
    RequestExtend = "request extend", User, Before;
    RequestReview = "request review", User, Before;
    RequestCancel = "request cancel", User, Before;
    RequestRevoke = "request revoke", Anybody, Before;
    RemoteAccessPreview = "remote-access preview", Administrator, Never;
    RemoteAccessRequest = "remote-access request", Administrator, Before;
    RemoteAccessList = "remote-access list", Anybody, Never;
    RemoteAccessShow = "remote-access show", Anybody, Never;
    RemoteAccessApprove = "remote-access approve", User, Before;
    RemoteAccessReject = "remote-access reject", User, Before;
    RemoteAccessCancel = "remote-access cancel", Anybody, Before;
    RemoteAccessForward = "remote-access forward", Administrator, Before;
    RemoteAccessRevokeCode = "remote-access revoke-code", Administrator, Before;
    RemoteAccessEnrol = "remote-access enrol", User, Before;
    ChangeCreate = "change create", User, Before;
    ChangeList = "change list", Anybody, Never;
    ChangeShow = "change show", Anybody, Never;
    ChangeApprove = "change approve", User, Before;
    ChangeReject = "change reject", User, Before;
    ChangeCancel = "change cancel", Anybody, Before;
    ChangeClose = "change close", Anybody, Before;
    ChangeReport = "change report", Anybody, Never;
    SessionList = "session list", Anybody, Never;
    SessionShow = "session show", Anybody, Never;
    SessionWatch = "session watch", Monitor, Before;
    SessionLock = "session lock", Monitor, Before;
    SessionUnlock = "session unlock", Monitor, Before;
    SessionEnd = "session end", Monitor, Before;
    RecordingPlay = "session play", Reader, Before;
    RecordingExport = "session export", Reader, Before;
    RecordingVerify = "session verify", Reader, Before;
    CommandList = "session commands", Reader, Before;
    GrantList = "grant list", Anybody, Never;
    NotificationList = "notify list", Anybody, Never;
    NotificationRetry = "notify retry", Administrator, Before;
    NotificationTest = "notify test", Administrator, Before;
    ChannelsShow = "notify channels", Anybody, Never;
    ChannelsChoose = "notify choose", User, Before;
    AgentToken = "agent token", Administrator, Before;
    AgentList = "agent list", Reader, Never;
    AgentRevoke = "agent revoke", Administrator, Before;
    SecretSet = "credential secret set", Administrator, Before;
    SecretForget = "credential secret forget", Administrator, Before;
    SecretList = "credential secret list", Administrator, Never;
    PasswordShow = "credential show-password", User, Before;
    VaultRotate = "vault rotate", Administrator, Before;
    VaultShow = "vault show", Administrator, Never;
    PanicBegin = "panic", Administrator, Before;
    PanicLift = "panic lift", Administrator, Before;
    PanicList = "panic list", Reader, Never;
    AuditTail = "audit tail", Reader, Never;
    AuditVerify = "audit verify", Reader, Before;
}

impl Right {
    fn check(self, actor: &Actor) -> Result<(), Failure> {
        match self {
            Self::Anybody => Ok(()),
            Self::User => actor.must_be_user().map(drop),
            Self::Reader => actor.must_read_all(),
            Self::Monitor => actor.must_monitor(),
            Self::Administrator => actor.must_be_admin(),
        }
    }
}

impl Operation {
    /// Carries the operation out for an actor who may ask for it. What changes something or hands
    /// out evidence is in the audit log before `work` begins, and a refusal, of whatever `work`
    /// finds as well, before it is told.
    pub(super) async fn perform<T>(
        self,
        services: &Services,
        actor: &Actor,
        work: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let done = self.try_perform(services, actor, work).await;
        if let Err(failure) = &done {
            self.refused(services, actor, failure).await;
        }
        done
    }

    async fn try_perform<T>(
        self,
        services: &Services,
        actor: &Actor,
        work: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        actor.must_be_enabled(&services.access.snapshot())?;
        if self.log() == Log::Before {
            let command = actor.asked(self);
            services.audit.append(actor.by().did(Event::ConsoleCommand { command })).await?;
        }
        self.right().check(actor)?;
        work.await
    }

    /// Has it in the audit log where somebody tried what they may not.
    pub(super) async fn refused(self, services: &Services, actor: &Actor, failure: &Failure) {
        if !failure.is_refusal() {
            return;
        }
        let (command, why) = (actor.asked(self), Note::new(failure.to_string()));
        let refused = actor.by().did(Event::ConsoleRefused { command, why });
        if let Err(error) = services.audit.append(refused).await {
            tracing::error!(%error, "a refusal could not be logged");
        }
    }
}

/// Does what goes on for long and shows what is not one's own, as long as the actor may read
/// that.
pub(super) async fn while_reading<T>(
    services: &Services,
    actor: &Actor,
    work: impl Future<Output = Result<T, Failure>> + Send,
) -> Result<T, Failure> {
    while_may(services, actor, Actor::must_read_all, work).await
}

/// The same for what else goes on for long.
pub(super) async fn while_may<T>(
    services: &Services,
    actor: &Actor,
    must: fn(&Actor) -> Result<(), Failure>,
    work: impl Future<Output = Result<T, Failure>> + Send,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        lost = role_lost(services, actor, must) => Err(lost),
    }
}

/// Returns when somebody no longer may.
async fn role_lost(services: &Services, actor: &Actor, must: fn(&Actor) -> Result<(), Failure>) -> Failure {
    let mut changed = services.access.changed();
    // What has changed since the roles were read counts, too.
    changed.mark_changed();
    while let (Some(_), Ok(())) = (actor.name(), changed.changed().await) {
        let snapshot = services.access.snapshot();
        let now = actor.now(&snapshot);
        if let Err(lost) = now.must_be_enabled(&snapshot).and_then(|()| must(&now)) {
            return lost;
        }
    }
    std::future::pending().await
}
