//! Time as values: lengths ("90m", "1 month"), windows, weekly schedules in an
//! IANA zone, and the limitation of an access group. Nothing here reads a clock.

mod length;
mod limitation;
mod schedule;
mod window;

pub use length::{Length, LengthError};
pub use limitation::Limitation;
pub use schedule::{Schedule, Slot, TimeError, Weekday, Zone};
pub use window::Window;
