//! What is asked of an agent, and answered in sentences: what privileges would change on its
//! host, for an approver; why its sshd let a session not in, and what it does otherwise than a
//! session asks, for the user.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use tidegate_common::grant::{Privilege, PrivilegeKind};
use tidegate_common::name::{AccountName, DeviceName};
use tidegate_common::wire::FromProxy;
use tokio::sync::oneshot;

use super::{LinkStatus, Registry};

/// How long an approver waits for what an agent says of a plan.
const PLAN_DEADLINE: Duration = Duration::from_secs(2);
/// How long a user who is not let in waits for the reason; the agent asks sshd, and its journal.
const CAUSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a session waits for what its user should know; the agent has most of it at hand.
const REMARKS_DEADLINE: Duration = Duration::from_secs(1);
/// Questions that wait for an answer at the same time.
const MOST_QUESTIONS: usize = 256;
/// What of an answer is shown.
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
        let knows = |status: &LinkStatus| status.kinds.contains(&PrivilegeKind::Custom);
        let plan = |question| FromProxy::Plan { question, account, privileges };
        self.ask(device, knows, plan, PLAN_DEADLINE).await
    }

    /// Why the device's sshd refused to let the gate in to an account, on a connection between
    /// these ends; as [`Self::plan`].
    pub async fn explain(
        &self,
        device: &DeviceName,
        account: AccountName,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<Vec<String>> {
        let explain = |question| FromProxy::Explain { question, account, from, to };
        self.ask(device, |status| status.explains, explain, CAUSE_DEADLINE).await
    }

    /// What the device's sshd does otherwise than a session asks, in a log-in to an account on a
    /// connection between these ends; as [`Self::plan`].
    pub async fn remarks(
        &self,
        device: &DeviceName,
        account: AccountName,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<Vec<String>> {
        let remarks = |question| FromProxy::Remarks { question, account, from, to };
        self.ask(device, |status| status.remarks, remarks, REMARKS_DEADLINE).await
    }

    async fn ask(
        &self,
        device: &DeviceName,
        knows: impl FnOnce(&LinkStatus) -> bool,
        question: impl FnOnce(u64) -> FromProxy,
        within: Duration,
    ) -> Option<Vec<String>> {
        let (reply, answer) = oneshot::channel();
        let number = {
            let mut state = self.state();
            state.questions.waiting.retain(|_, (_, reply)| !reply.is_closed());
            let link = state.links.get(device)?;
            if !knows(&link.status) || state.questions.waiting.len() >= MOST_QUESTIONS {
                return None;
            }
            let sender = link.sender.clone();
            state.questions.last += 1;
            let number = state.questions.last;
            sender.try_send(question(number)).ok()?;
            state.questions.waiting.insert(number, (device.clone(), reply));
            number
        };
        let answer = tokio::time::timeout(within, answer).await;
        self.state().questions.waiting.remove(&number);
        answer.ok()?.ok()
    }

    /// The agent answered a question.
    pub(in crate::agents) fn answered(&self, question: u64, device: &DeviceName, mut lines: Vec<String>) {
        let mut state = self.state();
        if state.questions.waiting.get(&question).is_none_or(|(of, _)| of != device) {
            return;
        }
        if let Some((_, reply)) = state.questions.waiting.remove(&question) {
            lines.truncate(MOST_LINES);
            let bounded = |line: String| line.chars().take(LONGEST_LINE).collect();
            let _ = reply.send(lines.into_iter().map(bounded).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_common::wire::Sight;
    use tokio::sync::mpsc;

    use super::*;
    use crate::agents::vouching::Vouched;

    fn linked(explains: bool) -> (Registry, DeviceName, mpsc::Receiver<FromProxy>) {
        let registry = Registry::new(Duration::from_secs(30), crate::store::testing::gate("gate1"));
        let device: DeviceName = "db01".parse().unwrap();
        let status = LinkStatus {
            protocol: tidegate_common::wire::VERSION,
            version: "1".to_owned(),
            kinds: Vec::new(),
            vouched: Vouched::default(),
            bound: true,
            explains,
            remarks: explains,
            witness: Sight::Sees,
            since: std::time::Instant::now(),
        };
        let (sender, orders) = mpsc::channel(8);
        registry.connected(&device, status, &[], sender);
        (registry, device, orders)
    }

    async fn why(registry: &Registry, device: &DeviceName) -> Option<Vec<String>> {
        let (from, to) = ("192.0.2.1:4000".parse().unwrap(), "192.0.2.2:22".parse().unwrap());
        registry.explain(device, "ops".parse().unwrap(), from, to).await
    }

    #[tokio::test]
    async fn an_agent_that_knows_the_question_is_asked_why_sshd_refused_and_its_device_alone_answers() {
        let (registry, device, mut orders) = linked(true);
        let answer = async {
            let Some(FromProxy::Explain { question, account, .. }) = orders.recv().await else { panic!() };
            assert_eq!(account.as_str(), "ops");
            let other = "db02".parse().unwrap();
            registry.answered(question, &other, vec!["a lie".to_owned()]);
            registry.answered(question, &device, vec!["it is locked".repeat(100)]);
        };
        let (told, ()) = tokio::join!(why(&registry, &device), answer);
        let told = told.unwrap();
        assert!(told.len() == 1 && told[0].starts_with("it is locked") && told[0].len() == 500, "{told:?}");
    }

    #[tokio::test]
    async fn an_agent_of_before_is_not_asked_what_would_end_its_link() {
        let (registry, device, mut orders) = linked(false);
        assert_eq!(why(&registry, &device).await, None);
        assert!(orders.try_recv().is_err());
    }
}
