//! What the settings choose is what both legs offer.

use tidegate_tests::client::run_of;
use tidegate_tests::device::{ACCOUNT, Device};
use tidegate_tests::host::Host;
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::support::base;

#[test]
fn clients_and_devices_are_offered_what_the_settings_choose_and_nothing_else() {
    needs_devices!();
    let device = Device::boot(&base(), "choosy").unwrap();
    let more = "[ssh]\nciphers = [\"aes192-ctr\"]\nhost_key_algorithms = [\"ssh-ed25519\"]\n";
    let world = World::start(Options { more: more.to_owned(), ..Options::default() }).unwrap();
    let key = world.client().public_key("chooser").unwrap();
    world
        .apply(&format!(
            "[[user]]\nname = \"chooser\"\nkeys = [\"{key}\"]\n\n\
             [[device]]\nname = \"choosy\"\naddress = \"{}\"\n\n\
             [[credential]]\nname = \"{ACCOUNT}@choosy\"\n\n\
             [[access_group]]\nname = \"choosers\"\nusers = [\"chooser\"]\nsession = {{}}\n\
             criteria = {{ devices = [\"choosy\"] }}\n",
            device.address()
        ))
        .unwrap();
    world.enrol(&device).unwrap();
    let login = format!("chooser[{ACCOUNT}@choosy]");
    let ssh = |options: &[&str]| {
        let words = [&["-o", "BatchMode=yes", "-l", &login][..], options, &["gate", "echo in"]].concat();
        run_of(&world.client().words("ssh", "chooser", &words).unwrap()).run().unwrap()
    };
    assert_eq!(ssh(&["-c", "aes192-ctr"]).out(), "in\n");
    let other = ssh(&["-c", "aes256-gcm@openssh.com"]);
    assert!(other.err().trim_end().ends_with("Their offer: aes192-ctr"), "{}", other.all());
    let other = ssh(&["-o", "HostKeyAlgorithms=rsa-sha2-512"]);
    assert!(other.err().trim_end().ends_with("Their offer: ssh-ed25519"), "{}", other.all());

    // A device that takes another cipher only, and its twin.
    let config = device.path("/etc/ssh/sshd_config.d/ciphers.conf");
    std::fs::write(&config, "Ciphers aes256-ctr\n").unwrap();
    device.ok(&["systemctl", "restart", "ssh"]).unwrap();
    let differs = ssh(&[]);
    assert!(!differs.success() && differs.err().contains("choosy"), "{}", differs.all());
    std::fs::write(&config, "Ciphers aes192-ctr\n").unwrap();
    device.ok(&["systemctl", "restart", "ssh"]).unwrap();
    assert_eq!(ssh(&[]).out(), "in\n");
}
