//! Requests and their votes. A request's document holds all but the votes.

use std::collections::HashMap;

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, DatabaseTransaction, QueryOrder as _, QuerySelect as _};
use tidegate_common::id::RequestId;
use tidegate_common::model::{Request, Vote};
use tidegate_common::name::{AccessGroupName, CredentialName, UserName};

use super::revisions::{self, Of, Revision};
use super::{Doing as _, Step, Store, StoreError, changed_if_there};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "request")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub user_name: String,
    pub target: String,
    pub group_name: String,
    pub state: String,
    pub created: i64,
    #[sea_orm(column_type = "Text")]
    pub document: String,
    /// Of an emergency: [`DUE`] until somebody has looked at it.
    pub review: Option<String>,
    /// How often it was written after it was made.
    pub revision: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What stands in `review` until somebody has looked, and then.
const DUE: &str = "due";
const DONE: &str = "done";

pub(super) mod vote {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "vote")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub request_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub voter: String,
        pub place: i32,
        #[sea_orm(column_type = "Text")]
        pub document: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Which requests to read; the newest come first.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Of this user only.
    pub user: Option<UserName>,
    /// Of this user, or under one of these groups.
    pub concerning: Option<(UserName, Vec<AccessGroupName>)>,
    /// For this credential only.
    pub target: Option<CredentialName>,
    /// In one of these states (as written down; a pending one may have expired).
    pub states: &'static [&'static str],
    /// Emergencies that nobody has looked at yet only.
    pub to_review: bool,
    /// Made then or later.
    pub since: Option<jiff::Timestamp>,
    /// At most so many, 1,001 at the most; 0 means 1,000.
    pub limit: u64,
}

const MOST: u64 = 1000;

fn number(id: RequestId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn read(row: &Model, votes: Vec<Vote>) -> Result<Request, StoreError> {
    let mut request: Request = serde_json::from_str(&row.document)
        .map_err(|error| StoreError::damaged(format!("request {}", row.id), error))?;
    request.votes = votes;
    Ok(request)
}

fn read_vote(row: &vote::Model) -> Result<Vote, StoreError> {
    serde_json::from_str(&row.document)
        .map_err(|error| StoreError::damaged(format!("vote on request {}", row.request_id), error))
}

impl Store {
    /// The number that the next request gets.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_request_id(&self) -> Result<RequestId, StoreError> {
        let newest =
            Entity::find().order_by_desc(Column::Id).one(&self.writer).await.doing("read requests")?;
        let last = newest.map_or(0, |row| u64::try_from(row.id).unwrap_or_default());
        Ok(RequestId(last.saturating_add(1)))
    }

    /// How often this user has made requests: whoever looks at them before they make another
    /// reads this first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn requester(&self, user: &UserName) -> Result<Revision, StoreError> {
        self.revision(Of::Requester(user.as_str())).await
    }

    /// Writes a new request, if nobody has its number and its user has made none since `was`.
    #[must_use]
    pub fn request_made(request: Request, was: Revision) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                revisions::move_on(change, Of::Requester(request.user.as_str()), Some(was)).await?;
                revisions::move_on(change, Of::Requests, None).await?;
                let row = row(&request)?;
                changed_if_there(Entity::insert(row).exec_without_returning(change).await, DOING)?;
                add_votes(change, &request).await
            })
        })
    }

    /// Writes a request as it is now, with the votes it has gained, if nobody has written it
    /// since `was`. A vote is never changed, and nobody has two.
    #[must_use]
    pub fn request_changed(request: Request, was: Revision) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let row = row(&request)?;
                let next = was.0.saturating_add(1);
                let written = Entity::update_many()
                    .set(ActiveModel {
                        state: row.state,
                        document: row.document,
                        review: row.review,
                        revision: Set(next),
                        ..Default::default()
                    })
                    .filter(Column::Id.eq(number(request.id)))
                    .filter(Column::Revision.eq(was.0));
                if written.exec(change).await.doing(DOING)?.rows_affected != 1 {
                    return Err(StoreError::Changed);
                }
                revisions::move_on(change, Of::Requests, None).await?;
                add_votes(change, &request).await
            })
        })
    }

    /// One request.
    ///
    /// # Errors
    /// When the database fails or the request is damaged.
    pub async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        let row = Entity::find_by_id(number(id)).one(&self.readers).await.doing("read requests")?;
        Ok(self.with_votes(row.into_iter().collect()).await?.pop())
    }

    /// One request, and which writing of it that is: what is made of it is written only if
    /// that is still the newest.
    ///
    /// # Errors
    /// When the database fails or the request is damaged.
    pub async fn request_to_change(&self, id: RequestId) -> Result<Option<(Request, Revision)>, StoreError> {
        let row = Entity::find_by_id(number(id)).one(&self.readers).await.doing("read requests")?;
        let Some(row) = row else { return Ok(None) };
        // Votes that came since the row was read are of a later writing.
        let revision = Revision(row.revision);
        Ok(self.with_votes(vec![row]).await?.pop().map(|request| (request, revision)))
    }

    /// Requests, the newest first.
    ///
    /// # Errors
    /// When the database fails or a request is damaged.
    pub async fn requests(&self, filter: &RequestFilter) -> Result<Vec<Request>, StoreError> {
        let mut query = Entity::find().order_by_desc(Column::Id);
        if let Some(user) = &filter.user {
            query = query.filter(Column::UserName.eq(user.as_str()));
        }
        if let Some((user, groups)) = &filter.concerning {
            let groups = groups.iter().map(AccessGroupName::as_str);
            let of_user = Column::UserName.eq(user.as_str());
            query = query.filter(Condition::any().add(of_user).add(Column::GroupName.is_in(groups)));
        }
        if let Some(target) = &filter.target {
            query = query.filter(Column::Target.eq(target.to_string()));
        }
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().copied()));
        }
        if filter.to_review {
            query = query.filter(Column::Review.eq(DUE));
        }
        if let Some(since) = filter.since {
            query = query.filter(Column::Created.gte(since.as_millisecond()));
        }
        // One more than is shown tells that there are more.
        let limit = if filter.limit == 0 { MOST } else { filter.limit.min(MOST + 1) };
        let rows = query.limit(limit).all(&self.readers).await.doing("read requests")?;
        self.with_votes(rows).await
    }

    async fn with_votes(&self, rows: Vec<Model>) -> Result<Vec<Request>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let votes = vote::Entity::find()
            .filter(vote::Column::RequestId.is_in(rows.iter().map(|row| row.id)))
            .order_by_asc(vote::Column::Place)
            .all(&self.readers);
        let mut by_request: HashMap<i64, Vec<Vote>> = HashMap::new();
        for row in votes.await.doing("read votes")? {
            by_request.entry(row.request_id).or_default().push(read_vote(&row)?);
        }
        rows.iter().map(|row| read(row, by_request.remove(&row.id).unwrap_or_default())).collect()
    }
}

const DOING: &str = "wrote a request";

fn damaged(request: &Request, why: serde_json::Error) -> StoreError {
    StoreError::damaged(format!("request {}", request.id), why)
}

fn row(request: &Request) -> Result<ActiveModel, StoreError> {
    let alone = Request { votes: Vec::new(), ..request.clone() };
    Ok(ActiveModel {
        id: Set(number(request.id)),
        user_name: Set(request.user.to_string()),
        target: Set(request.target.to_string()),
        group_name: Set(request.group.to_string()),
        state: Set(request.state.word().to_owned()),
        created: Set(request.created.as_millisecond()),
        document: Set(serde_json::to_string(&alone).map_err(|why| damaged(request, why))?),
        review: Set(request.is_emergency().then(|| {
            let word = if request.wants_review() { DUE } else { DONE };
            word.to_owned()
        })),
        revision: Set(0),
    })
}

async fn add_votes(change: &DatabaseTransaction, request: &Request) -> Result<(), StoreError> {
    let id = number(request.id);
    let kept =
        vote::Entity::find().filter(vote::Column::RequestId.eq(id)).count(change).await.doing(DOING)?;
    let kept = usize::try_from(kept).unwrap_or(usize::MAX);
    for (place, vote) in request.votes.iter().enumerate().skip(kept) {
        let row = vote::ActiveModel {
            request_id: Set(id),
            voter: Set(vote.by.to_string()),
            place: Set(i32::try_from(place).unwrap_or(i32::MAX)),
            document: Set(serde_json::to_string(vote).map_err(|why| damaged(request, why))?),
        };
        changed_if_there(vote::Entity::insert(row).exec_without_returning(change).await, DOING)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidegate_common::model::{Action, Claims, RequestState, Verdict, Wish};

    use super::*;
    use crate::store::testing::{Temporary, on_both};

    fn request(id: u64) -> Request {
        let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        Request {
            id: RequestId(id),
            user: "operator".parse().unwrap(),
            target: "ops@db01".parse().unwrap(),
            action: Action::Session,
            claims: Claims::default(),
            group: "dba".parse().unwrap(),
            wish: Wish::default(),
            created: now,
            expires: now,
            origin: None,
            state: RequestState::Pending,
            votes: Vec::new(),
            review: None,
        }
    }

    fn vote(by: &str) -> Vote {
        let at = jiff::Timestamp::from_second(1_800_000_060).unwrap();
        let (by, level) = (by.parse().unwrap(), 1.try_into().unwrap());
        Vote { by, level, verdict: Verdict::Approve, at, origin: None, comment: None }
    }

    async fn take(store: &Store, step: Step) -> Result<(), StoreError> {
        store.audit_append_all(Vec::new(), Some(step)).await
    }

    async fn made(store: &Store, request: Request) -> Result<(), StoreError> {
        let was = store.requester(&request.user).await.unwrap();
        take(store, Store::request_made(request, was)).await
    }

    async fn a_request_comes_back_with_its_votes_in_order() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        assert_eq!(store.next_request_id().await.unwrap(), RequestId(1));
        made(store, request(1)).await.unwrap();
        let voted = Request { votes: vec![vote("zoe"), vote("adam")], ..request(1) };
        take(store, Store::request_changed(voted.clone(), Revision::default())).await.unwrap();
        made(store, request(2)).await.unwrap();
        assert_eq!(store.request(RequestId(1)).await.unwrap(), Some(voted));
        assert_eq!(store.next_request_id().await.unwrap(), RequestId(3));
        let concerning = |user: &str, group: &str| RequestFilter {
            concerning: Some((user.parse().unwrap(), vec![group.parse().unwrap()])),
            ..RequestFilter::default()
        };
        assert_eq!(store.requests(&concerning("approver", "dba")).await.unwrap().len(), 2);
        assert_eq!(store.requests(&concerning("operator", "others")).await.unwrap().len(), 2);
        assert_eq!(store.requests(&concerning("approver", "others")).await.unwrap().len(), 0);
        let found = store.requests(&RequestFilter { states: &["pending"], ..RequestFilter::default() }).await;
        assert_eq!(found.unwrap().iter().map(|request| request.id.0).collect::<Vec<_>>(), [2, 1]);
    }

    async fn what_was_made_of_an_earlier_state_is_refused_and_nothing_of_it_is_written() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let was = store.requester(&request(1).user).await.unwrap();
        made(store, request(1)).await.unwrap();
        let late = take(store, Store::request_made(request(2), was)).await;
        assert!(matches!(late, Err(StoreError::Changed)), "its user has made one since: {late:?}");
        let same = made(store, Request { user: "adam".parse().unwrap(), ..request(1) }).await;
        assert!(matches!(same, Err(StoreError::Changed)), "the number is taken: {same:?}");
        let (read, was) = store.request_to_change(RequestId(1)).await.unwrap().unwrap();
        let with = |by| Store::request_changed(Request { votes: vec![vote(by)], ..read.clone() }, was);
        take(store, with("zoe")).await.unwrap();
        let late = take(store, with("adam")).await;
        assert!(matches!(late, Err(StoreError::Changed)), "{late:?}");
        let (read, was) = store.request_to_change(RequestId(1)).await.unwrap().unwrap();
        assert_eq!(read.votes, [vote("zoe")]);
        let both = Request { votes: vec![vote("zoe"), vote("adam")], ..read };
        take(store, Store::request_changed(both.clone(), was)).await.unwrap();
        assert_eq!(store.request(RequestId(1)).await.unwrap(), Some(both));
        assert_eq!(store.requests(&RequestFilter::default()).await.unwrap().len(), 1);
    }

    async fn the_store_itself_refuses_a_second_vote_of_a_person() {
        let temporary = Temporary::new().await;
        let twice = Request { votes: vec![vote("zoe"), vote("zoe")], ..request(1) };
        assert!(made(&temporary.store, twice).await.is_err());
        assert_eq!(temporary.store.request(RequestId(1)).await.unwrap(), None);
    }

    on_both! {
        a_request_comes_back_with_its_votes_in_order,
        what_was_made_of_an_earlier_state_is_refused_and_nothing_of_it_is_written,
        the_store_itself_refuses_a_second_vote_of_a_person,
    }
}
