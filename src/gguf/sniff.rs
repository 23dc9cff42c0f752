/// What a file that does not start with the GGUF magic looks like, and what to do about it, from its first bytes.
pub(super) fn sniff(head: &[u8]) -> (&'static str, &'static str) {
    if head.is_empty() {
        return ("it is empty", DOWNLOAD);
    }
    if let Some((_, found, fix)) = SIGNATURES.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return (found, fix);
    }
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return ("it is a WebP picture", PICTURE);
    }
    // safetensors: the length of a JSON header as a u64, then that header.
    if head.get(6..9) == Some(b"\0\0{") {
        return ("it is a safetensors checkpoint", CONVERT);
    }
    if head.iter().all(|&byte| byte == 0) {
        return ("it starts with zero bytes only, like an unfinished download", DOWNLOAD);
    }
    let text = head.trim_ascii_start().to_ascii_lowercase();
    if text.starts_with(b"<!doctype") || text.starts_with(b"<html") {
        return ("it is an HTML page, not the file behind it", DOWNLOAD);
    }
    if text.starts_with(b"{") || text.starts_with(b"[") {
        return ("it is a JSON file", DOWNLOAD);
    }
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if head.iter().all(is_text) {
        return ("it is a text file", DOWNLOAD);
    }
    ("its format is unknown", "give the path of a .gguf file")
}

const DOWNLOAD: &str = "download the .gguf file itself";
const CONVERT: &str = "convert it with llama.cpp's convert_hf_to_gguf.py, or download a .gguf file";
const PICTURE: &str = "pass pictures as pictures, and a .gguf file as the model";
const UNPACK: &str = "unpack it and give the .gguf file inside";

static SIGNATURES: [(&[u8], &str, &str); 20] = [
    (b"version https://git-lfs", "it is a Git LFS pointer", "run `git lfs pull` to fetch the file"),
    (b"FUGG", "it is a GGUF file with its bytes swapped (big-endian)", "convert it for a little-endian machine"),
    (b"lmgg", "it is a GGML file, the format before GGUF", CONVERT),
    (b"fmgg", "it is a GGMF file, the format before GGUF", CONVERT),
    (b"tjgg", "it is a GGJT file, the format before GGUF", CONVERT),
    (b"algg", "it is a GGLA adapter, the format before GGUF", CONVERT),
    (b"PK\x03\x04", "it is a zip archive or a PyTorch checkpoint", CONVERT),
    (b"\x80\x02", "it is a Python pickle", CONVERT),
    (b"\x80\x04", "it is a Python pickle", CONVERT),
    (b"\x89HDF", "it is an HDF5 file", CONVERT),
    (b"\x89PNG", "it is a PNG picture", PICTURE),
    (b"\xff\xd8\xff", "it is a JPEG picture", PICTURE),
    (b"GIF8", "it is a GIF picture", PICTURE),
    (b"%PDF", "it is a PDF document", DOWNLOAD),
    (b"\x1f\x8b", "it is a gzip archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "it is a Zstandard archive", UNPACK),
    (b"\xfd7zXZ", "it is an xz archive", UNPACK),
    (b"BZh", "it is a bzip2 archive", UNPACK),
    (b"7z\xbc\xaf", "it is a 7z archive", UNPACK),
    (b"\x7fELF", "it is a program", "give the path of a .gguf file"),
];
