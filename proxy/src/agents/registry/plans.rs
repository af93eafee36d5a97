//! What privileges would change on a host, asked of its agent for an approver.

use std::collections::HashMap;
use std::time::Duration;

use tidegate_common::grant::{Privilege, PrivilegeKind};
use tidegate_common::name::{AccountName, DeviceName};
use tidegate_common::wire::FromProxy;
use tokio::sync::oneshot;

use super::Registry;

/// How long an approver waits for what an agent says of a plan.
const PLAN_DEADLINE: Duration = Duration::from_secs(2);
/// Questions that wait for an answer at the same time.
const MOST_QUESTIONS: usize = 256;
/// What of a plan is shown.
const MOST_LINES: usize = 64;
const LONGEST_LINE: usize = 500;

/// The questions that wait for an answer, each with whom it was put to.
#[derive(Default)]
pub(super) struct Questions {
    waiting: HashMap<u64, (DeviceName, oneshot::Sender<Vec<String>>)>,
    last: u64,
}

impl Registry {
    /// What privileges would change on a device, as its agent says: untrusted text,
    /// bounded. `None` when the agent is away, too old, or slow.
    pub async fn plan(
        &self,
        device: &DeviceName,
        account: AccountName,
        privileges: Vec<Privilege>,
    ) -> Option<Vec<String>> {
        let (reply, answer) = oneshot::channel();
        let question = {
            let mut state = self.state();
            state.plans.waiting.retain(|_, (_, reply)| !reply.is_closed());
            let link = state.links.get(device)?;
            if !link.status.kinds.contains(&PrivilegeKind::Custom)
                || state.plans.waiting.len() >= MOST_QUESTIONS
            {
                return None;
            }
            let sender = link.sender.clone();
            state.plans.last += 1;
            let question = state.plans.last;
            sender.try_send(FromProxy::Plan { question, account, privileges }).ok()?;
            state.plans.waiting.insert(question, (device.clone(), reply));
            question
        };
        let answer = tokio::time::timeout(PLAN_DEADLINE, answer).await;
        self.state().plans.waiting.remove(&question);
        answer.ok()?.ok()
    }

    /// The agent answered a question about a plan.
    pub(in crate::agents) fn planned(&self, question: u64, device: &DeviceName, mut lines: Vec<String>) {
        let mut state = self.state();
        if state.plans.waiting.get(&question).is_none_or(|(of, _)| of != device) {
            return;
        }
        if let Some((_, reply)) = state.plans.waiting.remove(&question) {
            lines.truncate(MOST_LINES);
            let bounded = |line: String| line.chars().take(LONGEST_LINE).collect();
            let _ = reply.send(lines.into_iter().map(bounded).collect());
        }
    }
}
