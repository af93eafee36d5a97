//! Programs that only call themselves scp or an SFTP server: what they say is recorded as a
//! command's output is.

use tidegate_tests::host::Host;
use tidegate_tests::run::Run;

use crate::needs_devices;
use crate::pier::Pier;
use crate::scene::text;

/// What the programs are asked to say.
const ASK: &str = "echo seen-$((6*7))\n";
const SAID: &str = "seen-42";

/// Puts a file on the person's device that its account owns and may run.
fn put(pier: &Pier, path: &str, content: &str) {
    let name = pier.name;
    let make = format!(
        "mkdir -p \"$(dirname {path})\" && printf '%s' '{content}' >{path} && chmod 755 {path} && chown {name}: {path}"
    );
    pier.street.device.ok(&["sh", "-c", &make]).unwrap();
}

/// What `session play` shows of the person's newest session, and its recording's lines.
fn recorded(pier: &Pier) -> (String, String) {
    let lines = pier.recording();
    let world = &pier.street.world;
    let sessions = world.json(&["session", "list", "--user", pier.name]).unwrap();
    let ids = sessions.as_array().unwrap().iter().map(|session| text(session, "id"));
    let play = ["session", "play", &ids.max().unwrap(), "--speed", "1000"];
    (world.admin(&play).unwrap().run().unwrap().out(), lines)
}

/// What a recording keeps of bytes that are no text.
fn raw(lines: &str) -> String {
    let kept = lines.lines().filter_map(|line| line.split_once(",\"k\",\"")?.1.strip_suffix("\"]"));
    let decoded = kept.map(|text| Run::new("base64").arg("-d").stdin(text).ok().unwrap().out());
    decoded.collect()
}

#[test]
fn a_shell_that_only_calls_itself_scp_is_recorded_as_the_command_that_it_is() {
    needs_devices!();
    let pier = Pier::new("dressed-scp", "");
    put(&pier, "/tmp/dressed-scp/scp", "exec sh");
    // By its path it is a command from the start; by its bare word, once it speaks.
    put(&pier, "/home/dressed-scp/.bashrc", "scp() { exec sh; }");
    for command in ["/tmp/dressed-scp/scp -f x", "scp -f x", "scp -t x"] {
        let done = pier.ssh(&[], &[command]).stdin(ASK).run().unwrap();
        assert_eq!(done.out().trim(), SAID, "{command}: {}", done.all());
        let (shown, lines) = recorded(&pier);
        assert!(shown.contains(SAID), "{command}: {shown}\n{lines}");
    }
    // What is never decided, and what comes beside the protocol.
    put(&pier, "/home/dressed-scp/.bashrc", "scp() { printf seen-; printf 42; printf beside >&2; exit; }");
    pier.ssh(&[], &["scp -f x"]).run().unwrap();
    let (_, lines) = recorded(&pier);
    assert!(lines.contains(SAID) && lines.contains("beside"), "{lines}");
}

#[test]
fn an_sftp_server_that_is_none_says_nothing_unseen() {
    needs_devices!();
    let pier = Pier::new("dressed-sftp", "");
    // Two packets as they must be: a version, then the answer to the request with number 1.
    let server = r#"$| = 1; sysread STDIN, $x, 9; print pack "N C N", 5, 2, 3; sysread STDIN, $x, 65536;
        $told = "seen-" . 6 * 7; print pack "N C N N/a*", 9 + length $told, 201, 1, $told; sysread STDIN, $x, 1;"#;
    put(&pier, "/tmp/dressed-sftp/server", &format!("#!/usr/bin/perl\n{server}"));
    // sshd has the account's shell start it.
    put(&pier, "/home/dressed-sftp/.bashrc", "exec /tmp/dressed-sftp/server");
    let packet = |name: &str| {
        let body =
            [&[200, 0, 0, 0, 1, 0, 0, 0, u8::try_from(name.len()).unwrap()][..], name.as_bytes()].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[0, 0, 0, 5, 1, 0, 0, 0, 3][..], &length, &body].concat()
    };
    for (asked, followed) in [("limits@openssh.com", true), ("shell@example.org", false)] {
        let done = pier.ssh(&["-s"], &["sftp"]).stdin(packet(asked)).run().unwrap();
        assert!(String::from_utf8_lossy(&done.stdout).contains(SAID), "{asked}: {}", done.all());
        let (_, lines) = recorded(&pier);
        assert!(raw(&lines).contains(SAID), "{asked}: {lines}");
        let told = lines.contains("the rest of the transfers is not known");
        assert_eq!(told, !followed, "{asked}: {lines}");
    }
}
