//! A gate and agents of other versions: neighbours work together, strangers are told why not.

use tidegate_common::wire::{FromAgent, FromProxy, Hello, VERSION};
use tidegate_tests::agent;
use tidegate_tests::world::{Options, World};
use tokio::runtime::Builder;

use crate::needs_devices;

fn goodbye(said: FromProxy) -> String {
    match said {
        FromProxy::Goodbye { why } => why,
        other => panic!("no goodbye: {other:?}"),
    }
}

#[test]
fn an_agent_of_a_neighbouring_version_is_linked_and_a_stranger_is_told_which_side_is_older() {
    needs_devices!();
    let world = World::start(Options::default()).unwrap();
    world.apply("[[device]]\nname = \"newer\"\naddress = \"192.0.2.1\"\n").unwrap();
    let (ca, proxy) = (agent::ca(&world).unwrap(), world.agents().unwrap());
    let token = world.token("newer").unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let identity = agent::enrol(proxy, &ca, &token).await.unwrap();
        let hello = |oldest, newest| Hello { protocol: newest, oldest: Some(oldest), ..Hello::new("9.0.0") };
        // It speaks ours as well, and says more than we know.
        let (mut link, answer) =
            agent::greet(proxy, &ca, &identity, hello(VERSION, VERSION + 1)).await.unwrap();
        let FromProxy::Welcome(welcome) = answer else { panic!("{answer:?}") };
        assert_eq!(welcome.protocol, VERSION);
        // Its leases name the gate, whose own they are.
        let FromProxy::Lease { gate: Some(_), .. } = link.hear().await.unwrap() else { panic!("no lease") };
        let mut alive = serde_json::to_value(FromAgent::Alive).unwrap();
        alive["mood"] = "good".into();
        link.say(&alive).await.unwrap();
        // A message that we do not know can't be passed over, and is answered.
        link.say(&serde_json::json!({ "type": "weather", "rain": true })).await.unwrap();
        let why = loop {
            match link.hear().await.unwrap() {
                FromProxy::Lease { .. } => {}
                other => break goodbye(other),
            }
        };
        assert!(why.contains("a frame is not a message of this version") && why.contains("weather"), "{why}");

        let (_, answer) = agent::greet(proxy, &ca, &identity, hello(VERSION + 1, VERSION + 2)).await.unwrap();
        let why = goodbye(answer);
        let (first, last) = (VERSION + 1, VERSION + 2);
        let versions = format!("the agent speaks versions {first} to {last} of the protocol");
        assert!(why.starts_with(&versions) && why.ends_with("update the older"), "{why}");
    });
}
