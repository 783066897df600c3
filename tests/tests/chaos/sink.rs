//! A receiver that believes everything.

/// Where it is. It lives as long as the runtime.
pub(crate) async fn sink() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(async |_: axum::body::Bytes| "thanks");
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}
