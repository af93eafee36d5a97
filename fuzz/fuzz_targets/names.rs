//! Names, and the address `user[account@device]`. What parses prints, and parses again
//! to the same.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use tidegate_common::id::{RequestId, SessionId};
use tidegate_common::model::{Address, Email, Label, Pattern, PublicKey, Text};
use tidegate_common::name::{
    AccessGroupName, AccountName, ChangeId, CredentialName, DeviceName, Login, ReasonName, UserName,
};

fn round<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let printed = value.to_string();
    assert!(!printed.chars().any(char::is_control), "{printed:?}");
    assert_eq!(printed.parse::<T>().ok(), Some(value), "{printed:?}");
}

fuzz_target!(|text: &str| {
    round::<UserName>(text);
    round::<DeviceName>(text);
    round::<AccountName>(text);
    round::<AccessGroupName>(text);
    round::<ReasonName>(text);
    round::<ChangeId>(text);
    round::<CredentialName>(text);
    round::<Address>(text);
    round::<Email>(text);
    round::<Label>(text);
    round::<Pattern>(text);
    round::<PublicKey>(text);
    round::<SessionId>(text);
    round::<RequestId>(text);
    let _ = text.parse::<Text>();
    if let Ok(login) = text.parse::<Login>() {
        let target = login.target.map(|target| format!("[{target}]")).unwrap_or_default();
        assert!(format!("{}{target}", login.user).parse::<Login>().is_ok());
    }
});
