//! One HTTP request on a connection of its own: no redirect is followed, no proxy asked, no cookie
//! kept, and of the answer no more is read than its first [`MOST_ANSWER`] bytes.
//!
//! How long it may take is for who sends it.

mod template;

pub use template::{Template, Within};

use std::io;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes of an answer that are read.
pub const MOST_ANSWER: usize = 4096;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Nobody answered, or broke off: it may go another time.
    #[error("{0}")]
    Silent(String),
    /// It is no request, and will be none another time.
    #[error("{0}")]
    Wrong(String),
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// As HTTP numbers it.
    pub status: StatusCode,
    /// The body; none where it was longer than is read, or broke off.
    pub body: Option<Bytes>,
}

/// What is sent.
pub struct Call {
    pub method: Method,
    pub uri: Uri,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: String,
}

/// Whom TLS trusts: the host's authorities, and those of a file.
#[derive(Clone)]
pub struct Client(TlsConnector);

impl Client {
    /// Reads the authorities.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, HttpError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            for certificate in authorities(path)? {
                roots.add(certificate).map_err(|why| in_file(path, &why))?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|why| HttpError::Silent(why.to_string()))?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Sends, and gives whatever is answered.
    ///
    /// # Errors
    /// When nothing is.
    pub async fn send(&self, call: Call) -> Result<Answer, HttpError> {
        let host = call.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let secure = call.uri.scheme_str() != Some("http");
        let port = call.uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let at = |error: io::Error| HttpError::Silent(format!("{host}:{port}: {error}"));
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(at)?;
        if !secure {
            return exchange(stream, call).await;
        }
        let name = ServerName::try_from(host.clone())
            .map_err(|_| HttpError::Wrong(format!("`{host}` is no host name")))?;
        exchange(self.0.connect(name, stream).await.map_err(at)?, call).await
    }
}

/// The certificates of a file.
///
/// # Errors
/// When it cannot be read.
pub fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let all = CertificateDer::pem_file_iter(path).map_err(|why| in_file(path, &why))?;
    all.map(|one| one.map_err(|why| in_file(path, &why))).collect()
}

fn in_file(path: &Path, why: &dyn std::fmt::Display) -> HttpError {
    HttpError::Silent(format!("{}: {why}", path.display()))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    call: Call,
) -> Result<Answer, HttpError> {
    let silent = |error: hyper::Error| HttpError::Silent(format!("the server broke off: {error}"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(silent)?;
    let talk = async {
        let answer = sender.send_request(request(call)?).await.map_err(silent)?;
        let status = answer.status();
        // A server that goes on and on is not read to its end.
        let body = Limited::new(answer.into_body(), MOST_ANSWER).collect().await;
        Ok(Answer { status, body: body.ok().map(|body| body.to_bytes()) })
    };
    // The connection is driven here and ends with this call.
    let mut connection = std::pin::pin!(connection);
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        biased;
        done = &mut talk => done,
        ended = &mut connection => match ended {
            Ok(()) => talk.await,
            Err(error) => Err(silent(error)),
        },
    }
}

fn request(call: Call) -> Result<Request<Full<Bytes>>, HttpError> {
    let Call { method, uri, headers, body } = call;
    let never = |error: hyper::http::Error| HttpError::Wrong(format!("it is no request: {error}"));
    let host = uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, "tidegate")
        .header(CONTENT_LENGTH, body.len());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(body))).map_err(never)
}
