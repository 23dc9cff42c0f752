//! Where the lines that were typed are remembered.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The history's file, in the user's folder for state; `None` if there is no such folder.
pub fn file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|_| !cfg!(target_os = "macos"));
    folder(state, std::env::home_dir().as_deref()).map(|folder| folder.join("sgl/chat-history"))
}

fn folder(state: Option<OsString>, home: Option<&Path>) -> Option<PathBuf> {
    let below_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/state" };
    state.map(PathBuf::from).filter(|state| state.is_absolute()).or_else(|| home.map(|home| home.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_folder_counts() {
        let home = Path::new("/home/me");
        let usual = folder(None, Some(home)).unwrap();
        assert!(usual.starts_with(home) && usual != home);
        for state in ["", "state"] {
            assert_eq!(folder(Some(state.into()), Some(home)), Some(usual.clone()));
        }
        let state = std::env::temp_dir();
        assert_eq!(folder(Some(state.clone().into()), Some(home)), Some(state));
        assert_eq!(folder(None, None), None);
    }
}
