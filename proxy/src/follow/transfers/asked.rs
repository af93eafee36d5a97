//! Which transfer a command line starts: the words of an exec request, as the login
//! shell on the device will read them.
//!
//! What is taken for a transfer is recorded without its content, so a line is taken for
//! one only if it can run nothing else: no second command, no redirection, no
//! substitution, and no program but those that systems have ([`SCP`], [`SFTP_SERVER`]). It
//! is a heuristic all the same: the device may have another program under that name. So
//! the protocol decides: what is not followed is recorded as a command's is.

/// Where systems have scp.
const SCP: [&[u8]; 4] = [b"scp", b"/usr/bin/scp", b"/bin/scp", b"/usr/local/bin/scp"];
/// Where systems have OpenSSH's server of SFTP.
const SFTP_SERVER: [&[u8]; 8] = [
    b"sftp-server",
    b"/usr/lib/openssh/sftp-server",
    b"/usr/libexec/openssh/sftp-server",
    b"/usr/lib/ssh/sftp-server",
    b"/usr/libexec/sftp-server",
    b"/usr/lib/sftp-server",
    b"/usr/lib64/ssh/sftp-server",
    b"/usr/libexec/ssh/sftp-server",
];
/// Where systems have sudo.
const SUDO: [&[u8]; 3] = [b"sudo", b"/usr/bin/sudo", b"/bin/sudo"];

/// The transfer that a channel was started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// SFTP, by its subsystem or its server's name.
    Sftp,
    /// The far end of scp's own protocol.
    Scp(Scp),
}

/// What the far end of scp was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scp {
    /// `scp -t`: the client sends. `inside` where the target is a directory for sure.
    Upload { target: Vec<u8>, inside: bool },
    /// `scp -f`: the device sends.
    Download { sources: Vec<Vec<u8>> },
}

impl Asked {
    /// Reads an exec request's command line.
    pub fn by(command: &[u8]) -> Option<Self> {
        let words = words(command)?;
        let mut words = words.iter().map(Vec::as_slice).peekable();
        let mut program = words.next()?;
        if SUDO.contains(&program) {
            while words.next_if(|word| matches!(*word, b"-n" | b"-E" | b"-H")).is_some() {}
            if words.next_if_eq(b"-u").is_some() {
                words.next()?;
            }
            program = words.next()?;
        }
        if SCP.contains(&program) {
            return Scp::of(words).map(Self::Scp);
        }
        SFTP_SERVER.contains(&program).then_some(Self::Sftp)
    }
}

impl Scp {
    fn of<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let (mut flags, mut operands, mut over) = (Vec::new(), Vec::new(), false);
        for word in words {
            match word.strip_prefix(b"-") {
                Some(b"-") if !over => over = true,
                Some(letters) if !over && operands.is_empty() => flags.extend_from_slice(letters),
                _ => operands.push(word.to_owned()),
            }
        }
        // Options with a value, and those of scp's own end, are never sent to the far end.
        if !flags.iter().all(|flag| b"tfrpdvq".contains(flag)) {
            return None;
        }
        match (flags.contains(&b't'), flags.contains(&b'f'), operands.as_slice()) {
            (true, false, [target]) => {
                let directory = target.ends_with(b"/") || matches!(name(target), b"" | b"." | b".." | b"~");
                Some(Self::Upload { target: target.clone(), inside: directory || flags.contains(&b'd') })
            }
            (false, true, [_, ..]) => Some(Self::Download { sources: operands }),
            _ => None,
        }
    }
}

/// The last part of a path.
pub(super) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// A command line's words; `None` where it is more than one plain command.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    // In the character sets of East Asia a letter may end in what looks like one of these.
    let cut = |pair: &[u8]| matches!(pair, [0x80..=0xff, b'\\' | b'`' | b'|']);
    if line.windows(2).any(cut) && std::str::from_utf8(line).is_err() {
        return None;
    }
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        inside => word.push(inside),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'\\' => word.push(bytes.next()?),
                        b'`' | b'$' => return None,
                        inside => word.push(inside),
                    }
                }
            }
            b'\\' => word.get_or_insert_default().push(bytes.next().filter(|byte| *byte != b'\n')?),
            b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' | b'`' | b'$' | b'#' => return None,
            byte if byte.is_ascii_control() => return None,
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn upload(target: &str, inside: bool) -> Option<Asked> {
        Some(Asked::Scp(Scp::Upload { target: target.as_bytes().to_owned(), inside }))
    }

    #[test]
    fn scps_far_end_is_told_from_other_commands() {
        for (command, asked) in [
            ("scp -t /tmp", upload("/tmp", false)),
            ("scp -r -p -d -t /tmp", upload("/tmp", true)),
            ("scp -rpt -- '/tmp/a b/'", upload("/tmp/a b/", true)),
            ("/usr/bin/scp -v -t \"a b\\\"\"", upload("a b\"", false)),
            ("sudo -n -u root scp -t a\\ b", upload("a b", false)),
            ("scp -t '$(x)'", upload("$(x)", false)),
            ("scp -f a b*", Some(Asked::Scp(Scp::Download { sources: vec!["a".into(), "b*".into()] }))),
            ("/usr/lib/openssh/sftp-server -l INFO", Some(Asked::Sftp)),
            ("sudo /usr/lib/sftp-server", Some(Asked::Sftp)),
        ] {
            assert_eq!(Asked::by(command.as_bytes()), asked, "{command}");
        }
        for command in
            ["scp a b:", "ls -t", "scpx -t x", "scp /tmp -t", "scp -t", "scp -S x -t y", "", "sudo"]
        {
            assert_eq!(Asked::by(command.as_bytes()), None, "{command}");
        }
    }

    #[test]
    fn names_need_be_no_text() {
        let (target, inside) = (b"/tmp/gr\xfcn".to_vec(), false);
        assert_eq!(Asked::by(b"scp -t /tmp/gr\xfcn"), Some(Asked::Scp(Scp::Upload { target, inside })));
        let sources = vec![b"\xff'".to_vec(), b"\x85".to_vec()];
        assert_eq!(Asked::by(b"scp -f \"\xff'\" \x85"), Some(Asked::Scp(Scp::Download { sources })));
        // Where the device writes Shift JIS, the backslash is part of a letter and quotes nothing.
        assert_eq!(Asked::by(b"scp -f \x83\\;id"), None);
        assert!(Asked::by("scp -f ü\\;id".as_bytes()).is_some());
    }

    #[test]
    fn a_program_of_that_name_anywhere_else_is_no_transfer() {
        for command in [
            "/tmp/scp -f x",
            "./scp -f x",
            "bin/scp -t x",
            "~/scp -t x",
            "/usr/bin/../../tmp/scp -f x",
            "sudo /tmp/scp -f x",
            "/tmp/sudo scp -f x",
            "/tmp/sftp-server",
            "./sftp-server",
        ] {
            assert_eq!(Asked::by(command.as_bytes()), None, "{command}");
        }
    }

    #[test]
    fn a_line_that_could_run_something_else_is_no_transfer() {
        for more in
            ["; id", "&& id", "| tee x", "> x", "$(id)", "`id`", "${LC_A@P}", "\nid", "\"$(id)\"", "# x"]
        {
            assert_eq!(Asked::by(format!("scp -f x {more}").as_bytes()), None, "{more}");
            assert_eq!(Asked::by(format!("sftp-server {more}").as_bytes()), None, "{more}");
        }
        assert!(Asked::by(b"scp -f x id").is_some());
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_harm(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Asked::by(&line);
            let _ = Asked::by(&[b"scp -t ", line.as_slice()].concat());
        }

        #[test]
        fn a_quoted_word_reads_back(word in "[^']*") {
            let line = format!("x '{word}'");
            prop_assert_eq!(words(line.as_bytes()), Some(vec![b"x".to_vec(), word.into_bytes()]));
        }
    }
}
