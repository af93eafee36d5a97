//! Every operation, tried once.

use super::*;

/// Whether anything is shown; of one deed done to several things, what became of the only one.
fn only<T>(each: Each<T>) -> Result<bool, Failure> {
    let Each { mut done, mut failed } = each;
    match (done.pop(), failed.pop()) {
        (Some(_), None) => Ok(true),
        (_, Some(failure)) => Err(failure),
        (None, None) => Ok(false),
    }
}

/// Tries an operation on `operator`'s things; says whether it shows or does anything.
pub(super) async fn attempt(
    scene: &Scene,
    operation: Operation,
    whose: &str,
    actor: &Actor,
) -> Result<bool, Failure> {
    let (services, session) = (&*scene.world.services, scene.session.as_str());
    let operator = || "operator".parse().unwrap();
    let user = (whose == "of operator").then(operator);
    let one = remote_accesses::Which::Ids(vec![RemoteAccessId(1)]);
    let (ids, access, db01) = ([RequestId(1)], RemoteAccessId(1), "db01".parse().unwrap());
    let length: Length = "1h".parse().unwrap();
    let deal = async |deed: &Deed| requests::deal(services, actor, &ids, deed).await;
    let deal_remote =
        async |deed: remote_accesses::Deed| remote_accesses::deal(services, actor, &one, &deed).await;
    let (change, ops) = ("CHG-1".parse().unwrap(), "ops@db01".parse().unwrap());
    match operation {
        Operation::Overview => overview::overview(services, actor).await.map(|_| true),
        Operation::AccessList => {
            access::list(services, actor, user.as_ref()).await.map(|reaches| !reaches.is_empty())
        }
        Operation::AccessExplain => {
            let (target, action) = ("ops@db01".parse().unwrap(), Action::Session);
            access::explain(services, actor, operator(), target, action, None, None).await.map(|_| true)
        }
        Operation::AccessMatrix => {
            access::matrix(services, actor, MatrixFilter::default()).await.map(|rows| !rows.is_empty())
        }
        Operation::GroupReviewList => {
            group_reviews::list(services, actor).await.map(|reviews| !reviews.is_empty())
        }
        Operation::GroupReviewShow => {
            group_reviews::show(services, actor, &"urgent".parse().unwrap()).await.map(|_| true)
        }
        Operation::GroupReviewConfirm => {
            let (group, snapshot) = ("urgent".parse().unwrap(), services.access.snapshot());
            let seen = digest_of_users(snapshot.group(&group).unwrap());
            group_reviews::confirm(services, actor, &group, &seen).await.map(|_| true)
        }
        Operation::ResourcesApply => {
            let mut source = &b"[[user]]\nname = \"late\"\n"[..];
            let text = resources::Text { source: &mut source, called: None, dry_run: false, force: false };
            resources::apply(services, actor, text).await.map(|applied| !applied.resources.is_empty())
        }
        Operation::ResourcesList => {
            resources::list(services, actor, Kind::User).await.map(|all| !all.is_empty())
        }
        Operation::ResourcesGet => {
            resources::get(services, actor, Kind::User, "operator").await.map(|_| true)
        }
        Operation::ResourcesDelete => {
            let names = ["stranger".to_owned()];
            resources::delete(services, actor, Kind::User, &names).await.map(|gone| !gone.is_empty())
        }
        Operation::ResourcesExport => {
            resources::export(services, actor).await.map(|(all, _)| !all.users.is_empty())
        }
        Operation::RequestCreate => {
            let justified = Claims { justification: Some("x".parse().unwrap()), ..Claims::default() };
            let wanted = wanted(justified);
            let targets = vec!["ops@db01".parse().unwrap()];
            only(requests::create(services, actor, targets, &wanted).await?)
        }
        Operation::RequestList => {
            let filter = requests::Filter { user, limit: 10, ..requests::Filter::default() };
            requests::list(services, actor, &filter).await.map(|listed| !listed.requests.is_empty())
        }
        Operation::RequestShow => requests::show(services, actor, ids[0]).await.map(|_| true),
        Operation::RequestApprove => only(deal(&approve()).await?),
        Operation::RequestReject => only(deal(&Deed::Reject(None)).await?),
        Operation::RequestExtend => {
            let justified = Claims { justification: Some("x".parse().unwrap()), ..Claims::default() };
            only(requests::deal(services, actor, &[RequestId(2)], &Deed::Extend(length, justified)).await?)
        }
        Operation::RequestReview => only(deal(&Deed::Review(None)).await?),
        Operation::RequestCancel => only(deal(&Deed::Cancel).await?),
        Operation::RequestRevoke => only(deal(&Deed::Revoke(None)).await?),
        Operation::RemoteAccessPreview => {
            remote_accesses::preview(services, actor, &remote()).await.map(|made| !made.done.is_empty())
        }
        Operation::RemoteAccessRequest => {
            remote_accesses::create(services, actor, &remote()).await.map(|made| !made.done.is_empty())
        }
        Operation::RemoteAccessList => {
            let filter = remote_accesses::Filter { limit: 10, ..remote_accesses::Filter::default() };
            remote_accesses::list(services, actor, &filter).await.map(|listed| !listed.accesses.is_empty())
        }
        Operation::RemoteAccessShow => remote_accesses::show(services, actor, access).await.map(|_| true),
        Operation::RemoteAccessApprove => only(deal_remote(remote_accesses::Deed::Approve(None)).await?),
        Operation::RemoteAccessReject => only(deal_remote(remote_accesses::Deed::Reject(None)).await?),
        Operation::RemoteAccessCancel => only(deal_remote(remote_accesses::Deed::Cancel(None)).await?),
        Operation::RemoteAccessForward => {
            remote_accesses::forward(services, actor, access, Channel::Mail).await.map(|_| true)
        }
        Operation::RemoteAccessRevokeCode => {
            remote_accesses::revoke_code(services, actor, access).await.map(|_| true)
        }
        Operation::RemoteAccessEnrol => {
            let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
            remote_accesses::enrol(services, actor, &key.parse().unwrap()).await.map(|_| true)
        }
        Operation::ChangeCreate => {
            let draft = changes::Written::Draft(Box::new(draft("CHG-2")));
            changes::create(services, actor, draft).await.map(|_| true)
        }
        Operation::ChangeList => {
            let filter = changes::Filter { limit: 10, ..changes::Filter::default() };
            changes::list(services, actor, filter).await.map(|listed| !listed.changes.is_empty())
        }
        Operation::ChangeShow => changes::show(services, actor, &change).await.map(|_| true),
        Operation::ChangeApprove => only(changes::approve(services, actor, &[change], None).await?),
        Operation::ChangeReject => only(changes::reject(services, actor, &[change], None).await?),
        Operation::ChangeCancel => only(changes::cancel(services, actor, &[change], None).await?),
        Operation::ChangeClose => only(changes::close(services, actor, &[change], None).await?),
        Operation::ChangeReport => changes::report(services, actor, &change).await.map(|_| true),
        Operation::SessionList => {
            let filter = sessions::Filter { user, limit: 10, ..sessions::Filter::default() };
            sessions::list(services, actor, filter).await.map(|listed| !listed.is_empty())
        }
        Operation::SessionShow => sessions::show(services, actor, session).await.map(|_| true),
        Operation::SessionWatch => match live::watch(services, actor, session, &mut OneLook).await {
            Err(Failure::Stream(left)) if left.kind() == std::io::ErrorKind::BrokenPipe => Ok(true),
            other => other.map(|_| true),
        },
        Operation::SessionLock => {
            let _ = scene.live().set_keyboard(Keyboard::Free);
            live::lock(services, actor, session).await.map(|_| true)
        }
        Operation::SessionUnlock => {
            let _ = scene.live().set_keyboard(Keyboard::Locked("adam".into()));
            live::unlock(services, actor, session).await.map(|_| true)
        }
        Operation::SessionEnd => live::end(services, actor, session).await.map(|_| true),
        Operation::RecordingPlay => {
            let (mut out, speed) = (Vec::new(), recordings::Speed { times: 1000.0, longest_pause: length });
            recordings::play(services, actor, session, speed, &mut out).await.map(|_| !out.is_empty())
        }
        Operation::RecordingExport => {
            let (mut out, version) = (Vec::new(), recordings::Asciicast::V3);
            recordings::export(services, actor, session, version, &mut out).await.map(|_| !out.is_empty())
        }
        Operation::RecordingVerify => {
            recordings::verify(services, actor, session).await.map(|found| !found.is_bad())
        }
        Operation::CommandList => commands::list(services, actor, session, false).await.map(|_| true),
        Operation::GrantList => {
            let filter = grants::Filter { user, device: None };
            grants::list(services, actor, filter).await.map(|listed| !listed.is_empty())
        }
        Operation::NotificationList => {
            let filter = notifications::Filter { user, limit: 10, ..notifications::Filter::default() };
            notifications::list(services, actor, filter).await.map(|listed| !listed.is_empty())
        }
        Operation::NotificationRetry => {
            notifications::retry(services, actor, NotificationId(1)).await.map(|_| true)
        }
        Operation::NotificationTest => {
            let by = Some(Channel::Webhook);
            notifications::test(services, actor, &operator(), by).await.map(|_| true)
        }
        Operation::ChannelsShow => notifications::channels(services, actor, user).await.map(|_| true),
        Operation::ChannelsChoose => {
            notifications::choose(services, actor, NoticeKind::Test, Some(&[])).await.map(|_| true)
        }
        Operation::AgentToken => agents::token(services, actor, &db01, length).await.map(|_| true),
        Operation::AgentList => agents::list(services, actor).await.map(|listed| !listed.is_empty()),
        Operation::AgentRevoke => agents::revoke(services, actor, &db01).await.map(|_| true),
        Operation::SecretSet => {
            secrets::set(services, actor, &ops, &mut OneWord("hunter3")).await.map(|set| set.is_some())
        }
        Operation::SecretForget => secrets::forget(services, actor, &ops).await.map(|()| true),
        Operation::SecretList => secrets::list(services, actor).await.map(|all| !all.is_empty()),
        Operation::PasswordShow => {
            let (claims, mut viewer) = (Claims::default(), OneWord(""));
            passwords::show(services, actor, &ops, &claims, &mut viewer).await.map(|()| viewer.0 == "shown")
        }
        Operation::VaultRotate => {
            secrets::rotate(services, actor).await.map(|rotated| rotated.failed.is_empty())
        }
        Operation::VaultShow => secrets::master_keys(services, actor).await.map(|keys| keys.secrets > 0),
        Operation::PanicBegin => {
            let why = "a drill".parse().unwrap();
            panics::begin(services, actor, PanicScope::User(operator()), why).await.map(|_| true)
        }
        Operation::PanicLift => {
            panics::lift(services, actor, &PanicScope::Device("web01".parse().unwrap())).await.map(|()| true)
        }
        Operation::PanicList => panics::list(services, actor).await.map(|stands| !stands.is_empty()),
        Operation::AuditTail => {
            let mut taken = Taken::default();
            audit::tail(services, actor, 10, false, &mut taken).await.map(|()| taken.0 > 0)
        }
        Operation::AuditVerify => {
            let found = audit::verify(services, actor).await?;
            Ok(matches!(found, audit::Verified::Whole { .. }))
        }
    }
}
