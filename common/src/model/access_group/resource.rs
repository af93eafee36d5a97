//! An access group as a kind of resource: read, shown.

use super::{
    AccessGroup, Approval, Approver, ApproverKind, AtOnce, Conditions, Criteria, Level, RequestTerms,
    ReviewTerms, Terms, check, review,
};
use crate::model::check::Checker;
use crate::model::read::Fields;
use crate::model::resources::{ResourceType, cell, joined};
use crate::name::AccessGroupName;
use crate::time::{Limitation, Schedule};

impl ResourceType for AccessGroup {
    type Name = AccessGroupName;

    const HEADING: &'static [&'static str] =
        &["NAME", "USERS", "APPROVERS", "SESSION", "PASSWORD", "DESCRIPTION"];

    fn name(&self) -> &Self::Name {
        &self.name
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let description = fields.optional("description");
        let users = fields.list("users");
        let approvers = fields.list_of("approvers", |fields, value| {
            let text = |text: &str| {
                let user = text.parse().map_err(|error: crate::name::NameError| error.to_string())?;
                Ok(Approver { who: ApproverKind::User(user), level: Level::default() })
            };
            fields.text_or_table("approvers", "approver", value, text, |fields| {
                let manager = fields.flag("manager", false);
                let user = if manager { fields.optional("user") } else { fields.required("user") };
                let level = fields.number("level", 1, 1, 3);
                let level = u8::try_from(level).ok().and_then(|level| Level::try_from(level).ok());
                let who = match (manager, user) {
                    (true, None) => ApproverKind::Manager,
                    (false, Some(user)) => ApproverKind::User(user),
                    (false, None) => return None,
                    (true, Some(_)) => {
                        let why = "an approver is either a user or the requester's manager";
                        return fields.made("user", Err(why));
                    }
                };
                Some(Approver { who, level: level? })
            })
        });
        let copy = fields.list("copy");
        let criteria = fields.table("criteria", "[access_group.criteria]", |fields| Criteria {
            devices: fields.list("devices"),
            products: fields.list("products"),
            accounts: fields.list("accounts"),
            device_tags: fields.list("device_tags"),
            credential_tags: fields.list("credential_tags"),
            sites: fields.list("sites"),
            device_types: fields.list("device_types"),
            credential_types: fields.list("credential_types"),
        });
        let session = fields.table("session", "[access_group.session]", |fields| {
            let (change, silent_watch) = (fields.flag("change", false), fields.flag("silent_watch", false));
            Terms { change, silent_watch, ..terms(fields) }
        });
        let password = fields.table("password", "[access_group.password]", terms);
        let request = fields.table("request", "[access_group.request]", |fields| RequestTerms {
            governance: fields.flag("governance", false),
            reason: fields.flag("reason", false),
        });
        let review = fields.table("review", "[access_group.review]", |fields| {
            let (owners, grace) = (fields.list("owners"), fields.optional("grace"));
            let (every, from) = (fields.required("every"), fields.required("from"));
            Some(ReviewTerms {
                owners,
                every: every?,
                grace: grace.unwrap_or(review::two_weeks()),
                from: from?,
            })
        });
        let limitation = fields.table("limitation", "[access_group.limitation]", |fields| Limitation {
            zone: fields.optional("zone").unwrap_or_default(),
            from: fields.optional("from"),
            until: fields.optional("until"),
            weekdays: fields.list("weekdays"),
            slots: fields.list("slots"),
        });
        let conditions = fields.table("conditions", "[access_group.conditions]", read_conditions);
        Some(Self {
            name: name?,
            description,
            users,
            approvers,
            copy,
            criteria: criteria.unwrap_or_default(),
            session,
            password,
            request: request.unwrap_or_default(),
            review: review.flatten(),
            limitation: limitation.unwrap_or_default(),
            conditions: conditions.unwrap_or_default(),
        })
    }

    fn check(checker: &mut Checker<'_>) {
        check::groups(checker);
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            joined(&self.users),
            joined(&self.approvers.iter().map(|approver| &approver.who).collect::<Vec<_>>()),
            self.asks(self.session.as_ref()),
            self.asks(self.password.as_ref()),
            cell(self.description.as_ref()),
        ]
    }
}

impl AccessGroup {
    /// What an action under these terms asks for, in a few words.
    #[must_use]
    pub fn asks(&self, terms: Option<&Terms>) -> String {
        let Some(terms) = terms else { return "not allowed".to_owned() };
        let approvals = |approval: &Approval| {
            let levels = if approval.levels { " in each level" } else { "" };
            match approval.needed {
                1 => format!("1 approval{levels}"),
                needed => format!("{needed} approvals{levels}"),
            }
        };
        let parts = [
            terms.approval.as_ref().map(approvals),
            terms.change.then(|| "an approved change".to_owned()),
            terms.justification.then(|| "a justification".to_owned()),
            self.request.reason.then(|| "a reason".to_owned()),
            self.request.governance.then(|| "a governance code".to_owned()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }
}

pub(in crate::model) fn read_conditions(fields: &mut Fields<'_, '_>) -> Conditions {
    Conditions {
        forwards: fields.list("forwards"),
        longest: fields.optional("longest"),
        sessions_at_once: fields
            .table("sessions_at_once", "`sessions_at_once`", |fields| {
                let mut bound = |key| Some(fields.number(key, 0, 1, 9_999)).filter(|most| *most > 0);
                AtOnce { per_user: bound("per_user"), per_credential: bound("per_credential") }
            })
            .unwrap_or_default(),
        exec_output_limit: fields.optional("exec_output_limit").unwrap_or_default(),
        record_input: fields.flag("record_input", false),
    }
}

fn terms(fields: &mut Fields<'_, '_>) -> Terms {
    let justification = fields.flag("justification", false);
    let approval = fields.table("approval", "`approval`", |fields| {
        let number =
            |fields: &mut Fields<'_, '_>, key| u8::try_from(fields.number(key, 1, 1, 99)).unwrap_or(1);
        Approval {
            needed: number(fields, "needed"),
            rejections: number(fields, "rejections"),
            levels: fields.flag("levels", false),
            when: fields
                .table("when", "`approval.when`", |fields| Schedule {
                    weekdays: fields.list("weekdays"),
                    slots: fields.list("slots"),
                })
                .unwrap_or_default(),
        }
    });
    let emergency = fields.flag("emergency", false);
    let emergency_window = fields.optional("emergency_window");
    Terms { justification, change: false, approval, emergency, emergency_window, silent_watch: false }
}
