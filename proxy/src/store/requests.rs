//! Requests and their votes. A request's document holds all but the votes.

mod open;

use std::collections::HashMap;

use sea_orm::entity::prelude::*;
use sea_orm::{
    ActiveValue::Set, Condition, DatabaseTransaction, QueryOrder as _, QuerySelect as _, QueryTrait,
};
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
    /// How many sessions were begun on it.
    pub used: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What stands in `review` until somebody has looked, and then.
const DUE: &str = "due";
const DONE: &str = "done";

pub(super) mod target {
    use sea_orm::entity::prelude::*;

    /// A credential that a request is for.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "request_target")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub request_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub target: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

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
    /// That concern this user only.
    pub concerning: Option<Concern>,
    /// For this credential only.
    pub target: Option<CredentialName>,
    /// In one of these states (as written down; a pending one may have expired).
    pub states: &'static [&'static str],
    /// Emergencies that nobody has looked at yet only.
    pub to_review: bool,
    /// Made then or later.
    pub since: Option<jiff::Timestamp>,
    /// Made before then.
    pub before: Option<jiff::Timestamp>,
    /// At most so many, 1,001 at the most; 0 means 1,000.
    pub limit: u64,
}

/// Which requests concern a user.
#[derive(Debug, Clone, Default)]
pub struct Concern {
    /// Their own.
    pub own: Option<UserName>,
    /// Those under groups in which they approve.
    pub groups: Vec<AccessGroupName>,
    /// Those of these users under groups in which the requester's manager approves.
    pub managed: (Vec<UserName>, Vec<AccessGroupName>),
}

impl Concern {
    fn condition(&self) -> Condition {
        let names = |names: &[AccessGroupName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut any = Condition::any().add(Column::GroupName.is_in(names(&self.groups)));
        if let Some(own) = &self.own {
            any = any.add(Column::UserName.eq(own.as_str()));
        }
        let (users, groups) = &self.managed;
        if users.is_empty() {
            return any;
        }
        let users = Column::UserName.is_in(users.iter().map(UserName::as_str));
        any.add(Condition::all().add(users).add(Column::GroupName.is_in(names(groups))))
    }
}

const MOST: u64 = 1000;
/// The states on which something may rest.
const OPEN: [&str; 2] = ["pending", "approved"];

fn number(id: RequestId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn read(row: &Model, votes: Vec<Vote>) -> Result<Request, StoreError> {
    let mut request: Request = serde_json::from_str(&row.document)
        .map_err(|error| StoreError::unread(format!("request {}", row.id), error))?;
    request.votes = votes;
    request.used = u32::try_from(row.used).unwrap_or(u32::MAX);
    Ok(request)
}

fn read_vote(row: &vote::Model) -> Result<Vote, StoreError> {
    serde_json::from_str(&row.document)
        .map_err(|error| StoreError::unread(format!("a vote on request {}", row.request_id), error))
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
                let rows = request.targets.iter().map(|name| target::ActiveModel {
                    request_id: Set(number(request.id)),
                    target: Set(name.to_string()),
                });
                target::Entity::insert_many(rows).exec_without_returning(change).await.doing(DOING)?;
                add_votes(change, &request).await
            })
        })
    }

    /// Counts a session that begins on a request, if it is not for fewer.
    pub(super) fn session_counted(id: RequestId, most: Option<u32>) -> Step {
        Step::new(move |change| {
            Box::pin(async move {
                let one = sea_orm::sea_query::ExprTrait::add(Expr::col(Column::Used), 1);
                let mut counted =
                    Entity::update_many().col_expr(Column::Used, one).filter(Column::Id.eq(number(id)));
                if let Some(most) = most {
                    counted = counted.filter(Column::Used.lt(i64::from(most)));
                }
                let counted = counted.exec(change).await.doing(DOING)?.rows_affected;
                if counted == 1 || most.is_none() { Ok(()) } else { Err(StoreError::Spent(id)) }
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
                for left_out in &request.left_out {
                    let key = (number(request.id), left_out.target.to_string());
                    target::Entity::delete_by_id(key).exec(change).await.doing(DOING)?;
                }
                add_votes(change, &request).await
            })
        })
    }

    /// One request.
    ///
    /// # Errors
    /// When the database fails or the request is damaged. Whoever rests on one that only a newer gate
    /// can read is told where it is over: its state stands beside its document.
    pub async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        let row = Entity::find_by_id(number(id)).one(&self.readers).await.doing("read requests")?;
        let Some(row) = row else { return Ok(None) };
        let is_over = !OPEN.contains(&row.state.as_str());
        match self.with_votes(vec![row]).await {
            Err(StoreError::Unread { why, .. }) if is_over => Err(StoreError::Over { request: id, why }),
            read => Ok(read?.pop()),
        }
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
        if let Some(concern) = &filter.concerning {
            query = query.filter(concern.condition());
        }
        if let Some(name) = &filter.target {
            let of_it = target::Entity::find().select_only().column(target::Column::RequestId);
            let of_it = of_it.filter(target::Column::Target.eq(name.to_string()));
            let of_it = QueryTrait::into_query(of_it);
            query = query.filter(Column::Id.in_subquery(of_it));
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
        if let Some(before) = filter.before {
            query = query.filter(Column::Created.lt(before.as_millisecond()));
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
        target: Set(request.targets.first().map(ToString::to_string).unwrap_or_default()),
        group_name: Set(request.group.to_string()),
        state: Set(request.state.word().to_owned()),
        created: Set(request.created.as_millisecond()),
        document: Set(serde_json::to_string(&alone).map_err(|why| damaged(request, why))?),
        review: Set(request.is_emergency().then(|| {
            let word = if request.wants_review() { DUE } else { DONE };
            word.to_owned()
        })),
        revision: Set(0),
        used: Set(0),
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
mod tests;
