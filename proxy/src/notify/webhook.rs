//! Notices to a webhook: with the headers of Standard Webhooks (id, time, HMAC-SHA256), and either
//! the whole notice as JSON or the one text that chat systems take.

use std::path::PathBuf;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use jiff::Timestamp;
use serde_json::json;
use tidegate_common::notice::NoticeKind;

use super::{Letter, SendError, secret, taken};
use crate::http::{Call, Client};

/// `[notify.webhook]`
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is sent.
    pub url: Uri,
    /// What holds the key: `whsec_` and base64, as Standard Webhooks writes it.
    pub secret_file: Option<PathBuf>,
    /// What is sent.
    pub form: Form,
    /// What is sent once for all who read it, whatever users chose.
    pub kinds: Vec<NoticeKind>,
    /// Authorities beside the host's.
    pub ca_file: Option<PathBuf>,
}

/// What a webhook is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The notice with all its contents.
    Full,
    /// `{"text": …}`, which chat systems take.
    Chat,
}

pub(super) struct Webhook {
    settings: Settings,
    client: Client,
}

impl Webhook {
    pub fn new(settings: Settings) -> Result<Self, SendError> {
        let client = Client::new(settings.ca_file.as_deref())?;
        Ok(Self { settings, client })
    }

    pub async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        let body = self.body(letter);
        let id = letter.message_id();
        let sent = Timestamp::now().as_second();
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static("webhook-id"), value(&id)?),
            (HeaderName::from_static("webhook-timestamp"), HeaderValue::from(sent)),
        ];
        if let Some(path) = &self.settings.secret_file {
            let signed = sign(secret(path).await?.reveal(), &id, sent, &body)?;
            headers.push((HeaderName::from_static("webhook-signature"), value(&signed)?));
        }
        let call = Call { method: Method::POST, uri: self.settings.url.clone(), headers, body };
        taken(self.client.send(call).await?)
    }

    fn body(&self, letter: &Letter) -> String {
        let user = letter.user.as_ref().map(|user| user.as_str());
        match self.settings.form {
            Form::Chat => {
                let to = user.map(|user| format!("{user}: ")).unwrap_or_default();
                json!({ "text": format!("{to}{}", letter.text.short()) }).to_string()
            }
            Form::Full => json!({
                "type": letter.notice.kind(),
                "timestamp": letter.created,
                "data": { "user": user, "notice": letter.notice, "subject": letter.text.subject(), "text": letter.text.plain() },
            })
            .to_string(),
        }
    }
}

fn value(text: &str) -> Result<HeaderValue, SendError> {
    HeaderValue::from_str(text).map_err(|_| SendError::Never("a header cannot be written".to_owned()))
}

/// The key that a secret writes.
///
/// # Errors
/// When it writes none.
pub fn key(secret: &str) -> Result<hmac::Key, SendError> {
    let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
    let key = STANDARD
        .decode(encoded)
        .map_err(|_| SendError::Later("the webhook's secret is not `whsec_` and base64".to_owned()))?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

/// The signature as Standard Webhooks writes it.
fn sign(secret: &str, id: &str, sent: i64, body: &str) -> Result<String, SendError> {
    let tag = hmac::sign(&key(secret)?, format!("{id}.{sent}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(tag.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_standard_webhooks() {
        // The example of the specification's libraries.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(sign("whsec_!", "a", 1, "b").is_err());
    }
}
