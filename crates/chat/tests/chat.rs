//! `stanchion chat` as a process.

use std::process::{Command, Stdio};

#[test]
fn a_chat_without_a_terminal_says_what_works_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stanchion"))
        .arg("chat")
        .env("HOME", folder.path())
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .env_remove("STANCHION_JID")
        .env_remove("STANCHION_CONFIG")
        .env_remove("STANCHION_PASSWORD")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("needs a terminal") && told.contains("stanchion send"),
        "{told}"
    );
    assert!(output.stdout.is_empty(), "nothing is drawn into a pipe");
}
