//! The OpenAPI document.

use super::server::Server;
use serde_json::Value;
use std::path::Path;

/// `SGL_BLESS=1` writes it anew.
#[test]
fn the_committed_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let current = sgl::server::openapi::text();
    if std::env::var_os("SGL_BLESS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == current, "docs/openapi.json is old; SGL_BLESS=1 cargo test the_committed_document writes it");
    let server = Server::start(&[]);
    let served = server.get("/openapi.json").ok();
    assert_eq!(served, serde_json::from_str::<Value>(&committed).unwrap());
}
