//! Where pictures may come from, and which are refused.

use super::server::{LABEL, Server, about_flat, ask, data_url};
use crate::harness::{FLAT, Folder};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::fs;

const PARAM: &str = "messages[0].content[0].image_url.url";

#[test]
fn files_come_from_one_folder() {
    let folder = Folder::new();
    fs::create_dir(folder.at("media")).unwrap();
    fs::copy(FLAT, folder.at("media/flat.png")).unwrap();
    fs::copy(FLAT, folder.at("secret.png")).unwrap();
    let server = Server::start(&["--media-path", &folder.at("media")]);
    let inline = server.chat(&about_flat(LABEL, json!({}))).ok();
    let file = server.chat(&ask(&["file://flat.png"], LABEL)).ok();
    assert_eq!(file["choices"][0]["message"], inline["choices"][0]["message"]);
    for url in [
        "file://../secret.png",
        "file:///etc/passwd",
        "file://none.png",
        &format!("file://{}", folder.at("secret.png")),
    ] {
        let error = server.chat(&ask(&[url], LABEL)).failed(400, "invalid_request_error", "");
        assert_eq!(error["param"], PARAM, "{url}");
    }
}

#[test]
fn nothing_is_read_or_fetched_unless_it_is_allowed() {
    let server = Server::start(&[]);
    server.chat(&ask(&["file://flat.png"], LABEL)).failed(400, "invalid_request_error", "--media-path");
    server.chat(&ask(&["https://example.org/a.png"], LABEL)).failed(
        400,
        "invalid_request_error",
        "--allow-remote-media",
    );
    let server = Server::start(&["--allow-remote-media", "--remote-timeout", "5"]);
    for host in
        ["127.0.0.1:9", "localhost:9", "[::1]:9", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]:9", "[fd00::1]"]
    {
        let error =
            server.chat(&ask(&[&format!("http://{host}/a.png")], LABEL)).failed(400, "invalid_request_error", "");
        assert!(error["message"].as_str().unwrap().contains("is no public address"), "{host}: {error}");
    }
    // Itself least of all.
    let own = format!("http://{}/page/main.js", server.address);
    server.chat(&ask(&[&own], LABEL)).failed(400, "invalid_request_error", "is no public address");
}

#[test]
fn damaged_and_hostile_pictures_are_refused() {
    let server = Server::start(&["--max-pictures", "2", "--max-megapixels", "1", "--max-body", "4"]);
    let png = fs::read(FLAT).unwrap();
    let url = |bytes: &[u8]| format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes));
    let bomb = {
        // 60000 x 60000 pixels by its header.
        let mut bomb = png.clone();
        bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let sum = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&sum.to_be_bytes());
        bomb
    };
    for (bytes, status, message) in [
        (&png[..png.len() / 2], 400, "damaged PNG"),
        (b"hello", 400, "no known picture format"),
        (b"", 400, "empty"),
        (b"GIF89a", 400, "GIF"),
        (&bomb, 413, "60000x60000"),
    ] {
        let error = server.chat(&ask(&[&url(bytes)], LABEL)).failed(status, "invalid_request_error", message);
        assert_eq!(error["param"], PARAM);
    }
    let whole = data_url(FLAT);
    let error =
        server.chat(&ask(&[&whole, &whole, &whole], LABEL)).failed(400, "invalid_request_error", "over the limit of 2");
    assert_eq!(error["param"], "messages[0].content[2].image_url.url");
    let raw = BASE64_STANDARD.encode(&png);
    server.chat(&ask(&[&raw], LABEL)).ok();
}

#[test]
fn detail_is_a_budget() {
    let server = Server::start(&[]);
    let kept = |detail: &str| {
        let mut body = about_flat(LABEL, json!({"sgl": {"exit_threshold": null}}));
        body["messages"][0]["content"][0]["image_url"]["detail"] = json!(detail);
        server.chat(&body).ok()["sgl"]["visual"]["kept"].as_u64().unwrap()
    };
    assert_eq!((kept("low"), kept("auto"), kept("high")), (85, 64, 256));
}

fn crc32(bytes: &[u8]) -> u32 {
    let step =
        |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)));
    !bytes.iter().fold(u32::MAX, step)
}
