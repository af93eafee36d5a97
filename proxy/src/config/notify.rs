//! `[notify]`: how people are told. A channel is there where its section names its server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderName;
use hyper::{Method, Uri};
use lettre::message::Mailbox;
use tidegate_common::notice::NoticeKind;

use super::read::Reader;
use super::seconds;
use crate::http::{Template, Within};
use crate::notify::mail::Encryption;
use crate::notify::webhook::Form;
use crate::notify::{Settings, mail, sms, webhook};

/// What systemd names the directory of `LoadCredential=`.
pub(super) const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

pub(super) fn read(reader: &mut Reader) -> Settings {
    let length = |reader: &mut Reader, key, default, most: u64| {
        let length = reader.parsed(key, seconds(default)).approximate();
        if length < Duration::from_secs(1) || length > Duration::from_secs(most) {
            reader.wrong(key, format!("`{key}` must be between 1 s and {most} s"));
        }
        length
    };
    Settings {
        pause: length(reader, "notify.pause", 20, 3600),
        timeout: length(reader, "notify.timeout", 30, 300),
        mail: mail(reader),
        sms: sms(reader),
        webhook: webhook(reader),
    }
}

fn mail(reader: &mut Reader) -> Option<mail::Settings> {
    let keys = ["server", "tls", "from", "user", "password_file", "ca_file"];
    let server = reader.optional("notify.mail.server", server);
    let tls = reader.optional("notify.mail.tls", |text| match text {
        "starttls" => Ok(Encryption::StartTls),
        "implicit" => Ok(Encryption::Implicit),
        "none" => Ok(Encryption::None),
        other => Err(format!("`{}` is no way; use starttls, implicit or none", other.escape_default())),
    });
    let tls = tls.unwrap_or(Encryption::StartTls);
    let from = reader.optional("notify.mail.from", |text| {
        text.parse::<Mailbox>().map_err(|_| {
            format!("`{}` is no address; write it as Tidegate <tidegate@example.org>", text.escape_default())
        })
    });
    let user = reader.optional("notify.mail.user", |text| Ok(text.to_owned()));
    let password_file = file(reader, "notify.mail.password_file");
    let ca_file = file(reader, "notify.mail.ca_file");
    needs(reader, "notify.mail", &keys, &["server", "from"])?;
    if user.is_some() && password_file.is_none() {
        reader.wrong("notify.mail.user", "`notify.mail.user` needs `notify.mail.password_file`");
    }
    if user.is_none() && password_file.is_some() {
        reader.wrong("notify.mail.password_file", "`notify.mail.password_file` needs `notify.mail.user`");
    }
    let (server, port) = server?;
    if tls == Encryption::None && user.is_some() && !is_here(&server) {
        let why =
            "`notify.mail.tls` is none, and a password would be sent in the clear; use starttls or implicit";
        reader.wrong("notify.mail.tls", why);
    }
    let port = port.unwrap_or(match tls {
        Encryption::Implicit => 465,
        Encryption::StartTls => 587,
        Encryption::None => 25,
    });
    Some(mail::Settings { server, port, tls, from: from?, user, password_file, ca_file })
}

fn sms(reader: &mut Reader) -> Option<sms::Settings> {
    let keys = ["method", "url", "headers", "body", "secret_file", "ca_file"];
    let method = reader.optional("notify.sms.method", |text| match text {
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "GET" => Ok(Method::GET),
        other => Err(format!("`{}` is no method; use POST, PUT or GET", other.escape_default())),
    });
    let url = reader.optional("notify.sms.url", |text| {
        url(&Within::Url.fill(text, &[("to", "1"), ("text", "1"), ("secret", "1")])).map(|_| text.to_owned())
    });
    let headers = reader.list("notify.sms.headers", header).unwrap_or_default();
    let body = reader.optional("notify.sms.body", |text| Ok(text.to_owned())).unwrap_or_default();
    let secret_file = file(reader, "notify.sms.secret_file");
    let ca_file = file(reader, "notify.sms.ca_file");
    needs(reader, "notify.sms", &keys, &["url"])?;
    let url = url?;
    if Within::of_type(&headers) == Within::Json {
        let filled = Within::Json.fill(&body, &[("to", "1"), ("text", "1"), ("secret", "1")]);
        if let Err(why) = serde_json::from_str::<serde_json::Value>(&filled) {
            reader
                .wrong("notify.sms.body", format!("`notify.sms.body` is no JSON, as its headers say: {why}"));
        }
    }
    for place in ["{to}", "{text}"] {
        if !url.contains(place) && !body.contains(place) {
            let why = format!("neither `notify.sms.url` nor `notify.sms.body` has {place}");
            reader.wrong("notify.sms.url", why);
        }
    }
    let uses_secret = headers.iter().any(|(_, value)| value.contains("{secret}"))
        || url.contains("{secret}")
        || body.contains("{secret}");
    if uses_secret && secret_file.is_none() {
        reader.wrong("notify.sms.url", "`{secret}` of [notify.sms] needs `notify.sms.secret_file`");
    }
    let template = Template { method: method.unwrap_or(Method::POST), url, headers, body };
    Some(sms::Settings { template, secret_file, ca_file })
}

fn webhook(reader: &mut Reader) -> Option<webhook::Settings> {
    let keys = ["url", "secret_file", "form", "kinds", "ca_file"];
    let url = reader.optional("notify.webhook.url", url);
    let secret_file = file(reader, "notify.webhook.secret_file");
    let form = reader.optional("notify.webhook.form", |text| match text {
        "full" => Ok(Form::Full),
        "chat" => Ok(Form::Chat),
        other => Err(format!("`{}` is no form; use full or chat", other.escape_default())),
    });
    let kinds = reader.list("notify.webhook.kinds", |text| match text.parse()? {
        NoticeKind::Link => Err("a link's code is for one person; leave `link` out".to_owned()),
        kind => Ok(kind),
    });
    let ca_file = file(reader, "notify.webhook.ca_file");
    needs(reader, "notify.webhook", &keys, &["url"])?;
    let (form, kinds) = (form.unwrap_or(Form::Full), kinds.unwrap_or_default());
    Some(webhook::Settings { url: url?, secret_file, form, kinds, ca_file })
}

/// Whether the section is written at all; then what it must name has to be there.
pub(super) fn needs(
    reader: &mut Reader,
    section: &'static str,
    keys: &[&str],
    needed: &[&str],
) -> Option<()> {
    let written = |key: &str| reader.has(&format!("{section}.{key}"));
    if !keys.iter().any(|key| written(key)) {
        return None;
    }
    let missing: Vec<&str> =
        needed.iter().copied().filter(|key| !reader.has(&format!("{section}.{key}"))).collect();
    for key in missing {
        reader.wrong(section, format!("[{section}] has no `{key}`"));
    }
    Some(())
}

pub(super) fn file(reader: &mut Reader, key: &'static str) -> Option<PathBuf> {
    reader.optional(key, secret_file)
}

/// An absolute path, or the name of one of systemd's credentials.
pub(super) fn secret_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        return Ok(path);
    }
    let shown = text.escape_default();
    let is_name = !text.is_empty() && !text.contains('/') && !text.starts_with('.');
    match std::env::var_os(CREDENTIALS) {
        Some(directory) if is_name => Ok(PathBuf::from(directory).join(path)),
        // `check-config` has none.
        None if is_name => Ok(PathBuf::from("/run/credentials/tidegate-proxy.service").join(path)),
        _ => {
            Err(format!("`{shown}` must be an absolute path, or the name of a credential (LoadCredential=)"))
        }
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `mail.example.org` or `mail.example.org:587`.
pub(super) fn server(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0)))
        }
        _ => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match (host.parse::<tidegate_common::model::Address>(), port) {
        (Ok(_), None) => Ok((host.to_owned(), None)),
        (Ok(_), Some(Some(port))) => Ok((host.to_owned(), Some(port))),
        _ => Err(format!(
            "`{}` is no host; write it as host.example.org or host.example.org:587",
            text.escape_default()
        )),
    }
}

/// An URL that is called: https, or http on this machine.
pub(super) fn url(text: &str) -> Result<Uri, String> {
    let shown = text.escape_default();
    let uri: Uri = text.parse().map_err(|_| format!("`{shown}` is no URL"))?;
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        _ if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            Err(format!("`{shown}` is no URL; write it as https://host/path"))
        }
        Some("https") => Ok(uri),
        Some("http") if is_here(host) => Ok(uri),
        _ => Err(format!("`{shown}` must begin with https://, because what is sent is for its reader only")),
    }
}

/// `Name: value`
pub(super) fn header(text: &str) -> Result<(HeaderName, String), String> {
    // The value may be a key: it is not shown.
    let wrong = || "a header is written as `Name: value`".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let value = value.trim();
    match name.trim().parse::<HeaderName>() {
        Ok(name) if !value.chars().any(char::is_control) => Ok((name, value.to_owned())),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn mistakes(text: &str) -> Vec<String> {
        Config::read(text, Some(Vec::new())).err().unwrap_or_default()
    }

    #[test]
    fn the_commented_channels_of_the_example_are_taken_as_they_are() {
        let example = include_str!("../../../config/proxy.toml");
        let (_, channels) = example.split_once("# [notify.mail]").unwrap();
        let (channels, _) = channels.split_once("\n[").unwrap_or((channels, ""));
        let text: String =
            channels.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line))).collect();
        let config = Config::read(&format!("[notify.mail]{text}"), Some(Vec::new())).unwrap();
        let (mail, sms, webhook) =
            (config.notify.mail.unwrap(), config.notify.sms.unwrap(), config.notify.webhook.unwrap());
        assert_eq!((mail.server.as_str(), mail.port), ("mail.example.org", 587));
        assert!(sms.template.body.contains("{text}") && webhook.kinds.len() == 2);
    }

    #[test]
    fn without_a_section_there_is_no_channel_and_half_a_section_is_told() {
        let config = Config::read("", Some(Vec::new())).unwrap();
        assert!(
            config.notify.mail.is_none() && config.notify.sms.is_none() && config.notify.webhook.is_none()
        );
        let found = mistakes("[notify.mail]\nuser = \"tidegate\"\n");
        for says in ["[notify.mail] has no `server`", "has no `from`", "needs `notify.mail.password_file`"] {
            assert!(found.iter().any(|line| line.contains(says)), "{says}: {found:?}");
        }
    }

    #[test]
    fn what_would_tell_others_or_never_arrive_is_refused_with_its_place() {
        for (text, says) in [
            ("[notify.webhook]\nurl = \"http://chat.example.org/x\"\n", "must begin with https://"),
            ("[notify.webhook]\nurl = \"https://u:p@chat.example.org/x\"\n", "is no URL"),
            (
                "[notify.webhook]\nurl = \"https://chat.example.org/x\"\nkinds = [\"link\"]\n",
                "leave `link` out",
            ),
            (
                "[notify.webhook]\nurl = \"https://chat.example.org/x\"\nkinds = [\"soon\"]\n",
                "is no kind of notice",
            ),
            ("[notify.sms]\nurl = \"https://sms.example.org/?to={to}\"\n", "has {text}"),
            (
                "[notify.sms]\nurl = \"https://sms.example.org/{to}{text}{secret}\"\n",
                "needs `notify.sms.secret_file`",
            ),
            (
                "[notify.sms]\nurl = \"https://sms.example.org/{to}\"\nheaders = [\"Content-Type: application/json\"]\nbody = \"{text}}\"\n",
                "is no JSON",
            ),
            (
                "[notify.mail]\nserver = \"mail.example.org\"\nfrom = \"nobody\"\n",
                "is no address; write it as",
            ),
            (
                "[notify.mail]\nserver = \"mail.example.org\"\nfrom = \"a@example.org\"\ntls = \"none\"\nuser = \"a\"\npassword_file = \"/p\"\n",
                "sent in the clear",
            ),
            ("[notify.mail]\nserver = \"mail.example.org:0\"\nfrom = \"a@example.org\"\n", "is no host"),
            ("[notify]\ntimeout = \"2h\"\n", "must be between 1 s and 300 s"),
        ] {
            let found = mistakes(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with("line ") && found[0].contains(says), "{found:?}");
        }
    }
}
