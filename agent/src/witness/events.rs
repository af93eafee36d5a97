//! What single records tell beside execs: a login that was made, a change of audit itself.

use super::record::{self, NO_SESSION, Value, field};

/// A login that was just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// Its audit session; none where it was taken back.
    pub ses: Option<u32>,
    /// The process that made it.
    pub pid: u32,
    /// The audit session that this process was in before.
    pub before: Option<u32>,
}

/// The login that a record tells of.
#[must_use]
pub fn login(payload: &[u8]) -> Option<Login> {
    let fields = record::parse(payload)?.fields;
    let session = |name: &[u8]| field(fields, name)?.number().filter(|ses| *ses != NO_SESSION);
    // A change that the kernel refused is none.
    field(fields, b"res")?.number::<u32>().filter(|done| *done == 1)?;
    field(fields, b"ses")?;
    Some(Login { ses: session(b"ses"), pid: field(fields, b"pid")?.number()?, before: session(b"old-ses") })
}

/// A change of audit itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A rule was removed.
    Removed,
    /// It was switched off.
    Off,
    /// The count of lost records was set back, from there.
    LostReset(u32),
    Other,
}

/// The change that a record tells of.
#[must_use]
pub fn change(payload: &[u8]) -> Change {
    let Some(fields) = record::parse(payload).map(|record| record.fields) else { return Change::Other };
    let number = |name: &[u8]| field(fields, name).and_then(Value::number::<u32>);
    let done = number(b"res") == Some(1);
    let operation = field(fields, b"op").map(Value::raw);
    match operation.filter(|_| done) {
        Some(b"remove_rule") => Change::Removed,
        Some(b"set") if number(b"audit_enabled") == Some(0) => Change::Off,
        Some(b"set") if number(b"lost").is_some() => Change::LostReset(number(b"old").unwrap_or_default()),
        _ => Change::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_tells_its_audit_session_and_not_the_one_before() {
        let payload = |ses: u32| {
            format!(
                "audit(1795477758.031:5): pid=4 uid=0 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses={ses} res=1"
            )
        };
        let made = |ses, before| Some(Login { ses, pid: 4, before });
        assert_eq!(login(payload(7).as_bytes()), made(Some(7), None));
        assert_eq!(login(payload(NO_SESSION).as_bytes()), made(None, None), "the login was taken back");
        let again = payload(8).replace("old-ses=4294967295", "old-ses=7");
        assert_eq!(login(again.as_bytes()), made(Some(8), Some(7)));
        assert_eq!(login(again.replace("res=1", "res=0").as_bytes()), None, "it was refused");
        assert_eq!(login(b"audit(1795477758.031:5): pid=4 uid=0"), None);
    }

    #[test]
    fn a_change_of_audit_is_read_as_a_kernel_tells_it() {
        let told = |text: &str| change(format!("audit(1795914975.154:49): {text}").as_bytes());
        let removed = "auid=4294967295 ses=4294967295 op=remove_rule key=(null) list=5 res=1";
        assert_eq!(told(removed), Change::Removed);
        assert_eq!(told(&removed.replace("res=1", "res=0")), Change::Other);
        assert_eq!(told(&removed.replace("remove", "add")), Change::Other);
        assert_eq!(told("op=set audit_enabled=0 old=1 auid=0 ses=3 res=1"), Change::Off);
        assert_eq!(told("op=set audit_enabled=1 old=0 auid=0 ses=3 res=1"), Change::Other);
        assert_eq!(told("op=set lost=0 old=7 auid=0 ses=3 res=1"), Change::LostReset(7));
        assert_eq!(change(b"noise"), Change::Other);
    }
}
