//! Rule `sans-io`: cores without I/O name no socket, clock, thread, runtime or
//! source of randomness: time and entropy come in as inputs.

use super::{TextFile, Violation, scan};

const RULE: &str = "sans-io";

/// The cores: a crate's folder, and the module within it (empty: all of it).
const CORES: [(&str, &str); 24] = [
    ("crates/stanza", ""),
    ("crates/sasl", ""),
    ("crates/connect", "negotiation"),
    ("crates/connect", "resolve/order"),
    ("crates/connect", "backoff"),
    ("crates/connect", "health"),
    ("crates/reliability", "engine"),
    ("crates/services", "service"),
    ("crates/device", "model"),
    ("crates/device", "host/table"),
    ("crates/device", "outflow/queue"),
    ("crates/device", "adapters/coap/exchange"),
    ("crates/device", "adapters/llrp/codec"),
    ("crates/device", "adapters/llrp/session"),
    ("crates/device", "adapters/llrp/arrivals"),
    ("crates/device", "adapters/serial/p1/telegram"),
    ("crates/device", "adapters/serial/nmea/sentence"),
    ("crates/device", "adapters/serial/obd/elm"),
    ("crates/device", "adapters/serial/obd/pid"),
    ("crates/device", "adapters/serial/obd/session"),
    ("crates/device", "adapters/simulated/fleet"),
    ("crates/device", "adapters/simulated/kinds"),
    ("crates/hub", "stream"),
    ("crates/hub", "router"),
];

/// What a core may not name. Addresses of `std::net` are plain data.
const BANNED: [&str; 16] = [
    "tokio",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "ToSocketAddrs",
    "std::fs",
    "std::thread",
    "thread::spawn",
    "thread::sleep",
    "Instant::now",
    "SystemTime::now",
    "rand::",
    "getrandom",
    "Uuid::now_v7",
    "async fn",
];

pub(super) fn check(files: &[TextFile]) -> Vec<Violation> {
    let mut violations: Vec<_> = (files.iter())
        .filter(|file| is_service_state(&file.path))
        .flat_map(check_file)
        .collect();
    for (folder, module) in CORES {
        let source = format!("{folder}/src/");
        let mut found = false;
        for file in files
            .iter()
            .filter(|file| file.is_rust() && !scan::is_test_file(&file.path))
        {
            if file
                .path
                .strip_prefix(&source)
                .is_some_and(|path| belongs(path, module))
            {
                found = true;
                violations.extend(check_file(file));
            }
        }
        if !found {
            violations.push(Violation {
                file: format!("{folder}/Cargo.toml"),
                line: 1,
                rule: RULE,
                advice: format!(
                    "no module `{module}` is left: update the table in xtask/src/tidy/sans_io.rs"
                ),
            });
        }
    }
    violations
}

/// Each service's state machine has a file of that name, or a folder.
fn is_service_state(path: &str) -> bool {
    path.starts_with("crates/services/src/")
        && (path.ends_with("/state.rs") || path.contains("/state/"))
        && !scan::is_test_file(path)
}

/// Whether a path below `src` is the module's own file or lies in its folder.
fn belongs(path: &str, module: &str) -> bool {
    module.is_empty()
        || path
            .strip_prefix(module)
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn check_file(file: &TextFile) -> Vec<Violation> {
    let code = scan::code_without_tests(&file.text);
    BANNED
        .iter()
        .flat_map(|word| scan::find_words(&code, word).map(move |at| (at, *word)))
        .map(|(at, word)| {
            let advice = format!("`{word}` in a core: let the driver do it and hand the result in");
            file.violation(scan::line_at(&code, at), RULE, advice)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores_with(path: &str, text: &str) -> Vec<Violation> {
        let mut files: Vec<_> = CORES
            .iter()
            .map(|(folder, module)| {
                let name = if module.is_empty() { "lib" } else { module };
                TextFile::new(&format!("{folder}/src/{name}.rs"), "//! A core.\n")
            })
            .collect();
        files.push(TextFile::new(path, text));
        check(&files)
    }

    #[test]
    fn a_service_s_state_that_names_io_is_red() {
        let text = "//! A state.\nasync fn wait() {}\n";
        for path in ["roster/state.rs", "rooms/state/joining.rs"] {
            let violations = cores_with(&format!("crates/services/src/{path}"), text);
            assert_eq!(violations.len(), 1, "{path}");
        }
        assert!(cores_with("crates/services/src/roster/mod.rs", text).is_empty());
    }

    #[test]
    fn a_core_that_names_io_is_red() {
        for word in BANNED {
            let found = cores_with(
                "crates/reliability/src/engine/window.rs",
                &format!("//! W.\nx({word})\n"),
            );
            assert!(
                found.iter().any(|v| v.rule == RULE && v.line == 2),
                "{word}"
            );
        }
    }

    #[test]
    fn its_tests_and_comments_may_name_it() {
        let text = "//! No tokio here.\n#[cfg(test)]\nmod tests {\n    use tokio::x;\n}\n";
        assert_eq!(cores_with("crates/stanza/src/a.rs", text), []);
    }

    #[test]
    fn a_driver_may_name_it() {
        assert_eq!(
            cores_with(
                "crates/reliability/src/driver.rs",
                "//! D.\nuse tokio::x;\n"
            ),
            []
        );
    }

    #[test]
    fn a_core_that_was_renamed_is_red() {
        assert!(check(&[]).len() == CORES.len());
    }
}
