//! What the file says of itself: a video leads back to its session, and to its proof.

use tidegate_common::recording::Head;

use crate::proof::Words;

/// Names and values. Those that begin with `tidegate_` are Tidegate's own.
#[must_use]
pub fn of(head: &Head, words: &Words) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        let value = value.map(|value| value.chars().filter(|c| !c.is_control()).collect::<String>());
        all.extend(value.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value)));
    };
    let own = head.tidegate.as_ref();
    let title = own.map(|own| format!("{} on {}", own.user, own.target));
    add("title", title.or_else(|| head.title.clone()).or_else(|| head.command.clone()));
    add("tidegate_program", Some(concat!("tidegate-video ", env!("CARGO_PKG_VERSION")).to_owned()));
    let started = own.map(|own| own.started).or(head.started);
    add("creation_time", started.map(|started| started.to_string()));
    add("comment", Some(words.sentence.clone()));
    add("tidegate_verdict", Some(words.sentence.clone()));
    if let Some(own) = own {
        add("tidegate_session", Some(own.session.to_string()));
        add("tidegate_user", Some(own.user.to_string()));
        add("tidegate_target", Some(own.target.to_string()));
        add("tidegate_origin", Some(own.origin.to_string()));
        add("tidegate_group", own.group.as_ref().map(ToString::to_string));
        add("tidegate_request", own.request.as_ref().map(ToString::to_string));
        add("tidegate_emergency", own.emergency.then(|| "yes".to_owned()));
    }
    if let Some(chain) = words.chain {
        add("tidegate_last_link", Some(chain.link.to_string()));
        add("tidegate_frames", Some(chain.frames.to_string()));
    }
    all
}
