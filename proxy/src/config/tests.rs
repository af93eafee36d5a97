//! What a configuration file may say, and how its mistakes are told.

use super::*;

fn mistakes(text: &str) -> Vec<String> {
    Config::read(text, Some(Vec::new())).err().unwrap_or_default()
}

#[test]
fn an_address_without_its_port_is_told_how_to_write_and_a_low_port_what_it_needs() {
    let wrong = mistakes("[listen]\nssh = \"22\"\n");
    assert!(wrong[0].contains("`22` is no address with a port; write it as [::]:2222"), "{wrong:?}");
    let hints = |text: &str| Config::read(text, Some(Vec::new())).unwrap().hints();
    assert!(hints("[listen]\nssh = \"[::]:2222\"\n").is_empty());
    let hint = hints("[listen]\nssh = \"[::]:22\"\n").join("");
    assert!(hint.contains("listen.ssh") && hint.contains("CAP_NET_BIND_SERVICE"), "{hint}");
}

#[test]
fn the_example_in_config_is_taken_and_says_the_defaults() {
    let example = Config::read(include_str!("../../../config/proxy.toml"), Some(Vec::new())).unwrap();
    let defaults = Config::read("", Some(Vec::new())).unwrap();
    let without = |config: Config| {
        format!(
            "{:?}",
            Config {
                listen: Listen { agents_name: None, ssh_name: None, ..config.listen.clone() },
                gate: Gate { name: unnamed() },
                ..config
            }
        )
    };
    assert_eq!(without(example), without(defaults));
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let text = "state_dir = 7\nrecordigns_dir = \"/x\"\n[listen]\nssh = \"nowhere\"\n[lease]\nmillis = 0\n\
                [requests]\nwindow = \"soon\"\n[colours]\nred = 1\n";
    let found = mistakes(text);
    let starts: Vec<_> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    let at = |line, column| format!("line {line}, column {column}");
    assert_eq!(starts, [at(1, 1), at(2, 1), at(4, 1), at(6, 1), at(8, 1), at(9, 2)], "{found:#?}");
    assert!(found[1].contains("`recordigns_dir` is not a key"), "{}", found[1]);
}

#[test]
fn algorithms_are_chosen_among_the_safe_ones_and_others_are_refused_with_their_place() {
    let chosen = "[ssh]\nkex = [\"curve25519-sha256\"]\nciphers = [\"aes128-ctr\", \"aes256-gcm@openssh.com\"]\n\
                  macs = [\"hmac-sha2-512\"]\nhost_key_algorithms = [\"ssh-ed25519\"]\n";
    let config = Config::read(chosen, Some(Vec::new())).unwrap();
    let ciphers = config.ssh.algorithms.server().cipher;
    let names: Vec<&str> = ciphers.iter().map(AsRef::as_ref).collect();
    assert_eq!(names, ["aes128-ctr", "aes256-gcm@openssh.com"]);
    for (line, says) in [
        ("kex = [\"diffie-hellman-group14-sha1\"]", "choose among mlkem768x25519-sha256, "),
        ("ciphers = [\"aes128-cbc\"]", "choose among aes256-gcm@openssh.com, "),
        ("macs = [\"hmac-md5\"]", "choose among hmac-sha2-256-etm@openssh.com, "),
        ("macs = []", "names nothing"),
        ("host_key_algorithms = [\"ssh-rsa\"]", "choose among ssh-ed25519, "),
        ("host_key_algorithms = [\"ecdsa-sha2-nistp256\"]", "add ssh-ed25519"),
    ] {
        let found = mistakes(&format!("[ssh]\nkeepalive = \"30s\"\n{line}\n"));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("line 3, column 1: ") && found[0].contains(says), "{}", found[0]);
    }
}

#[test]
fn the_reserve_is_below_the_floor_and_follows_it_where_it_is_not_said() {
    let reserve = |text: &str| Config::read(text, Some(Vec::new())).map(|config| config.recordings.reserve);
    assert_eq!(reserve(""), Ok(64 << 20));
    assert_eq!(reserve("[recordings]\nfree_floor = \"64 MiB\"\n"), Ok(16 << 20));
    assert_eq!(reserve("[recordings]\nreserve = \"1 MiB\"\n"), Ok(1 << 20));
    let wrong = mistakes("[recordings]\nfree_floor = \"1 GiB\"\nreserve = \"1 GiB\"\n");
    assert!(wrong[0].starts_with("line 3, column 1: `recordings.reserve` must be less"), "{wrong:?}");
}

#[test]
fn an_error_of_syntax_is_told_with_its_place() {
    assert!(mistakes("state_dir = \n")[0].starts_with("line 1, column"), "{:?}", mistakes("state_dir = \n"));
}

#[test]
fn the_environment_wins_and_its_mistakes_are_told_by_their_variable() {
    let environment = |name: &str, value: &str| Some(vec![(name.to_owned(), value.to_owned())]);
    let text = "[listen]\nssh = \"127.0.0.1:1\"\n";
    let config = Config::read(text, environment("TIDEGATE__LISTEN__SSH", "127.0.0.1:2")).unwrap();
    assert_eq!(config.listen.ssh.port(), 2);
    let config = Config::read(text, environment("TIDEGATE__LEASE__MILLIS", "2000")).unwrap();
    assert_eq!(config.lease.duration, Duration::from_secs(2));
    let config = Config::read(text, environment("TIDEGATE__SSH__ACCEPT_ENV", "LANG,LC_*")).unwrap();
    assert_eq!(config.ssh.accept_env, ["LANG", "LC_*"]);
    let found = Config::read(text, environment("TIDEGATE__LISTEN__SHS", "x")).unwrap_err();
    assert!(found[0].starts_with("environment variable TIDEGATE__LISTEN__SHS:"), "{found:?}");
    let found = Config::read(text, environment("TIDEGATE__LISTEN__SSH", "x")).unwrap_err();
    assert!(found[0].starts_with("environment variable TIDEGATE__LISTEN__SSH:"), "{found:?}");
}
