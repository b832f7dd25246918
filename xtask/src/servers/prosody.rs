//! Prosody 0.12: its configuration, its accounts, its process.

use super::daemon::Daemon;
use super::ready;
use super::state::State;
use crate::failure::{Context, Failure, Outcome};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Modules of our own, written into the folder at every start.
const MODULES: [(&str, &str); 4] = [
    (
        "mod_auth_stanchion.lua",
        include_str!("prosody/mod_auth_stanchion.lua"),
    ),
    (
        "mod_neighbours.lua",
        include_str!("prosody/mod_neighbours.lua"),
    ),
    (
        "mod_pubsub_everybody.lua",
        include_str!("prosody/mod_pubsub_everybody.lua"),
    ),
    (
        "mod_sasl2_bridge.lua",
        include_str!("prosody/mod_sasl2_bridge.lua"),
    ),
];

/// Writes configuration and accounts, starts Prosody and waits for it.
pub(crate) fn start(state: &mut State, limit: Duration) -> Outcome {
    if state.options.sasl2 && !has_community_modules() {
        return Err(Failure::Missing(
            "--sasl2 needs Prosody's community modules: run `apt-get install prosody-modules`"
                .to_owned(),
        ));
    }
    let modules = state.dir.join("modules");
    fs::create_dir_all(&modules).doing("create", &modules)?;
    for (name, text) in MODULES {
        let path = modules.join(name);
        fs::write(&path, text).doing("write", &path)?;
    }
    let path = state.dir.join("prosody.cfg.lua");
    fs::write(&path, configuration(state)).doing("write", &path)?;
    for (name, password) in &state.users {
        add_user(state, name, password)?;
    }
    let output = state.dir.join("prosody.out");
    let mut command = Command::new("prosody");
    command
        .arg("-F")
        .arg("--config")
        .arg(&path)
        .current_dir(&state.dir);
    let daemon = Daemon::spawn(command, &output)?;
    state.process = Some(daemon);
    state.save()?;
    let logs = [output.as_path(), state.log.as_path()];
    ready::wait(daemon, state, limit, &logs)
}

/// Whether the modules for SASL2 are installed; Debian puts them here.
pub(crate) fn has_community_modules() -> bool {
    Path::new("/usr/lib/prosody/modules/mod_sasl2").is_dir()
}

/// Adds an account or changes its password; Prosody reads accounts afresh at
/// every login, so this works while it runs.
pub(crate) fn add_user(state: &State, name: &str, password: &str) -> Outcome {
    let folder = state
        .dir
        .join("data")
        .join(store_name(&state.domain))
        .join("accounts");
    fs::create_dir_all(&folder).doing("create", &folder)?;
    let path = folder.join(format!("{}.dat", store_name(name)));
    let new = path.with_extension("new");
    fs::write(
        &new,
        format!("return {{ password = {} }};\n", lua(password)),
    )
    .doing("write", &new)?;
    fs::rename(&new, &path).doing("write", &path)
}

fn configuration(state: &State) -> String {
    let options = &state.options;
    let mut modules = vec![
        "roster",
        "saslauth",
        "tls",
        "disco",
        "ping",
        "time",
        "version",
        "private",
        "vcard4",
        "blocklist",
        "carbons",
        "pep",
        "csi_simple",
        "websocket",
        "posix",
    ];
    let mut disabled = Vec::new();
    match &options.federation {
        Some(_) => modules.extend(["s2s", "s2s_auth_certs", "neighbours"]),
        None => disabled.push("s2s"),
    }
    for (off, name) in [
        (options.no_mam, "mam"),
        (options.no_offline, "offline"),
        (options.no_smacks, "smacks"),
    ] {
        if off { &mut disabled } else { &mut modules }.push(name);
    }
    if options.registration {
        modules.extend(["register_ibr", "user_account_management"]);
    }
    if options.sasl2 {
        modules.extend([
            "sasl2_bridge",
            "sasl2",
            "sasl2_bind2",
            "sasl2_fast",
            "sasl2_sm",
        ]);
    }
    let (dir, domain, ports) = (&state.dir, &state.domain, state.ports);
    let mut text = String::from("-- Written at every start.\n");
    let mut set = |key: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {value};");
    };
    set("run_as_root", "true".to_owned());
    set("pidfile", lua_path(&dir.join("prosody.pid")));
    set("data_path", lua_path(&dir.join("data")));
    set("certificates", lua_path(&dir.join("certs")));
    set(
        "plugin_paths",
        format!("{{ {} }}", lua_path(&dir.join("modules"))),
    );
    for key in [
        "interfaces",
        "local_interfaces",
        "http_interfaces",
        "https_interfaces",
    ] {
        set(key, "{ \"127.0.0.1\" }".to_owned());
    }
    set("use_ipv6", "false".to_owned());
    set("c2s_ports", format!("{{ {} }}", ports.starttls));
    set(
        "c2s_direct_tls_ports",
        format!("{{ {} }}", ports.direct_tls),
    );
    set("http_ports", format!("{{ {} }}", ports.http));
    set("https_ports", format!("{{ {} }}", ports.https));
    // So that a client may name the domain or the address alike.
    set("http_default_host", lua(domain));
    set("consider_websocket_secure", "true".to_owned());
    set("c2s_require_encryption", "true".to_owned());
    if options.component.is_some() {
        set("component_ports", format!("{{ {} }}", ports.component));
        set("component_interfaces", "{ \"127.0.0.1\" }".to_owned());
    }
    if options.registration {
        set("allow_registration", "true".to_owned());
    }
    set(
        "authentication",
        lua(if options.stock {
            "internal_plain"
        } else {
            "stanchion"
        }),
    );
    set("stanchion_certificate", lua_path(&state.certificate("crt")));
    set("storage", lua("internal"));
    set("archive_expires_after", lua("never"));
    set("default_archive_policy", "true".to_owned());
    set("smacks_hibernation_time", options.hibernation.to_string());
    set("smacks_max_queue_size", options.sm_queue.to_string());
    if let Some(federation) = &options.federation {
        set("s2s_ports", format!("{{ {} }}", federation.port));
        set("s2s_require_encryption", "true".to_owned());
        set("s2s_secure_auth", "true".to_owned());
        set("s2s_ssl", format!("{{ cafile = {} }}", lua_path(&state.ca)));
        let ports: String = federation
            .neighbours
            .iter()
            .map(|(domain, port)| format!("[{}] = {port}; ", lua(domain)))
            .collect();
        set("neighbours", format!("{{ {ports}}}"));
    }
    if let Some(size) = options.stanza_size {
        set("c2s_stanza_size_limit", size.to_string());
    }
    if let Some(protocol) = &options.tls_protocol {
        set("ssl", format!("{{ protocol = {} }}", lua(protocol)));
    }
    let level = if options.debug { "debug" } else { "info" };
    set("log", format!("{{ {level} = {} }}", lua_path(&state.log)));
    set("modules_enabled", lua_list(&modules));
    set("modules_disabled", lua_list(&disabled));

    let muc_archive = if options.no_mam {
        "{ }"
    } else {
        "{ \"muc_mam\" }"
    };
    let _ = write!(
        text,
        r#"
VirtualHost {domain}
  http_host = {domain};
  disco_items = {{ {{ {pubsub}, "pubsub" }}, {{ {rooms}, "rooms" }} }};

Component {pubsub} "pubsub"
  modules_enabled = {{ "pubsub_everybody" }};
  autocreate_on_publish = true;
  autocreate_on_subscribe = true;
  expose_publisher = true;
  pubsub_max_items = 10000;

Component {rooms} "muc"
  modules_enabled = {muc_archive};
  muc_room_locking = false;
  muc_room_default_public = true;
  muc_log_by_default = true;
"#,
        domain = lua(domain),
        pubsub = lua(&format!("pubsub.{domain}")),
        rooms = lua(&format!("conference.{domain}")),
    );
    if let Some((name, secret)) = &options.component {
        let name = lua(&format!("{name}.{domain}"));
        let _ = write!(
            text,
            "\nComponent {name}\n  component_secret = {};\n",
            lua(secret)
        );
    }
    if options.uploads {
        let name = lua(&format!("upload.{domain}"));
        // By a name of its own: the address alone is the server's for WebSockets.
        let url = lua(&format!("http://localhost:{}/", ports.http));
        let _ = write!(
            text,
            "\nComponent {name} \"http_file_share\"\n  http_host = \"localhost\";\n  \
             http_external_url = {url};\n  http_file_share_size_limit = 1048576;\n",
        );
    }
    text
}

/// A Lua string literal; every byte but plain ASCII is escaped.
fn lua(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:03}");
            }
        }
    }
    out.push('"');
    out
}

fn lua_path(path: &Path) -> String {
    lua(&path.to_string_lossy())
}

fn lua_list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| lua(name)).collect();
    format!("{{ {} }}", quoted.join(", "))
}

/// A name as Prosody's file store writes it: all but ASCII letters and digits
/// as %xx.
fn store_name(name: &str) -> String {
    name.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02x}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_cannot_leave_its_lua_string() {
        assert_eq!(lua("a\"; os.exit() --\\\n"), r#""a\"; os.exit() --\\\010""#);
    }

    #[test]
    fn a_store_name_holds_no_path_separator() {
        assert_eq!(store_name("../a.b"), "%2e%2e%2fa%2eb");
    }
}
