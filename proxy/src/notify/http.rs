//! One HTTP request on a connection of its own: no redirect is followed, no proxy asked, no cookie
//! kept, and of the answer only what is needed to say why.

use std::io;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::SendError;

/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 4096;

/// What is sent.
pub(super) struct Call {
    pub method: Method,
    pub uri: Uri,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: String,
}

/// Whom TLS trusts: the host's authorities, and those of a file.
#[derive(Clone)]
pub(super) struct Client(TlsConnector);

impl Client {
    /// Reads the authorities.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, SendError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            let read = |why: &dyn std::fmt::Display| SendError::Later(format!("{}: {why}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|why| read(&why))? {
                roots.add(certificate.map_err(|why| read(&why))?).map_err(|why| read(&why))?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|why| SendError::Later(why.to_string()))?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Sends; an answer of 2xx is success.
    pub async fn send(&self, call: Call) -> Result<(), SendError> {
        let host = call.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let secure = call.uri.scheme_str() != Some("http");
        let port = call.uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let at = |error: io::Error| SendError::Later(format!("{host}:{port}: {error}"));
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(at)?;
        if !secure {
            return exchange(stream, call).await;
        }
        let name = ServerName::try_from(host.clone())
            .map_err(|_| SendError::Never(format!("`{host}` is no host name")))?;
        exchange(self.0.connect(name, stream).await.map_err(at)?, call).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    call: Call,
) -> Result<(), SendError> {
    let later = |error: hyper::Error| SendError::Later(format!("the server broke off: {error}"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(later)?;
    let talk = async {
        let answer = sender.send_request(request(call)?).await.map_err(later)?;
        let status = answer.status();
        // A server that goes on and on is not read to its end.
        let body = Limited::new(answer.into_body(), MOST_ANSWER).collect().await;
        Ok((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
    };
    // The connection is driven here and ends with this call.
    let mut connection = std::pin::pin!(connection);
    let mut talk = std::pin::pin!(talk);
    let (status, body): (hyper::StatusCode, Bytes) = tokio::select! {
        biased;
        done = &mut talk => done,
        ended = &mut connection => match ended {
            Ok(()) => talk.await,
            Err(error) => Err(later(error)),
        },
    }?;
    if status.is_success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&body).chars().take(200).collect();
    let why = format!("the server answered {status}: {said}");
    // 408, 425 and 429 ask to come again, as 5xx does.
    if status.is_server_error() || [408, 425, 429].contains(&status.as_u16()) {
        Err(SendError::Later(why))
    } else {
        Err(SendError::Never(why))
    }
}

fn request(call: Call) -> Result<Request<Full<Bytes>>, SendError> {
    let Call { method, uri, headers, body } = call;
    let never = |error: hyper::http::Error| SendError::Never(format!("it is no request: {error}"));
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
