//! Files under `--media-path`, and none beside it.

use std::fs::{self, File};
use std::path::{Component, Path};

/// Opens what follows `file://`, which is relative to `root`. Links are followed first, and what they lead to must lie under
/// `root` too.
///
/// # Errors
/// The fact and the fix; what lies elsewhere is told from what is not there by nothing.
pub fn open(root: &Path, path: &str) -> Result<File, String> {
    let missing = || format!("there is no file {path} under the folder for media; check its name");
    let relative = Path::new(path.trim_start_matches('/'));
    if relative.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
        || path.contains('\0')
    {
        return Err("a file URL names a file under the folder for media; leave out \"..\" and drives".to_owned());
    }
    let root = root.canonicalize().map_err(|error| format!("the folder for media cannot be read: {error}"))?;
    let real = root.join(relative).canonicalize().map_err(|_| missing())?;
    // A pipe or a device would never end.
    let is_file = real.starts_with(&root) && fs::metadata(&real).is_ok_and(|facts| facts.is_file());
    if !is_file {
        return Err(missing());
    }
    File::open(&real).map_err(|error| format!("the file {path} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn read(root: &Path, path: &str) -> Result<String, String> {
        let mut text = String::new();
        open(root, path)?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn only_what_lies_under_the_root_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("media");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("a.png"), "a").unwrap();
        fs::write(root.join("sub/b c.png"), "b").unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        for (path, text) in [("a.png", "a"), ("/a.png", "a"), ("./a.png", "a"), ("///sub/b c.png", "b")] {
            assert_eq!(read(&root, path).as_deref(), Ok(text), "{path}");
        }
        let absolute = dir.path().join("secret");
        for path in [
            "../secret",
            "sub/../../secret",
            "sub/../a.png",
            "sub",
            "",
            "/",
            "none.png",
            "a\0b",
            absolute.to_str().unwrap(),
        ] {
            assert!(read(&root, path).is_err(), "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_out() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("media");
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("a.png"), "a").unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        symlink(dir.path().join("secret"), root.join("out.png")).unwrap();
        symlink(dir.path(), root.join("up")).unwrap();
        symlink("a.png", root.join("in.png")).unwrap();
        assert_eq!(read(&root, "in.png").as_deref(), Ok("a"));
        let missing = read(&root, "out.png").unwrap_err();
        assert!(missing.starts_with("there is no file"), "{missing}");
        assert!(read(&root, "up/secret").is_err());
        // The root itself may be one.
        symlink(&root, dir.path().join("link")).unwrap();
        assert_eq!(read(&dir.path().join("link"), "a.png").as_deref(), Ok("a"));
    }
}
