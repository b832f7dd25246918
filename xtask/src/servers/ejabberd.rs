//! ejabberd 23.01 as an Erlang node, alone or in a cluster: its configuration, its
//! accounts, its process.
//!
//! No epmd and no second Erlang machine to give orders are needed: the node looks
//! every 20 ms for an expression in `DIR/order.erl` and leaves the answer in
//! `DIR/answer`. ejabberd writes accounts to disk only every 2 s; the order
//! that adds one also flushes, so that a SIGKILL does not lose it.

use super::daemon::Daemon;
use super::ready;
use super::state::{Cluster, State};
use crate::failure::{Context, Failure, Outcome};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Writes the configuration, starts ejabberd, waits for it, adds the accounts.
pub(crate) fn start(state: &mut State, limit: Duration) -> Outcome {
    let library = library()?;
    let spool = state.dir.join("spool");
    fs::create_dir_all(&spool).doing("create", &spool)?;
    let database = archive_database(state);
    let path = state.dir.join("ejabberd.yml");
    fs::write(&path, configuration(state, database.as_deref())).doing("write", &path)?;
    // An order that a killed node left behind is not meant for this one.
    let _ = fs::remove_file(state.dir.join("order.erl"));

    let output = state.dir.join("ejabberd.out");
    let mut command = Command::new("erl");
    command.args(["-noinput", "+K", "true", "+P", "250000", "+sbwt", "none"]);
    command.args(["-mnesia", "dir", &format!("\"{}\"", spool.display())]);
    command.args(["-ejabberd", "log_rotate_count", "0"]);
    if let Some(cluster) = &state.options.cluster {
        distribute(&mut command, cluster);
    }
    if let Some(database) = database.as_deref().filter(|path| !path.exists()) {
        let schema = library.join("priv/sql/lite.sql");
        command.args(["-eval", &make_database(database, &schema)]);
    }
    command.args(["-s", "ejabberd", "-eval", ORDERS]);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("ERL_") || name_text.starts_with("EJABBERD_") {
            command.env_remove(&name);
        }
    }
    command
        .env("ERL_LIBS", library.parent().unwrap_or(&library))
        .env("EJABBERD_CONFIG_PATH", &path)
        .env("EJABBERD_LOG_PATH", &state.log)
        .env("ERL_CRASH_DUMP_BYTES", "0")
        .env("ERL_MAX_ETS_TABLES", "2053")
        .env("HOME", &state.dir)
        .current_dir(&state.dir);
    let daemon = Daemon::spawn(command, &output)?;
    state.process = Some(daemon);
    state.save()?;
    let logs = [output.as_path(), state.log.as_path()];
    ready::wait(daemon, state, limit, &logs)?;
    join(state, daemon, limit, &logs)?;
    add_users(state, state.users.iter())
}

/// The options that let a node speak with others.
fn distribute(command: &mut Command, cluster: &Cluster) {
    let address = cluster.address.to_string().replace('.', ",");
    command
        .args(["-name", &node_name(cluster.address)])
        .args(["-setcookie", &cluster.secret, "-start_epmd", "false"])
        .args(["-erl_epmd_port", &cluster.port.to_string()])
        .args(["-kernel", "inet_dist_use_interface"])
        .arg(format!("{{{address}}}"))
        // Also in the configuration: ejabberd would set its own default again.
        .args(["-kernel", "net_ticktime", &TICK.to_string()]);
}

/// Seconds after which a silent node counts as dead.
const TICK: u32 = 8;

fn node_name(address: Ipv4Addr) -> String {
    format!("chaos@{address}")
}

/// Joins the first node, on the first start only: a mark in the folder says that it is done.
/// Joining restarts ejabberd inside its process.
fn join(state: &State, daemon: Daemon, limit: Duration, logs: &[&Path]) -> Outcome {
    let joined = state.dir.join("joined");
    let first = state.options.cluster.as_ref().and_then(|c| c.first);
    let Some(first) = first.filter(|_| !joined.exists()) else {
        return Ok(());
    };
    let name = node_name(first);
    let answer = give_order(state, &format!("ejabberd_cluster:join('{name}')."))?;
    if answer != "ok" {
        return Err(Failure::Server {
            server: "ejabberd",
            why: format!("did not join the cluster: {answer}"),
            logs: String::new(),
        });
    }
    ready::wait(daemon, state, limit, logs)?;
    fs::write(&joined, name).doing("write", &joined)
}

/// Adds accounts to a running node, or changes their passwords.
pub(crate) fn add_users<'a>(
    state: &State,
    users: impl Iterator<Item = (&'a String, &'a String)>,
) -> Outcome {
    let mut order = String::new();
    let host = erlang(&state.domain);
    for (name, password) in users {
        let (name, password) = (erlang(name), erlang(password));
        let _ = write!(
            order,
            "case ejabberd_auth:try_register({name}, {host}, {password}) of \
             ok -> ok; {{error, exists}} -> ok = ejabberd_auth:set_password({name}, {host}, {password}) end, "
        );
    }
    if order.is_empty() {
        return Ok(());
    }
    order += "mnesia:sync_log().";
    let answer = give_order(state, &order)?;
    if answer == "ok" {
        return Ok(());
    }
    Err(Failure::Server {
        server: "ejabberd",
        why: format!("did not add the accounts: {answer}"),
        logs: String::new(),
    })
}

/// The node's loop: see the head of this file.
const ORDERS: &str = r#"
spawn(fun() ->
  Loop = fun(Again) ->
    receive after 20 -> ok end,
    case file:rename("order.erl", "order.now") of
      ok ->
        Answer = try file:script("order.now") of
          {ok, Value} -> io_lib:format("~0p", [Value]);
          Error -> io_lib:format("~0p", [Error])
        catch Class:Reason -> io_lib:format("~0p", [{Class, Reason}])
        end,
        ok = file:write_file("answer.new", unicode:characters_to_binary(Answer)),
        ok = file:rename("answer.new", "answer");
      _ -> ok
    end,
    Again(Again)
  end,
  Loop(Loop)
end)."#;

/// Has the node evaluate Erlang expressions, which end in a full stop, and
/// returns the last one's value as text.
fn give_order(state: &State, order: &str) -> Outcome<String> {
    let (path, new) = (state.dir.join("order.erl"), state.dir.join("order.new"));
    let answer = state.dir.join("answer");
    let _ = fs::remove_file(&answer);
    fs::write(&new, order).doing("write", &new)?;
    fs::rename(&new, &path).doing("write", &path)?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        if let Ok(text) = fs::read_to_string(&answer) {
            return Ok(text);
        }
        sleep(Duration::from_millis(10));
    }
    Err(Failure::Server {
        server: "ejabberd",
        why: "did not carry out an order within 20 s (is it paused?)".to_owned(),
        logs: String::new(),
    })
}

fn configuration(state: &State, database: Option<&Path>) -> String {
    let options = &state.options;
    let ports = state.ports;
    let mut tls = vec!["no_sslv3", "no_tlsv1", "no_tlsv1_1"];
    match options.tls_protocol.as_deref() {
        Some("tlsv1_2") => tls.push("no_tlsv1_3"),
        Some("tlsv1_3") => tls.push("no_tlsv1_2"),
        _ => {}
    }
    let size = options.stanza_size.unwrap_or(262_144);
    let client = |port: u16, key: &str| {
        let mut listener = json!({
            "port": port, "ip": "127.0.0.1", "module": "ejabberd_c2s",
            "max_stanza_size": size, "access": "all", "shaper": "none",
        });
        listener[key] = true.into();
        listener
    };
    let mut starttls = client(ports.starttls, "starttls");
    starttls["starttls_required"] = true.into();
    let mut handlers = json!({ "/ws": "ejabberd_http_ws" });
    if options.uploads {
        handlers["/upload"] = "mod_http_upload".into();
    }
    let web = |port: u16, tls: bool| {
        json!({
            "port": port, "ip": "127.0.0.1", "module": "ejabberd_http", "tls": tls,
            "request_handlers": handlers,
        })
    };
    let mut modules = json!({
        "mod_adhoc": {}, "mod_blocking": {}, "mod_caps": {}, "mod_carboncopy": {},
        "mod_client_state": {}, "mod_disco": {}, "mod_last": {}, "mod_ping": {},
        "mod_privacy": {}, "mod_private": {}, "mod_roster": { "versioning": true },
        "mod_time": {}, "mod_vcard": { "search": false }, "mod_version": {},
        "mod_muc": {
            "access": ["allow"], "access_create": "all", "access_persistent": "all",
            "default_room_options": { "mam": !options.no_mam, "persistent": false },
        },
        "mod_pubsub": {
            "access_createnode": "all", "plugins": ["flat", "pep"], "last_item_cache": false,
            "max_items_node": 10_000,
        },
    });
    if options.registration {
        modules["mod_register"] = json!({ "access": "all", "ip_access": "all" });
    }
    if options.uploads {
        let url = format!("http://localhost:{}/upload", ports.http);
        modules["mod_http_upload"] = json!({
            "host": "upload.@HOST@", "access": "all", "put_url": url, "get_url": url, "max_size": 1_048_576,
            "docroot": state.dir.join("uploads").to_string_lossy(),
        });
    }
    if !options.no_smacks {
        modules["mod_stream_mgmt"] = json!({
            "resume_timeout": options.hibernation, "max_resume_timeout": options.hibernation,
            "max_ack_queue": options.sm_queue, "resend_on_timeout": "if_offline",
        });
    }
    if !options.no_offline {
        modules["mod_offline"] = json!({ "access_max_user_messages": "max_offline" });
    }
    if !options.no_mam {
        modules["mod_mam"] = json!({
            "default": "always", "request_activates_archiving": false,
            "db_type": if database.is_some() { "sql" } else { "mnesia" },
        });
    }
    let mut top = json!({
        "hosts": [state.domain], "log_rotate_count": 0,
        "loglevel": if options.debug { "debug" } else { "info" },
        "certfiles": [state.certificate("pem")],
        "c2s_protocol_options": tls,
        "disable_sasl_mechanisms": ["digest-md5", "X-OAUTH2"],
        "auth_method": ["internal"], "auth_password_format": "plain",
        "registration_timeout": "infinity",
        // Federation is off.
        "s2s_access": "none",
        "shaper_rules": { "max_offline": "infinity", "max_user_sessions": 100 },
        "listen": [
            starttls, client(ports.direct_tls, "tls"), web(ports.http, false), web(ports.https, true),
        ],
        "modules": modules,
    });
    if let Some((name, secret)) = &options.component {
        let listener = json!({
            "port": ports.component, "ip": "127.0.0.1", "module": "ejabberd_service",
            "access": "all", "shaper_rule": "none",
            "hosts": { format!("{name}.{}", state.domain): { "password": secret } },
        });
        if let Some(listeners) = top["listen"].as_array_mut() {
            listeners.push(listener);
        }
    }
    if options.cluster.is_some() {
        top["net_ticktime"] = format!("{TICK}s").into();
    }
    if let Some(path) = database {
        top["sql_type"] = "sqlite".into();
        top["sql_database"] = Value::from(path.to_string_lossy());
    }
    // Every JSON value is YAML; one key a line keeps it readable.
    top.as_object()
        .into_iter()
        .flatten()
        .fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "{key}: {value}");
            text
        })
}

/// Where the archive lies in SQLite, when ejabberd can use it: its own store
/// gets slower with every message.
fn archive_database(state: &State) -> Option<PathBuf> {
    let driver = fs::read_dir("/usr/lib/erlang/lib")
        .ok()?
        .flatten()
        .any(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("p1_sqlite3-")
        });
    (driver && !state.options.no_mam).then(|| state.dir.join("archive.sqlite"))
}

/// Erlang that makes the archive's tables from ejabberd's own schema.
fn make_database(database: &Path, schema: &Path) -> String {
    format!(
        "{{ok, _}} = application:ensure_all_started(sqlite3), \
         {{ok, Schema}} = file:read_file({}), \
         {{ok, _}} = sqlite3:open(making, [{{file, {}}}]), \
         sqlite3:sql_exec_script(making, Schema), \
         sqlite3:sql_exec(making, \"PRAGMA journal_mode=WAL\"), \
         sqlite3:close(making).",
        erlang_string(schema),
        erlang_string(database),
    )
}

/// The folder of ejabberd's application; its neighbours are what it needs.
fn library() -> Outcome<PathBuf> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let mut found: Vec<_> = fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found
    };
    let mut roots = folders(Path::new("/usr/lib"));
    roots.push(PathBuf::from("/usr/lib/erlang/lib"));
    roots
        .iter()
        .filter(|root| root.is_dir())
        .flat_map(|root| folders(root))
        .filter(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("ejabberd-"))
        })
        .rfind(|path| path.join("ebin/ejabberd.app").exists())
        .ok_or_else(|| {
            Failure::Missing("ejabberd is not installed: run `apt-get install ejabberd`".to_owned())
        })
}

/// An Erlang binary of the text's UTF-8 bytes; nothing in it can end it.
fn erlang(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    format!("<<{}>>", bytes.join(","))
}

fn erlang_string(path: &Path) -> String {
    let text = path
        .to_string_lossy()
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_cannot_leave_its_erlang_binary() {
        assert_eq!(erlang("é\">>"), "<<195,169,34,62,62>>");
    }
}
