//! A request as a template of the settings: what is put in is escaped for where it stands, so that
//! nobody's text becomes a part of the request.

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Uri};

use super::{Call, HttpError};

/// A request with places for values: `{name}`.
#[derive(Debug, Clone)]
pub struct Template {
    /// As HTTP names it.
    pub method: Method,
    /// With its places.
    pub url: String,
    /// Names and values, with their places.
    pub headers: Vec<(HeaderName, String)>,
    /// With its places; empty where none is sent.
    pub body: String,
}

impl Template {
    /// The request with these values.
    ///
    /// # Errors
    /// When it is none with them.
    pub fn call(&self, values: &[(&str, &str)]) -> Result<Call, HttpError> {
        let Self { method, url, headers, body } = self;
        let uri: Uri = Within::Url.fill(url, values).parse().map_err(|_| {
            HttpError::Wrong("the URL of the settings is none with what is put in".to_owned())
        })?;
        let filled = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(&Within::Plain.fill(value, values));
            // A header may hold the secret, which another one may stand for soon: it is not shown.
            let value =
                value.map_err(|_| HttpError::Silent(format!("the header `{name}` cannot be written")))?;
            Ok((name.clone(), value))
        });
        let headers = filled.collect::<Result<_, HttpError>>()?;
        let body = Within::of_type(&self.headers).fill(body, values);
        Ok(Call { method: method.clone(), uri, headers, body })
    }
}

/// Where a value is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// Between the quotes of a JSON text.
    Json,
    /// In a URL or a form.
    Url,
    /// Where nothing has to be escaped.
    Plain,
}

impl Within {
    /// What a body of this type is.
    #[must_use]
    pub fn of_type(headers: &[(HeaderName, String)]) -> Self {
        let of_type = headers.iter().find(|(name, _)| *name == CONTENT_TYPE);
        match of_type.map(|(_, value)| value.to_ascii_lowercase()) {
            Some(value) if value.contains("json") => Self::Json,
            Some(value) if value.contains("x-www-form-urlencoded") => Self::Url,
            _ => Self::Plain,
        }
    }

    /// The template with what stands for its places.
    #[must_use]
    pub fn fill(self, template: &str, values: &[(&str, &str)]) -> String {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(start) = rest.find('{') {
            let (before, after) = rest.split_at(start);
            filled.push_str(before);
            // What was put in is never read again.
            match values.iter().find(|(name, _)| after.starts_with(&format!("{{{name}}}"))) {
                Some((name, value)) => {
                    filled.push_str(&self.escaped(value));
                    rest = after.get(name.len() + 2..).unwrap_or_default();
                }
                None => {
                    filled.push('{');
                    rest = after.get(1..).unwrap_or_default();
                }
            }
        }
        filled + rest
    }

    fn escaped(self, value: &str) -> String {
        match self {
            Self::Plain => value.to_owned(),
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned()
            }
            Self::Url => {
                let mut safe = String::new();
                for byte in value.bytes() {
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                        safe.push(char::from(byte));
                    } else {
                        safe.push_str(&format!("%{byte:02X}"));
                    }
                }
                safe
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_escaped_for_where_it_stands_and_never_read_again() {
        let values = [("to", "+34600"), ("text", "a\"b\\{to}\n&c=d ü"), ("secret", "s")];
        let json = Within::Json.fill(r#"{"to":"{to}","text":"{text}"}"#, &values);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((read["to"].as_str(), read["text"].as_str()), (Some("+34600"), Some(values[1].1)));
        assert_eq!(
            Within::Url.fill("to={to}&text={text}", &values),
            "to=%2B34600&text=a%22b%5C%7Bto%7D%0A%26c%3Dd%20%C3%BC"
        );
        assert_eq!(Within::Plain.fill("{nobody} {to} {", &values), "{nobody} +34600 {");
    }
}
