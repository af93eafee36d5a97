//! Other programs at the account files: one that keeps a lock file, and one that writes back what
//! it had read before.

use std::fs;

use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, Stand, leave, text};

const LOCK: &str = "/etc/group.lock";

#[test]
fn a_lock_file_of_somebody_else_is_named_and_left_alone_and_no_undo_waits_for_it() {
    needs_devices!();
    let stand = Stand::new("locked", 30);
    let device = &stand.device;
    let scene = Scene::set(&stand.world, device, "locksmith", "{}");
    let path = device.path(LOCK);
    fs::write(device.path("/run/editor"), "printf %s $$ >/etc/group.lock; exec sleep 600\n").unwrap();
    device.ok(&["systemd-run", "--quiet", "--unit=editor", "sh", "/run/editor"]).unwrap();
    wait::until_true("the lock file is there", PATIENCE, || path.exists()).unwrap();
    let of_editor = fs::read_to_string(&path).unwrap();
    let refused = |said: &str| {
        let mut pty = scene.knock();
        pty.expect(said).unwrap();
        pty.end(PATIENCE).unwrap();
    };
    refused("/etc/group.lock of process");
    assert_eq!(fs::read_to_string(&path).unwrap(), of_editor);
    // Whoever made it is gone, so it is what a crash left.
    device.ok(&["systemctl", "stop", "editor"]).unwrap();
    scene.works_within(PATIENCE);
    assert!(!path.exists());

    fs::write(&path, "").unwrap();
    refused("/etc/group.lock of no process that lives");
    fs::remove_file(&path).unwrap();
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    fs::write(&path, "").unwrap();
    leave(&mut pty);
    let groups = || device.ok(&["id", "-nG", "locksmith"]).unwrap().out();
    wait::until_true("the membership is gone", PATIENCE, || !groups().contains("adm")).unwrap();
    assert!(path.exists(), "somebody else's lock file was removed");
    fs::remove_file(&path).unwrap();
    scene.is_as_before_within(PATIENCE);
}

/// As gpasswd(1) does: it has read the file before it has the lock, and writes what it read.
const STALE: &str = r#"
use Fcntl;
sub lock { fcntl($lock, F_SETLKW, pack("s s x4 q q l x4", $_[0], 0, 0, 0, 0)) or die $! }
sub text { local $/; open my $file, "<", "/etc/group" or die $!; <$file> }
sub write_to { open my $file, ">", $_[0] or die $!; print $file $_[1]; close $file }
open $lock, ">>", "/etc/.pwd.lock" or die $!;
$read = text();
write_to("/run/read", "");
while (1) {
    lock(F_WRLCK);
    last if text() !~ /^adm:.*returner/m;
    lock(F_UNLCK);
    select undef, undef, undef, 0.002;
}
write_to("/etc/group", $read);
write_to("/run/wrote", "");
"#;

#[test]
fn a_membership_that_another_program_writes_back_after_the_end_is_taken_away_again_and_told() {
    needs_devices!();
    let stand = Stand::new("returner", 30);
    let device = &stand.device;
    let scene = Scene::set(&stand.world, device, "returner", "{}");
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    fs::write(device.path("/run/stale"), STALE).unwrap();
    device.ok(&["systemd-run", "--quiet", "--unit=stale", "perl", "/run/stale"]).unwrap();
    wait::until_true("it has read", PATIENCE, || device.path("/run/read").exists()).unwrap();
    leave(&mut pty);
    wait::until_true("it has written", PATIENCE, || device.path("/run/wrote").exists()).unwrap();
    scene.is_as_before_within(PATIENCE);
    let id = text(scene.sessions().last().unwrap(), "id");
    let found = scene.left_behind(&id);
    let told = found.iter().any(|one| {
        text(one, "kind") == "group"
            && text(one, "what") == "adm"
            && text(one, "detail")
                .contains("another program put returner back after the end; taken away again")
    });
    assert!(told, "{found:#?}\n{}", device.journal("tidegate-agent"));
}
