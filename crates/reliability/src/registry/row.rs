//! A server as columns, and back. Owns the numbers and words that stand for its fields,
//! and the bounds of what is kept; the statements are in `table`.

use std::path::PathBuf;

use rusqlite::types::FromSql;
use rusqlite::{Row, named_params};
use secrecy::ExposeSecret as _;
use stanchion_connect::config::{Account, Endpoints, Plaintext};
use stanchion_connect::registry::{MAX_ENDPOINTS, Server, read_place, write_place};
use stanchion_sasl::mechanism::Mechanism;
use stanchion_sasl::policy::{ChannelBindingPolicy, ScramLimits};
use stanchion_sasl::{Credentials, Policy};
use stanchion_stanza::Text;
use stanchion_transport::TlsPolicy;
use stanchion_transport::security::TlsVersion;
use stanchion_transport::tls::{Identity, Roots};

/// Sources of trust that are kept for one server, at most.
pub const MAX_ROOTS: usize = 64;

/// Bytes of PEM that are kept for one server, at most.
pub const MAX_TRUSTED: usize = 1024 * 1024;

/// The longest user name, password, identity or resource that is kept, in bytes; and the
/// largest client certificate with its chain, or its key.
pub const MAX_SECRET: usize = 64 * 1024;

/// What is wrong with an entry, or cannot be kept of a server.
pub(super) type Fault = &'static str;

/// A server in the form of its columns, without its account.
pub(super) struct Columns<'a> {
    server: &'a Server,
    credentials: i64,
    authcid: Option<&'a str>,
    password: Option<&'a str>,
    authzid: Option<&'a str>,
    client_chain: Option<Vec<u8>>,
    min_tls: i64,
    /// `None`: they are in DNS.
    pub(super) places: Option<Vec<String>>,
    pub(super) roots: Vec<(i64, Option<&'a [u8]>)>,
}

impl<'a> Columns<'a> {
    /// # Errors
    /// What there is no column for, and what is too large.
    pub(super) fn of(server: &'a Server) -> Result<Self, Fault> {
        let (credentials, authcid, password, authzid) = match &server.account.credentials {
            Credentials::Password {
                authcid,
                password,
                authzid,
            } => (
                0,
                Some(authcid.as_str()),
                Some(password.expose_secret()),
                authzid.as_deref(),
            ),
            Credentials::Certificate { authzid } => (1, None, None, authzid.as_deref()),
            Credentials::Anonymous => (2, None, None, None),
            _ => return Err("its kind of credentials"),
        };
        let identity = server.tls.client_certificate.as_ref();
        let columns = Self {
            server,
            credentials,
            authcid,
            password,
            authzid,
            client_chain: identity.map(pack),
            min_tls: match server.tls.min_version {
                TlsVersion::Tls12 => 12,
                TlsVersion::Tls13 => 13,
                _ => return Err("its oldest version of TLS"),
            },
            places: match &server.endpoints {
                Endpoints::Discover => None,
                Endpoints::Explicit(endpoints) => Some(
                    endpoints
                        .iter()
                        .map(write_place)
                        .collect::<Option<_>>()
                        .ok_or("an endpoint's host")?,
                ),
                _ => return Err("its kind of endpoints"),
            },
            roots: server
                .tls
                .roots
                .iter()
                .map(root)
                .collect::<Result<_, _>>()?,
        };
        columns.check()?;
        Ok(columns)
    }

    fn check(&self) -> Result<(), Fault> {
        let texts = [
            self.authcid,
            self.password,
            self.authzid,
            self.server.account.resource.as_ref().map(Text::as_str),
        ];
        if texts.into_iter().flatten().any(|t| t.len() > MAX_SECRET) {
            return Err("a user name, password, identity or resource is too long");
        }
        let chain = self.client_chain.as_ref().map_or(0, Vec::len);
        if chain > MAX_SECRET || self.client_key().is_some_and(|k| k.len() > MAX_SECRET) {
            return Err("the client certificate is too large");
        }
        if self
            .places
            .as_ref()
            .is_some_and(|p| p.len() > MAX_ENDPOINTS)
        {
            return Err("there are too many endpoints");
        }
        let trusted: usize = self
            .roots
            .iter()
            .filter_map(|(_, v)| Some(v.as_ref()?.len()))
            .sum();
        if self.roots.len() > MAX_ROOTS || trusted > MAX_TRUSTED {
            return Err("there are too many trusted certificates");
        }
        Ok(())
    }

    fn client_key(&self) -> Option<&[u8]> {
        let identity = self.server.tls.client_certificate.as_ref();
        identity.map(Identity::private_key)
    }

    /// Binds the columns to a statement that names them all.
    pub(super) fn with<T>(
        &self,
        account: &str,
        execute: impl FnOnce(&[(&str, &dyn rusqlite::ToSql)]) -> T,
    ) -> T {
        let Server {
            account: of,
            tls,
            sasl,
            plaintext,
            priority,
            ..
        } = self.server;
        let scram = sasl.scram;
        execute(named_params! {
            ":account": account,
            ":priority": priority,
            ":resource": of.resource.as_ref().map(Text::as_str),
            ":credentials": self.credentials,
            ":authcid": self.authcid,
            ":password": self.password,
            ":authzid": self.authzid,
            ":explicit": self.places.is_some(),
            ":pin": tls.pin.as_ref().map(|pin| pin.as_bytes().as_slice()),
            ":client_chain": self.client_chain,
            ":client_key": self.client_key(),
            ":min_tls": self.min_tls,
            ":channel_binding": match sasl.channel_binding {
                ChannelBindingPolicy::Require => 1,
                ChannelBindingPolicy::Never => 2,
                _ => 0,
            },
            ":min_mechanism": sasl.minimum.as_str(),
            ":plain_without_tls": sasl.allow_plain_without_tls,
            ":prefer_external": sasl.prefer_external,
            ":min_iterations": scram.min_iterations,
            ":max_iterations": scram.max_iterations,
            ":max_salt": i64::try_from(scram.max_salt).unwrap_or(i64::MAX),
            ":plaintext": *plaintext == Plaintext::Allow,
        })
    }
}

/// Reads the row of `account`, and puts it together with its endpoints and its roots.
///
/// # Errors
/// Which part cannot be read.
pub(super) fn server(
    account: &str,
    row: &Row<'_>,
    places: &[String],
    roots: Vec<(i64, Option<Vec<u8>>)>,
) -> Result<Server, Fault> {
    let jid = account.parse().map_err(|_| "account")?;
    let authzid = column(row, "authzid")?;
    let credentials = match column::<i64>(row, "credentials")? {
        0 => Credentials::Password {
            authcid: required(row, "authcid")?,
            password: required::<String>(row, "password")?.into(),
            authzid,
        },
        1 => Credentials::Certificate { authzid },
        2 => Credentials::Anonymous,
        _ => return Err("credentials"),
    };
    let resource = column::<Option<String>>(row, "resource")?
        .map(Text::new)
        .transpose()
        .map_err(|_| "resource")?;
    let endpoints = if flag(row, "explicit")? {
        let places = places.iter().map(|place| read_place(place));
        Endpoints::Explicit(places.collect::<Result<_, _>>().map_err(|_| "endpoints")?)
    } else {
        Endpoints::Discover
    };
    let client_chain: Option<Vec<u8>> = column(row, "client_chain")?;
    let client_key: Option<Vec<u8>> = column(row, "client_key")?;
    let client_certificate = match (client_chain, client_key) {
        (Some(chain), Some(key)) => {
            let chain = unpack(&chain).ok_or("client certificate")?;
            Some(Identity::from_der(chain, &key).map_err(|_| "client certificate")?)
        }
        (None, None) => None,
        _ => return Err("client certificate"),
    };
    Ok(Server {
        account: Account {
            jid,
            resource,
            credentials,
        },
        endpoints,
        tls: TlsPolicy {
            roots: roots.into_iter().map(read_root).collect::<Result<_, _>>()?,
            pin: column::<Option<[u8; 32]>>(row, "pin")?.map(Into::into),
            client_certificate,
            min_version: match column::<i64>(row, "min_tls")? {
                12 => TlsVersion::Tls12,
                13 => TlsVersion::Tls13,
                _ => return Err("min_tls"),
            },
        },
        sasl: Policy {
            channel_binding: match column::<i64>(row, "channel_binding")? {
                0 => ChannelBindingPolicy::Prefer,
                1 => ChannelBindingPolicy::Require,
                2 => ChannelBindingPolicy::Never,
                _ => return Err("channel_binding"),
            },
            minimum: Mechanism::parse(&column::<String>(row, "min_mechanism")?)
                .ok_or("min_mechanism")?,
            allow_plain_without_tls: flag(row, "plain_without_tls")?,
            prefer_external: flag(row, "prefer_external")?,
            scram: ScramLimits {
                min_iterations: column(row, "min_iterations")?,
                max_iterations: column(row, "max_iterations")?,
                max_salt: usize::try_from(column::<i64>(row, "max_salt")?)
                    .map_err(|_| "max_salt")?,
            },
            pinned: None,
        },
        plaintext: if flag(row, "plaintext")? {
            Plaintext::Allow
        } else {
            Plaintext::Refuse
        },
        priority: column(row, "priority")?,
    })
}

fn column<T: FromSql>(row: &Row<'_>, name: Fault) -> Result<T, Fault> {
    row.get(name).map_err(|_| name)
}

fn required<T: FromSql>(row: &Row<'_>, name: Fault) -> Result<T, Fault> {
    column::<Option<T>>(row, name)?.ok_or(name)
}

/// Only 0 and 1: what makes a login less safe is not guessed.
fn flag(row: &Row<'_>, name: Fault) -> Result<bool, Fault> {
    match column::<i64>(row, name)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(name),
    }
}

fn root(root: &Roots) -> Result<(i64, Option<&[u8]>), Fault> {
    match root {
        Roots::WebPki => Ok((0, None)),
        Roots::Native => Ok((1, None)),
        Roots::PemFile(path) => match path.to_str() {
            Some(path) => Ok((2, Some(path.as_bytes()))),
            None => Err("a path of trusted certificates that is not UTF-8"),
        },
        Roots::Pem(pem) => Ok((3, Some(pem))),
        _ => Err("its kind of trusted certificates"),
    }
}

fn read_root(column: (i64, Option<Vec<u8>>)) -> Result<Roots, Fault> {
    match column {
        (0, None) => Ok(Roots::WebPki),
        (1, None) => Ok(Roots::Native),
        (2, Some(path)) => {
            let path = String::from_utf8(path).map_err(|_| "roots")?;
            Ok(Roots::PemFile(PathBuf::from(path)))
        }
        (3, Some(pem)) => Ok(Roots::Pem(pem)),
        _ => Err("roots"),
    }
}

/// The certificates one after another, each with its length in front: 4 bytes, the
/// highest first.
fn pack(identity: &Identity) -> Vec<u8> {
    let mut packed = Vec::new();
    for der in identity.chain() {
        // A longer one is refused for its size.
        packed.extend(u32::try_from(der.len()).unwrap_or(u32::MAX).to_be_bytes());
        packed.extend(der);
    }
    packed
}

fn unpack(mut packed: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut chain = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (der, rest) = rest.split_at_checked(length)?;
        chain.push(der.to_vec());
        packed = rest;
    }
    packed.is_empty().then_some(chain)
}
