//! Records of the audit log, in order. What is in a record, and the chain, are
//! the audit log's own; here they are kept, and never changed or removed.

use std::time::Duration;

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, Condition, QueryOrder as _, QuerySelect as _};

use tidegate_common::id::SessionId;

use super::{Doing as _, GateId, MOST_NAMED, Step, Store, StoreError, within};

/// How long a step on a server may take; whoever asked for it waits as long.
const LONGEST_STEP: Duration = Duration::from_secs(45);

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub gate: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub at_millis: i64,
    #[sea_orm(column_type = "Text")]
    pub body: String,
    pub link: Vec<u8>,
    /// The session that it names.
    pub session: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// One record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Whose chain it is in.
    pub gate: GateId,
    /// Its place there, from 1.
    pub seq: i64,
    /// When, in Unix milliseconds.
    pub at_millis: i64,
    /// Its JSON.
    pub body: String,
    /// Its link of the chain.
    pub link: Vec<u8>,
    /// The session that it names.
    pub session: Option<String>,
}

impl From<Model> for AuditRow {
    fn from(row: Model) -> Self {
        let Model { gate, seq, at_millis, body, link, session } = row;
        Self { gate: GateId(gate), seq, at_millis, body, link, session }
    }
}

impl From<AuditRow> for ActiveModel {
    fn from(row: AuditRow) -> Self {
        let AuditRow { gate, seq, at_millis, body, link, session } = row;
        let (gate, seq, at_millis) = (Set(gate.0), Set(seq), Set(at_millis));
        Self { gate, seq, at_millis, body: Set(body), link: Set(link), session: Set(session) }
    }
}

impl Store {
    /// Appends several records at once, with the step that they tell of, all or none; on
    /// the disk when this returns.
    ///
    /// # Errors
    /// When a record of that number is there already, the step can't be taken, or the
    /// database fails.
    pub async fn audit_append_all(
        &self,
        records: Vec<AuditRow>,
        step: Option<Step>,
    ) -> Result<(), StoreError> {
        const DOING: &str = "appended to the audit log";
        let insert = |some: &[AuditRow]| Entity::insert_many(some.iter().cloned().map(ActiveModel::from));
        let work = async {
            if step.is_none() && records.len() <= MOST_NAMED {
                // One statement is all or none by itself, and one way to the database and back.
                insert(&records).exec_without_returning(&self.writer).await.doing(DOING)?;
                return Ok(());
            }
            let change = self.writer.begin().await.doing(DOING)?;
            if let Some(step) = step {
                step.write(&change).await?;
            }
            for some in records.chunks(MOST_NAMED) {
                insert(some).exec_without_returning(&change).await.doing(DOING)?;
            }
            change.commit().await.doing(DOING)
        };
        if self.is_shared() {
            within(LONGEST_STEP, DOING, work).await?
        } else {
            work.await?
        }
        #[cfg(test)]
        super::testing::answered(DOING)?;
        Ok(())
    }

    /// The newest record of a gate.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_last(&self, gate: GateId) -> Result<Option<AuditRow>, StoreError> {
        let newest = Entity::find().filter(Column::Gate.eq(gate.0)).order_by_desc(Column::Seq);
        let newest = newest.one(&self.readers).await;
        #[cfg(test)]
        super::testing::answered("read the audit log")?;
        Ok(newest.doing("read the audit log")?.map(AuditRow::from))
    }

    /// Of each gate that has records, the number from which on they are among the last `count` of
    /// all, by time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_last_of_all(&self, count: u64) -> Result<Vec<(GateId, i64)>, StoreError> {
        const DOING: &str = "read the audit log";
        let ends: Vec<(i32, i64)> = Entity::find()
            .select_only()
            .column(Column::Gate)
            .column_as(Column::Seq.max(), "last")
            .group_by(Column::Gate)
            .into_tuple()
            .all(&self.readers)
            .await
            .doing(DOING)?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let mut starts: Vec<(GateId, i64)> = ends
            .iter()
            .map(|(gate, last)| (GateId(*gate), last.saturating_sub(count).saturating_add(1).max(1)))
            .collect();
        if starts.len() < 2 || count == 0 {
            return Ok(starts);
        }
        // The oldest of the last ones of all: what is older of any gate is left out.
        let newest = Entity::find().order_by_desc(Column::AtMillis).order_by_desc(Column::Seq);
        let oldest = newest.offset(u64::try_from(count - 1).unwrap_or_default()).one(&self.readers);
        let Some(oldest) = oldest.await.doing(DOING)? else { return Ok(starts) };
        for (gate, start) in &mut starts {
            let from = Entity::find()
                .filter(Column::Gate.eq(gate.0))
                .filter(Column::Seq.gte(*start))
                .filter(Column::AtMillis.gte(oldest.at_millis))
                .order_by_asc(Column::Seq)
                .one(&self.readers);
            let end = ends.iter().find(|(id, _)| *id == gate.0).map_or(0, |(_, last)| *last);
            *start = from.await.doing(DOING)?.map_or(end.saturating_add(1), |row| row.seq);
        }
        Ok(starts)
    }

    /// At most `limit` records of a gate from number `seq` on, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_from(&self, gate: GateId, seq: i64, limit: u64) -> Result<Vec<AuditRow>, StoreError> {
        let of_gate = Entity::find().filter(Column::Gate.eq(gate.0));
        let some = of_gate.filter(Column::Seq.gte(seq)).order_by_asc(Column::Seq).limit(limit);
        let some = some.all(&self.readers).await.doing("read the audit log")?;
        Ok(some.into_iter().map(AuditRow::from).collect())
    }
}

impl Store {
    /// At most `limit` records that name a session and stand after the place `after` (a gate and
    /// a number), by gate and number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_of_session(
        &self,
        session: SessionId,
        after: Option<(GateId, i64)>,
        limit: u64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let later = after.map(|(gate, seq)| {
            let same = Condition::all().add(Column::Gate.eq(gate.0)).add(Column::Seq.gt(seq));
            Condition::any().add(Column::Gate.gt(gate.0)).add(same)
        });
        let some = Entity::find()
            .filter(Column::Session.eq(session.to_string()))
            .filter(Condition::all().add_option(later))
            .order_by_asc(Column::Gate)
            .order_by_asc(Column::Seq)
            .limit(limit);
        let some = some.all(&self.readers).await.doing("read the audit log")?;
        Ok(some.into_iter().map(AuditRow::from).collect())
    }

    /// The first `limit` records that name a session and whose event is of this type, by gate and
    /// number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_of_type(
        &self,
        session: SessionId,
        kind: &str,
        limit: u64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        // As records are written: the type is an event's first field.
        let typed = format!("\"event\":{{\"type\":\"{kind}\"");
        let some = Entity::find()
            .filter(Column::Session.eq(session.to_string()))
            .filter(Column::Body.contains(typed))
            .order_by_asc(Column::Gate)
            .order_by_asc(Column::Seq)
            .limit(limit);
        let some = some.all(&self.readers).await.doing("read the audit log")?;
        Ok(some.into_iter().map(AuditRow::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Temporary, on_both};

    fn row(store: &Store, seq: i64) -> AuditRow {
        let (gate, session) = (store.own_gate(), (seq > 1).then(|| SessionId::new(1, 1).to_string()));
        let body = format!("{{\"n\":{seq}}}");
        AuditRow { gate, seq, at_millis: seq * 1000, body, link: vec![7; 32], session }
    }

    async fn records_read_back_in_order_and_a_number_is_given_once() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        let (own, row) = (store.own_gate(), |seq| row(store, seq));
        assert_eq!(store.audit_last(own).await.unwrap(), None);
        store.audit_append_all(vec![row(1)], None).await.unwrap();
        store.audit_append_all(vec![row(2), row(3)], None).await.unwrap();
        assert_eq!(store.audit_last(own).await.unwrap(), Some(row(3)));
        assert_eq!(store.audit_from(own, 2, 10).await.unwrap(), [row(2), row(3)]);
        assert_eq!(store.audit_from(own, 1, 1).await.unwrap(), [row(1)]);
        assert!(store.audit_append_all(vec![row(4), row(3)], None).await.is_err());
        assert_eq!(store.audit_last(own).await.unwrap(), Some(row(3)), "all or none");
        // More than a statement can name, as an import has.
        let step = || Some(Step::new(|_| Box::pin(async { Ok(()) })));
        assert!(store.audit_append_all((4..12_000).chain([1]).map(row).collect(), step()).await.is_err());
        assert_eq!(store.audit_last(own).await.unwrap(), Some(row(3)), "all or none");
        store.audit_append_all((4..12_000).map(row).collect(), step()).await.unwrap();
        assert_eq!(store.audit_last(own).await.unwrap(), Some(row(11_999)));
        let session = SessionId::new(1, 1);
        assert_eq!(store.audit_of_session(session, None, 2).await.unwrap(), [row(2), row(3)]);
        assert_eq!(store.audit_of_session(session, Some((own, 2)), 1).await.unwrap(), [row(3)]);
        assert_eq!(store.audit_of_session(SessionId::new(2, 2), None, 10).await.unwrap(), []);
    }

    on_both! {
        records_read_back_in_order_and_a_number_is_given_once,
    }
}
