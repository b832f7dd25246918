//! Servers from a TOML file. A mistake is told with its line and never with its text,
//! which may be a password in the wrong place.

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use stanchion::BareJid;
use stanchion::connect::registry::Server;
use toml::Spanned;

use super::entry::{Entry, endpoint, mechanism};
use crate::exit::Failure;
use crate::settings::{line_of, only_for_owner, read_password, toml_failure};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    server: Vec<Spanned<Table>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    jid: Spanned<String>,
    #[serde(default, deserialize_with = "secret")]
    password: Option<SecretString>,
    password_file: Option<Spanned<PathBuf>>,
    resource: Option<String>,
    #[serde(default)]
    endpoints: Vec<Spanned<String>>,
    #[serde(default)]
    ca: Vec<PathBuf>,
    pin: Option<Spanned<String>>,
    #[serde(default)]
    native_roots: bool,
    #[serde(default)]
    priority: u16,
    #[serde(default)]
    insecure_plaintext: bool,
    min_mechanism: Option<Spanned<String>>,
    #[serde(default)]
    require_binding: bool,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Into::into))
}

/// Reads the servers of a file. Paths in it are seen from its folder.
///
/// # Errors
/// The first mistake, with its line.
pub(super) fn read(path: &Path) -> Result<Vec<Server>, Failure> {
    let wrong = |what: String| Failure::usage(format!("{}: {what}", path.display()));
    let mut opened = std::fs::File::open(path).map_err(|e| wrong(e.to_string()))?;
    let mut text = String::new();
    opened
        .read_to_string(&mut text)
        .map_err(|e| wrong(e.to_string()))?;
    let file: File = toml::from_str(&text).map_err(|e| toml_failure(path, &text, &e))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let at = |span: Range<usize>, what: String| {
        let line = line_of(&text, span.start);
        Failure::usage(format!("{}, line {line}: {what}", path.display()))
    };
    if file.server.is_empty() {
        return Err(wrong("it has no [[server]] table".to_owned()));
    }
    if file.server.iter().any(|s| s.get_ref().password.is_some()) {
        only_for_owner(&opened).map_err(wrong)?;
    }
    let mut servers: Vec<Server> = Vec::with_capacity(file.server.len());
    for table in file.server {
        let span = table.span();
        let entry = entry(table.into_inner(), folder, &at)?;
        if servers.iter().any(|s| s.account.jid == entry.jid) {
            return Err(at(span, format!("{} is there twice", entry.jid)));
        }
        servers.push(entry.server().map_err(|what| at(span, what))?);
    }
    Ok(servers)
}

fn entry(
    table: Table,
    folder: &Path,
    at: &impl Fn(Range<usize>, String) -> Failure,
) -> Result<Entry, Failure> {
    let jid_at = table.jid.span();
    let jid: BareJid = parse(&table.jid, at, |t| t.parse().map_err(display))?;
    let password = match (table.password, table.password_file) {
        (Some(password), None) => password,
        (None, Some(file)) => {
            let path = folder.join(file.get_ref());
            read_password(&path).map_err(|failure| at(file.span(), failure.message))?
        }
        (None, None) => {
            let what = format!("no password for {jid}: set password_file, or password");
            return Err(at(jid_at, what));
        }
        (Some(_), Some(file)) => {
            let what = "both password and password_file are set; leave one out".to_owned();
            return Err(at(file.span(), what));
        }
    };
    let endpoints = table.endpoints.iter().map(|t| parse(t, at, endpoint));
    Ok(Entry {
        jid,
        password,
        resource: table.resource,
        endpoints: endpoints.collect::<Result<_, _>>()?,
        ca: table.ca.iter().map(|path| folder.join(path)).collect(),
        pin: table
            .pin
            .map(|text| parse(&text, at, |t| t.parse().map_err(display)))
            .transpose()?,
        native_roots: table.native_roots,
        priority: table.priority,
        insecure_plaintext: table.insecure_plaintext,
        min_mechanism: table
            .min_mechanism
            .map(|text| parse(&text, at, mechanism))
            .transpose()?,
        require_binding: table.require_binding,
    })
}

fn parse<T>(
    text: &Spanned<String>,
    at: &impl Fn(Range<usize>, String) -> Failure,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    read(text.get_ref()).map_err(|what| at(text.span(), what))
}

fn display(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use stanchion::connect::Endpoints;
    use stanchion::connect::config::Plaintext;
    use stanchion_sasl::policy::ChannelBindingPolicy;

    use super::*;

    fn import(text: &str) -> Result<Vec<Server>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servers.toml");
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        read(&path).map_err(|failure| failure.message)
    }

    #[test]
    fn every_key_has_its_effect() {
        let servers = import(
            "[[server]]
             jid = 'lamp@home.example'
             password = 'hunter2'
             [[server]]
             jid = 'lamp@plant.example'
             password = 'hunter2'
             resource = 'lamp'
             endpoints = ['192.0.2.7:5222', 'xmpps://a.example:443']
             pin = '9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08'
             native_roots = true
             priority = 10
             insecure_plaintext = true
             min_mechanism = 'SCRAM-SHA-256'
             require_binding = true",
        )
        .unwrap();
        let [home, plant] = &servers[..] else {
            panic!("{servers:?}")
        };
        assert_eq!(home.endpoints, Endpoints::Discover);
        assert_eq!((home.priority, home.plaintext), (0, Plaintext::Refuse));
        let Endpoints::Explicit(places) = &plant.endpoints else {
            panic!("{plant:?}")
        };
        assert_eq!(places.len(), 2);
        assert_eq!(plant.account.resource.as_ref().unwrap().as_str(), "lamp");
        assert!(plant.tls.pin.is_some());
        assert_eq!(plant.tls.roots, [stanchion::Roots::Native]);
        assert_eq!((plant.priority, plant.plaintext), (10, Plaintext::Allow));
        assert_eq!(plant.sasl.minimum.as_str(), "SCRAM-SHA-256");
        assert_eq!(plant.sasl.channel_binding, ChannelBindingPolicy::Require);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_without_a_password() {
        for (text, line, told) in [
            (
                "[[server]]\njid = 'a@b.c'\npasword = 'hunter2'\n",
                3,
                "pasword",
            ),
            ("[[server]]\njid = 'a@b.c'\npassword = 'hunter2\n", 3, ""),
            ("[[server]]\njid = 'a@b.c'\nhunter2\n", 3, ""),
            (
                "[[server]]\njid = 'a@b.c'\npriority = 'hunter2'\n",
                3,
                "expected u16",
            ),
            (
                "[[server]]\njid = 'a@b.c'\nnative_roots = 'hunter2, expected hunter2'\n",
                3,
                "expected a boolean",
            ),
            (
                "[[server]]\njid = 'a@b.c'\npassword = ['hunter2']\n",
                3,
                "expected a string",
            ),
            (
                "[[server]]\njid = 'b.c'\npassword = 'hunter2'\n",
                1,
                "a domain",
            ),
            ("[[server]]\njid = 'a@b.c'\n", 2, "no password"),
            (
                "[[server]]\njid = 'a@b.c'\npassword = 'hunter2'\npassword_file = 'x'\n",
                4,
                "leave one out",
            ),
            (
                "[[server]]\njid = 'a@b.c'\npassword = 'hunter2'\nendpoints = [\n 'a:1',\n 'b'\n]\n",
                6,
                "HOST:PORT",
            ),
            (
                "[[server]]\njid = 'a@b.c'\npassword = 'hunter2'\npin = 'ab'\n",
                4,
                "SHA-256",
            ),
            (
                "[[server]]\njid = 'a@b.c'\npassword = 'hunter2'\nmin_mechanism = 'x'\n",
                4,
                "SCRAM-SHA-256",
            ),
            (
                "[[server]]\njid = 'a@b.c'\npassword = 'hunter2'\nca = ['none.pem']\n",
                1,
                "none.pem",
            ),
            (
                "[[server]]\njid = 'a@b.c'\npassword = 'hunter2'\n[[server]]\njid = 'A@b.c'\npassword = 'hunter2'\n",
                4,
                "twice",
            ),
            ("[[servers]]\n", 1, "servers"),
        ] {
            let message = import(text).unwrap_err();
            assert!(
                message.contains(&format!("line {line}: ")),
                "{text}: {message}"
            );
            assert!(message.contains(told), "{text}: {message}");
            assert!(
                !message.contains("hunter2") && !message.contains('\n'),
                "{message}"
            );
        }
        assert!(import("").unwrap_err().contains("[[server]]"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_with_passwords_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servers.toml");
        std::fs::write(&path, "[[server]]\njid = 'a@b.c'\npassword = 'hunter2'\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let message = read(&path).unwrap_err().message;
        assert!(message.contains("chmod 600"), "{message}");
    }
}
