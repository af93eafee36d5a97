//! Records of the audit log, in order. What is in a record, and the chain, are
//! the audit log's own; here they are kept, and never changed or removed.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder as _, QuerySelect as _, TransactionTrait as _};

use super::{Doing as _, Step, Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub at_millis: i64,
    #[sea_orm(column_type = "Text")]
    pub body: String,
    pub link: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// One record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place, from 1.
    pub seq: i64,
    /// When, in Unix milliseconds.
    pub at_millis: i64,
    /// Its JSON.
    pub body: String,
    /// Its link of the chain.
    pub link: Vec<u8>,
}

impl From<Model> for AuditRow {
    fn from(row: Model) -> Self {
        let Model { seq, at_millis, body, link } = row;
        Self { seq, at_millis, body, link }
    }
}

impl From<AuditRow> for ActiveModel {
    fn from(row: AuditRow) -> Self {
        let AuditRow { seq, at_millis, body, link } = row;
        Self { seq: Set(seq), at_millis: Set(at_millis), body: Set(body), link: Set(link) }
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
        let batch = self.writer.begin().await.doing(DOING)?;
        if let Some(step) = step {
            step.write(&batch).await?;
        }
        for record in records {
            Entity::insert(ActiveModel::from(record)).exec_without_returning(&batch).await.doing(DOING)?;
        }
        batch.commit().await.doing(DOING)
    }

    /// The newest record.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_last(&self) -> Result<Option<AuditRow>, StoreError> {
        let newest = Entity::find().order_by_desc(Column::Seq).one(&self.readers).await;
        Ok(newest.doing("read the audit log")?.map(AuditRow::from))
    }

    /// At most `limit` records from number `seq` on, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_from(&self, seq: i64, limit: u64) -> Result<Vec<AuditRow>, StoreError> {
        let some = Entity::find().filter(Column::Seq.gte(seq)).order_by_asc(Column::Seq).limit(limit);
        let some = some.all(&self.readers).await.doing("read the audit log")?;
        Ok(some.into_iter().map(AuditRow::from).collect())
    }
}

impl Store {
    /// At most `limit` records after number `seq` that are not older than `since` and
    /// hold `text`, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_with(
        &self,
        seq: i64,
        since: jiff::Timestamp,
        text: &str,
        limit: u64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let some = Entity::find()
            .filter(Column::Seq.gt(seq))
            .filter(Column::AtMillis.gte(since.as_millisecond()))
            .filter(Column::Body.contains(text))
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

    fn row(seq: i64) -> AuditRow {
        AuditRow { seq, at_millis: seq * 1000, body: format!("{{\"n\":{seq}}}"), link: vec![7; 32] }
    }

    async fn records_read_back_in_order_and_a_number_is_given_once() {
        let temporary = Temporary::new().await;
        let store = &temporary.store;
        assert_eq!(store.audit_last().await.unwrap(), None);
        store.audit_append_all(vec![row(1)], None).await.unwrap();
        store.audit_append_all(vec![row(2), row(3)], None).await.unwrap();
        assert_eq!(store.audit_last().await.unwrap(), Some(row(3)));
        assert_eq!(store.audit_from(2, 10).await.unwrap(), [row(2), row(3)]);
        assert_eq!(store.audit_from(1, 1).await.unwrap(), [row(1)]);
        assert!(store.audit_append_all(vec![row(4), row(3)], None).await.is_err());
        assert_eq!(store.audit_last().await.unwrap(), Some(row(3)), "all or none");
    }

    on_both! {
        records_read_back_in_order_and_a_number_is_given_once,
    }
}
