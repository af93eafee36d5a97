//! TLS in front of a server that has none.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

const GREETING: &[u8] = b"220 sink ESMTP\r\n";

/// What accepts TLS as `localhost`, and the file of its certificate.
fn acceptor(gate: &Gate) -> (TlsAcceptor, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = gate.world.temporary.directory().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

/// A server with TLS in front of another, and the file of its certificate. With `offers`, which is what
/// it answers to EHLO, it is a mail server's and begins with STARTTLS (RFC 3207).
pub(super) async fn behind_tls(
    gate: &Gate,
    to: SocketAddr,
    offers: Option<&'static str>,
) -> (SocketAddr, PathBuf) {
    let (acceptor, file) = acceptor(gate);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Some(offers) = offers {
                    stream = until_starttls(stream, offers).await?;
                }
                let mut secure = acceptor.accept(stream).await?;
                let mut plain = TcpStream::connect(to).await?;
                if offers.is_some() {
                    // Who has changed to TLS is greeted no second time.
                    plain.read_exact(&mut [0; GREETING.len()]).await?;
                }
                copy_bidirectional(&mut secure, &mut plain).await
            });
        }
    });
    (address, file)
}

/// Offers nothing else before STARTTLS.
async fn until_starttls(stream: TcpStream, offers: &str) -> io::Result<TcpStream> {
    let mut lines = BufReader::new(stream);
    lines.write_all(GREETING).await?;
    let mut line = String::new();
    while lines.read_line(&mut line).await? > 0 {
        let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        line.clear();
        match word.as_str() {
            "EHLO" => lines.write_all(offers.as_bytes()).await?,
            "STARTTLS" => break,
            _ => lines.write_all(b"530 5.7.0 STARTTLS first\r\n").await?,
        }
    }
    lines.write_all(b"220 go on\r\n").await?;
    Ok(lines.into_inner())
}
