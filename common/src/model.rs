//! What an administrator configures and a user asks for: users, devices,
//! credentials, access groups, reasons, user groups, requests and remote accesses.
//!
//! Parsing is the only way in: each field's type refuses what is out of shape,
//! [`Resources::read`] reports every mistake of a TOML text at once with its place,
//! and a [`Snapshot`] is built of checked resources only.

mod access_group;
mod check;
mod credential;
mod device;
mod exceptional_access;
mod key;
mod location;
mod network;
mod panic;
mod pattern;
mod read;
mod reason;
mod remote_access;
mod request;
mod resources;
mod rulings;
mod sharing;
mod snapshot;
mod text;
mod user;
mod user_group;
mod write;

pub use crate::kind::Kind;
pub use crate::panic::PanicScope;
pub use access_group::{
    AccessGroup, Action, Approval, Approver, ApproverKind, AtOnce, ByteSize, Conditions, Confirmed, Criteria,
    Forward, GroupReview, Level, RequestTerms, ReviewTerms, Terms,
};
pub use check::Problem;
pub use credential::Credential;
pub use device::{Address, AddressError, Device};
pub use exceptional_access::ExceptionalAccess;
pub use key::{KeyError, KeyMaterial, PublicKey};
pub use location::{AllowedLocation, Country, Location, LocationError};
pub use network::{Network, NetworkError};
pub use panic::Panic;
pub(crate) use pattern::glob;
pub use pattern::{Pattern, PatternError};
pub(crate) use read::line_and_column;
pub use read::{KeyIndex, Mistake, Mistakes, Update};
pub use reason::Reason;
pub use remote_access::{
    AllowedCredential, Approved, Limited, RemoteAccess, RemoteAccessState, RemoteAccessWord, Scope,
};
pub use request::{
    Claims, LeftOut, Limits, NoTime, Request, RequestState, Review, StateWord, Verdict, Vote, Wish,
    can_be_asked, comes, maybe_urgent, named, urgent,
};
pub use resources::{Resource, ResourceName, Resources, Written};
pub use rulings::Rulings;
pub use sharing::Shared;
pub(crate) use sharing::Token;
pub use snapshot::Snapshot;
pub(crate) use snapshot::{CredentialEntry, ExceptionEntry, Traits, UserEntry};
pub use text::{Email, Label, Phone, Text, TextError};
pub use user::{Deputy, NotifyChoice, Role, User};
pub use user_group::{AutomaticAccess, LimitedUser, Locations, UserGroup};
