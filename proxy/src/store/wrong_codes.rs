//! Wrong codes of links, counted over all gates: by user and by the source that they come from, each for
//! a while. A name that no user has is counted as every other, so that nobody learns which there are, and
//! only so many are counted at once. A right code is looked for first and never counted: or else whoever
//! fills what is counted would lock out those who have one.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ActiveValue::Set, Condition};
use tidegate_common::name::UserName;

use super::{Doing as _, Step, Store, StoreError, changed_if_there};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "wrong_code")]
pub struct Model {
    /// As whom it was typed, whether or not there is such a user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_name: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: String,
    pub wrong: i32,
    /// When the first was typed.
    pub since: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// How many wrong codes are counted.
#[derive(Debug, Clone, Copy)]
pub struct WrongCodes {
    /// Of one user from one source; who types more writes nothing.
    pub most: u32,
    /// For how long they count, from the first.
    pub within: SignedDuration,
    /// Users that are counted of one source: whoever makes up names has all that are counted at once.
    pub of_source: u64,
    /// Users and sources that are counted in all.
    pub in_all: u64,
}

const READ: &str = "read wrong codes";
const WROTE: &str = "counted a wrong code";

impl WrongCodes {
    fn most(&self) -> i32 {
        i32::try_from(self.most).unwrap_or(i32::MAX)
    }

    /// From when to when what is counted began: not too long ago, and not in a future that a clock
    /// which was wrong has written.
    fn began(&self, now: Timestamp) -> (i64, i64) {
        let from = now.checked_sub(self.within).unwrap_or(Timestamp::MIN);
        let until = now.checked_add(self.within).unwrap_or(Timestamp::MAX);
        (from.as_millisecond(), until.as_millisecond())
    }
}

impl Store {
    /// Counts one more wrong code of this user from there; which it is, from 1. One that is not counted
    /// is one more than are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wrong_code(
        &self,
        user: &UserName,
        source: IpAddr,
        bounds: &WrongCodes,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let (user, source) = (user.as_str(), source.to_string());
        // Whoever is not counted has nothing written.
        if !self.has_codes_left(user, &source, bounds, now).await? {
            return Ok(bounds.most.saturating_add(1));
        }
        match self.count_code(user, &source, bounds, now).await {
            // Another gate has counted the first at the same moment.
            Err(StoreError::Changed) => self.count_code(user, &source, bounds, now).await,
            counted => counted,
        }
    }

    async fn has_codes_left(
        &self,
        user: &str,
        source: &str,
        bounds: &WrongCodes,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (from, until) = bounds.began(now);
        let all = Entity::find().filter(Column::Since.gt(from)).filter(Column::Since.lte(until));
        let of_source = all.clone().filter(Column::Source.eq(source));
        let own = of_source.clone().filter(Column::UserName.eq(user));
        if let Some(row) = own.one(&self.readers).await.doing(READ)? {
            return Ok(row.wrong < bounds.most());
        }
        Ok(of_source.count(&self.readers).await.doing(READ)? < bounds.of_source
            && all.count(&self.readers).await.doing(READ)? < bounds.in_all)
    }

    async fn count_code(
        &self,
        user: &str,
        source: &str,
        bounds: &WrongCodes,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let (from, until) = bounds.began(now);
        let over = Condition::any().add(Column::Since.lte(from)).add(Column::Since.gt(until));
        let change = self.writer.begin().await.doing(WROTE)?;
        Entity::delete_many().filter(over).exec(&change).await.doing(WROTE)?;
        let counted = Entity::update_many()
            .col_expr(Column::Wrong, Expr::col(Column::Wrong).add(1))
            .filter(Column::UserName.eq(user))
            .filter(Column::Source.eq(source))
            .exec(&change)
            .await
            .doing(WROTE)?;
        if counted.rows_affected == 0 {
            let first = ActiveModel {
                user_name: Set(user.to_owned()),
                source: Set(source.to_owned()),
                wrong: Set(1),
                since: Set(now.as_millisecond()),
            };
            changed_if_there(Entity::insert(first).exec_without_returning(&change).await, WROTE)?;
        }
        let row = Entity::find_by_id((user.to_owned(), source.to_owned())).one(&change).await.doing(READ)?;
        change.commit().await.doing(WROTE)?;
        let counted = row.and_then(|row| u32::try_from(row.wrong).ok());
        Ok(counted.unwrap_or_else(|| bounds.most.saturating_add(1)))
    }

    /// Forgets the wrong codes of this user from there: one was right.
    #[must_use]
    pub fn code_was_right(user: &UserName, source: IpAddr) -> Step {
        let own = Entity::delete_many()
            .filter(Column::UserName.eq(user.as_str()))
            .filter(Column::Source.eq(source.to_string()));
        Step::new(move |change| Box::pin(async move { own.exec(change).await.doing(WROTE).map(drop) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, on_both};

    /// So many are listened to.
    const HEARD: u32 = 2;
    const BOUNDS: WrongCodes =
        WrongCodes { most: 4, within: SignedDuration::from_mins(10), of_source: 3, in_all: 5 };
    const ONE: &str = "192.0.2.7";
    const OTHER: &str = "192.0.2.8";

    impl Store {
        /// Whether one more is listened to, so many minutes after 2027 began.
        async fn listens(&self, name: &str, source: &str, minutes: i64) -> bool {
            let now = Timestamp::from_second(1_798_761_600 + minutes * 60).unwrap();
            let (user, source) = (name.parse().unwrap(), source.parse().unwrap());
            self.wrong_code(&user, source, &BOUNDS, now).await.unwrap() <= HEARD
        }
    }

    async fn which_wrong_code_it_is_is_known_up_to_so_many_and_then_nothing_is_written() {
        let temporary = Temporary::new().await;
        let (user, source) = ("olga".parse().unwrap(), ONE.parse().unwrap());
        let now = Timestamp::from_second(1_798_761_600).unwrap();
        for which in [1, 2, 3, 4, 5, 5] {
            let wrong = temporary.store.wrong_code(&user, source, &BOUNDS, now).await.unwrap();
            assert_eq!(wrong, which);
        }
        let row = Entity::find().one(&temporary.store.readers).await.unwrap().unwrap();
        assert_eq!(row.wrong, 4);
    }

    async fn wrong_codes_count_by_user_and_source_for_a_while_and_a_right_one_ends_that() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        assert!(store.listens("olga", ONE, 0).await && store.listens("olga", ONE, 1).await);
        assert!(!store.listens("olga", ONE, 2).await);
        assert!(store.listens("olga", OTHER, 2).await && store.listens("nobody", ONE, 2).await);
        assert!(!store.listens("olga", ONE, 9).await, "it is from the first that the time counts");
        assert!(store.listens("olga", ONE, 11).await && store.listens("olga", ONE, 12).await);
        assert!(!store.listens("olga", ONE, 12).await);
        let right = Store::code_was_right(&"olga".parse().unwrap(), ONE.parse().unwrap());
        assert!(store.takes(right).await);
        assert!(store.listens("olga", ONE, 12).await);
        // A clock that was set back does not hold anybody up for longer.
        assert!(store.listens("olga", ONE, -60).await && store.listens("olga", ONE, -60).await);
    }

    async fn who_makes_up_names_is_not_listened_to_and_fills_nothing() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        for name in ["a", "b", "c"] {
            assert!(store.listens(name, ONE, 0).await, "{name}");
        }
        assert!(!store.listens("d", ONE, 0).await, "it is the fourth name from there");
        assert!(store.listens("a", ONE, 0).await, "who is counted already has what is left");
        assert!(store.listens("d", OTHER, 0).await && store.listens("e", OTHER, 0).await);
        assert!(!store.listens("f", "192.0.2.9", 0).await, "that is all that is counted");
        assert_eq!(Entity::find().count(&store.readers).await.unwrap(), 5);
        assert!(store.listens("f", "192.0.2.9", 11).await);
        assert_eq!(Entity::find().count(&store.readers).await.unwrap(), 1, "what is over is forgotten");
    }

    async fn of_codes_that_are_typed_at_once_no_more_are_listened_to() {
        let temporary = Temporary::new().await;
        let all = (0..6).map(|_| temporary.store.listens("olga", ONE, 0));
        let heard = futures::future::join_all(all).await;
        assert_eq!(heard.iter().filter(|heard| **heard).count(), 2);
    }

    on_both! {
        which_wrong_code_it_is_is_known_up_to_so_many_and_then_nothing_is_written,
        wrong_codes_count_by_user_and_source_for_a_while_and_a_right_one_ends_that,
        who_makes_up_names_is_not_listened_to_and_fills_nothing,
        of_codes_that_are_typed_at_once_no_more_are_listened_to,
    }
}
