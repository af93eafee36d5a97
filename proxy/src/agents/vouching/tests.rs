//! Whose a host key is.

use russh::keys::{Algorithm, PrivateKey};

use super::*;
use crate::access::By;
use crate::agents::registry::LinkStatus;
use crate::store::testing::Temporary;
use tidegate_common::model::{Kind, ResourceName};
use tidegate_common::wire::Sight;

fn key() -> String {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    key.public_key().to_openssh().unwrap()
}

fn name(name: &str) -> DeviceName {
    name.parse().unwrap()
}

/// A context that knows of db01 and db02, whose agents are enrolled, and of the devices in `more`.
async fn context(temporary: &Temporary, more: &str) -> ListenerContext {
    let context = ListenerContext::testing(temporary).await;
    let devices = format!("[[device]]\nname = \"db01\"\n[[device]]\nname = \"db02\"\n{more}");
    context.access.apply(&devices, &By::proxy(), false).await.unwrap();
    for device in ["db01", "db02"] {
        context.store.enrol(&name(device), device, Timestamp::now()).await;
    }
    context
}

impl ListenerContext {
    async fn hears(&self, device: &str, lines: &[&str]) -> Vouched {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        self.vouched(&name(device), &lines).await.unwrap()
    }

    async fn trusts(&self, device: &str) -> Result<Trust, String> {
        let device = Arc::clone(self.access.snapshot().device(&name(device)).unwrap());
        trust(&self.registry, &self.store, &device).await.map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn a_key_is_the_first_devices_that_showed_it_also_when_that_one_shows_another() {
    let temporary = Temporary::new().await;
    let context = context(&temporary, "").await;
    let (one, two, own) = (key(), key(), key());
    assert_eq!(context.hears("db02", &[&format!("{one} root@db02"), "nonsense"]).await.own, [one.as_str()]);
    let forged = context.hears("db01", &[&own, &one]).await;
    assert_eq!((forged.own, forged.foreign[0].owner.clone()), (vec![own.clone()], name("db02")));
    assert_eq!(context.trusts("db01").await.unwrap().host_keys, [own.as_str()]);
    // db02 has made itself another key: its first is nobody else's for that.
    assert_eq!(context.hears("db02", &[&two]).await.own, [two.as_str()]);
    assert_eq!(context.hears("db01", &[&one]).await.own, Vec::<String>::new());
    assert_eq!(context.trusts("db01").await.unwrap().host_keys, Vec::<String>::new());
    assert_eq!(context.hears("db02", &[&one]).await.own, [one.as_str()]);
    let told: Vec<String> = context.told().await.iter().map(ToString::to_string).collect();
    let refused = told.iter().filter(|told| told.contains("host keys of OTHER devices")).count();
    assert_eq!(refused, 2, "{told:#?}");
    assert!(told.iter().any(|told| told.contains("which is db02's")), "{told:#?}");
}

#[tokio::test]
async fn a_key_is_free_once_its_device_is_gone_or_its_agent_revoked() {
    let temporary = Temporary::new().await;
    let context = context(&temporary, "[[device]]\nname = \"db03\"\n").await;
    let (one, two) = (key(), key());
    context.store.enrol(&name("db03"), "db03", Timestamp::now()).await;
    context.hears("db02", &[&one]).await;
    context.hears("db03", &[&two]).await;
    assert_eq!(context.hears("db01", &[&one, &two]).await.foreign.len(), 2);
    assert!(context.store.takes(Store::agent_revoked(&name("db02"))).await);
    assert_eq!(context.hears("db01", &[&one, &two]).await.own, [one.as_str()]);
    let db03 = ResourceName { kind: Kind::Device, name: "db03".to_owned() };
    context.access.delete(&[db03], &By::proxy()).await.unwrap();
    assert_eq!(context.hears("db01", &[&one, &two]).await.own, [one, two]);
}

#[tokio::test]
async fn a_key_that_is_pinned_elsewhere_is_not_an_agents() {
    let temporary = Temporary::new().await;
    let pinned = key();
    let more = format!("[[device]]\nname = \"router\"\nagent = false\nhost_keys = [\"{pinned}\"]\n");
    let context = context(&temporary, &more).await;
    let vouched = context.hears("db01", &[&pinned]).await;
    assert_eq!((vouched.own.len(), vouched.foreign[0].owner.clone()), (0, name("router")));
    assert_eq!(context.trusts("router").await.unwrap(), Trust { host_keys: vec![pinned], bound: false });
}

#[tokio::test]
async fn a_pinned_key_and_what_the_agent_vouches_for_must_be_the_same() {
    let temporary = Temporary::new().await;
    let (one, two) = (key(), key());
    let more = format!("[[device]]\nname = \"db03\"\nhost_keys = [\"{one} pinned\"]\n");
    let context = context(&temporary, &more).await;
    context.store.enrol(&name("db03"), "db03", Timestamp::now()).await;
    assert_eq!(context.trusts("db03").await.unwrap().host_keys, [one.as_str()], "nobody else said anything");
    context.hears("db03", &[&two]).await;
    let refused = context.trusts("db03").await.unwrap_err();
    assert!(refused.contains("none of the host keys that are pinned there"), "{refused}");
    context.hears("db03", &[&two, &one]).await;
    assert_eq!(context.trusts("db03").await.unwrap().host_keys, [one.as_str()]);
}

#[tokio::test]
async fn a_device_whose_agent_vouches_for_anothers_key_alone_is_refused_with_whose_it_is() {
    let temporary = Temporary::new().await;
    let context = context(&temporary, "").await;
    let one = key();
    context.hears("db02", &[&one]).await;
    let vouched = context.hears("db01", &[&one]).await;
    let status = LinkStatus {
        protocol: tidegate_common::wire::VERSION,
        version: "1".into(),
        kinds: Vec::new(),
        vouched,
        bound: true,
        explains: false,
        remarks: false,
        witness: Sight::default(),
        since: std::time::Instant::now(),
    };
    let (sender, _orders) = tokio::sync::mpsc::channel(1);
    let _link = context.registry.connected(&name("db01"), status, &[], sender);
    let refused = context.trusts("db01").await.unwrap_err();
    assert!(refused.contains("which is db02's") && refused.contains("nothing was sent"), "{refused}");
    assert_eq!(context.trusts("db02").await.unwrap().host_keys, [one]);
}
