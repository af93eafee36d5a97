//! A device whose disk does what disks do: it loses at a power cut what was not synced, it
//! is full, it fails. Not only the agent's state is on it, but the whole root.

use std::fs;
use std::time::Duration;

use tidegate_tests::device::{Device, disk};
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;
use tidegate_tests::world::Options;

use crate::scene::{Scene, Stand, leave};
use crate::support::base;

const LEASE: u64 = 5;

/// The lease, and what a machine under load takes to look.
const WITHIN: Duration = Duration::from_secs(LEASE + 15);

/// None, with the reason printed, where a device can have no disk.
fn on_a_disk(name: &str) -> Option<Stand> {
    if let Err(why) = disk::possible() {
        eprintln!("SKIPPED {name}: {why}");
        return None;
    }
    let device = Device::make_on_disk(&base(), name).unwrap();
    device.power_on().unwrap();
    Some(Stand::on(device, Options { lease: Duration::from_secs(LEASE), ..Options::default() }))
}

/// Nobody gets in, and the one who tries is told why in one sentence.
fn is_refused(scene: &Scene<'_>, target: &str, why: &str) {
    let refused = scene.world.client().ssh(&scene.operator, target, &["id"]).unwrap().run().unwrap();
    assert!(!refused.success(), "{}", refused.all());
    let said: Vec<String> = refused.err().lines().map(str::to_owned).collect();
    let told: Vec<&String> = said.iter().filter(|line| line.contains("tidegate")).collect();
    assert!(told.len() == 1 && told[0].contains(why) && told[0].contains("nothing was"), "{said:#?}");
}

fn sudo_is_refused(scene: &Scene<'_>) {
    let done = scene.device.run_as(&scene.account, &["sudo", "-n", "id"]).unwrap();
    assert!(!done.success(), "{}", done.all());
}

#[test]
fn what_was_not_synced_when_the_power_failed_was_not_needed() {
    let Some(stand) = on_a_disk("sponge") else { return };
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    device.sync().unwrap();
    let mut lost = false;
    // With the grant in force, with its end under way, and with it gone.
    for moment in ["inside", "leaving", "over"] {
        eprintln!("the power fails when {moment}");
        let mut pty = scene.knock();
        scene.at_the_prompt(&mut pty);
        if moment != "inside" {
            pty.send_line("exit").unwrap();
        }
        if moment == "over" {
            scene.is_as_before_within(WITHIN);
        }
        let unsynced = format!("/home/worker/{moment}");
        fs::write(device.path(&unsynced), moment).unwrap();
        device.cut_power_and_lose_unsynced().unwrap();
        lost |= fs::read_to_string(device.path(&unsynced)).unwrap_or_default().is_empty();
        device.power_on().unwrap();
        // sshd answers now: nobody could have logged in with the privilege.
        assert_eq!(scene.difference(), "");
        sudo_is_refused(&scene);
        pty.end(PATIENCE).unwrap();
        stand.world.await_agent(device).unwrap();
        assert_eq!(scene.difference(), "");
    }
    // The kernel may write on its own at one of these moments, not at each.
    assert!(lost, "this disk keeps what nobody synced");
}

#[test]
fn on_a_full_root_nobody_gets_in_and_what_was_granted_goes_as_ever() {
    let Some(stand) = on_a_disk("brimful") else { return };
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let guests = format!(
        "[[credential]]\nname = \"guest@brimful\"\nprivileges = [{{ kind = \"account-create\" }}]\n\
         [[access_group]]\nname = \"guests\"\nusers = [\"{}\"]\ncriteria = {{ accounts = [\"guest\"] }}\nsession = {{}}\n",
        scene.operator
    );
    stand.world.apply(&guests).unwrap();
    device.fill_disk().unwrap();
    is_refused(&scene, "guest@brimful", "No space left on device");
    leave(&mut pty);
    scene.is_as_before_within(WITHIN);
    sudo_is_refused(&scene);
    is_refused(&scene, &scene.target(), "No space left on device");
    device.make_room().unwrap();
    stand.world.await_agent(device).unwrap();
    scene.works_within(WITHIN);
}

#[test]
fn on_a_root_that_fails_nobody_gets_in_and_what_was_granted_goes_with_the_next_boot() {
    let Some(stand) = on_a_disk("rotten") else { return };
    let scene = Scene::set(&stand.world, &stand.device, "worker", "{}");
    let device = &stand.device;
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    device.sync().unwrap();
    device.fail_disk().unwrap();
    is_refused(&scene, &scene.target(), "Read-only file system");
    leave(&mut pty);
    wait::until_true("the rule is gone", WITHIN, || {
        !device.run_as(&scene.account, &["sudo", "-n", "id"]).unwrap().success()
    })
    .unwrap();
    // The membership can't be taken from a file that can't be written; it is told.
    let standing = || {
        let grants = stand.world.json(&["grant", "list"]).unwrap();
        grants.as_array().unwrap().iter().any(|grant| grant["state"] == "standing")
    };
    wait::until_true("what stands is told", PATIENCE, standing).unwrap();
    is_refused(&scene, &scene.target(), "still stands");
    device.cut_power_and_lose_unsynced().unwrap();
    device.power_on().unwrap();
    assert_eq!(scene.difference(), "");
    sudo_is_refused(&scene);
    stand.world.await_agent(device).unwrap();
    wait::until_true("nothing stands", PATIENCE, || !standing()).unwrap();
}
