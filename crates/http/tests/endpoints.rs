//! The endpoints over loopback, down to the bytes of the request line.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use jackdaw_http::{Metrics, Readiness, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

async fn start(readiness: impl Readiness) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Metrics::new().unwrap();
    tokio::spawn(serve(listener, metrics, Arc::new(readiness), std::future::pending()));
    address
}

fn ready() -> Vec<Cow<'static, str>> {
    Vec::new()
}

/// Sends `request` as it is and reads until the server closes.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    exchange(address, request.as_bytes()).await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[tokio::test]
async fn a_ready_node_is_live_ready_and_measured() {
    let address = start(ready).await;
    for (target, body) in [("/livez", "live\n"), ("/readyz", "ready\n")] {
        let answer = get(address, target).await;
        assert_eq!(status(&answer), "200");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
    }
    let answer = get(address, "/metrics").await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("# TYPE xmpp_build_info gauge"), "{answer}");
}

#[tokio::test]
async fn a_node_that_is_not_ready_says_why() {
    let address = start(|| vec!["the store is not open".into(), "starting".into()]).await;
    let answer = get(address, "/readyz").await;
    assert_eq!(status(&answer), "503");
    assert!(answer.ends_with("\r\n\r\nthe store is not open\nstarting\n"), "{answer}");
    assert_eq!(status(&get(address, "/livez").await), "200");
}

// bad-inputs H01.
#[tokio::test]
async fn no_spelling_of_a_path_leads_anywhere_else() {
    let address = start(ready).await;
    let not_found = [
        "/",
        "//livez",
        "/livez/",
        "/LIVEZ",
        "/./livez",
        "/metrics/../livez",
        "/%6c%69vez/..",
        "/..",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/%252e%252e%252fetc%252fpasswd",
        "/%u002e%u002e/%u002e%u002e/etc/passwd",
        "/..;/admin",
        "/livez;/../metrics",
        "/livez%00",
        "/livez%00.html",
        "/livez%0d%0aset-cookie:a=b",
        "/setup/setup-s/%u002e%u002e/%u002e%u002e/log.jsp",
        "http://169.254.169.254/latest/meta-data",
        "/proxy?url=http://169.254.169.254",
        "livez",
    ];
    for target in not_found {
        assert_eq!(status(&get(address, target).await), "404", "{target}");
    }
    // These are no request targets at all (RFC 9112 §3.2), and are refused before any routing.
    for target in ["..\\..\\etc\\passwd", "/livez\0", ""] {
        assert_eq!(status(&get(address, target).await), "400", "{target:?}");
    }
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let address = start(ready).await;
    let long = format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    assert_eq!(status(&exchange(address, long.as_bytes()).await), "431");
    let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    assert_eq!(status(&exchange(address, many.as_bytes()).await), "431");
}

#[tokio::test]
async fn a_body_is_not_read() {
    let address = start(ready).await;
    let request = b"POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\nabc";
    assert_eq!(status(&exchange(address, request).await), "405");
}
