//! `stanchion login`: the first start. Asks for what it was not told, tries it, and puts it
//! into the registry; the questions are in `asking`, the trial and the registry are
//! `server`'s.

mod asking;

use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use stanchion::BareJid;
use stanchion::connect::probe::Scope;
use stanchion::connect::registration::RegisterError;
use stanchion::connect::registry::Server;
use stanchion::connect::{ConnectConfig, Connector, Kind};

use crate::doctor::worst_error;
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::server::{Details, Looked, RegistryArgs, keep, look, looked_json, report};
use crate::settings::duration;
use crate::terminal::{columns, harmless, json_line, print};
use crate::watch::exit_of;

/// Wrong passwords of a person before the command ends.
const TRIES: u32 = 3;

/// Log in for the first time: try an account, and keep it for the other commands
#[derive(Debug, Args)]
#[command(after_help = "\
Asks for the account and the password on a terminal. Without one, the account must be given; \
the password is taken from --password-file, STANCHION_PASSWORD or the first line of the \
standard input, in this order. The account is then one of the registered servers, which the \
other commands use without --jid: `stanchion server list` shows them, `stanchion server \
remove JID` logs out.

Examples:
  stanchion login
  stanchion login sensor@example.org --password-file sensor.pw
  stanchion login alice@hub.example --register --ca hub.pem

Exit codes: 0 kept, 1 the registry cannot be used, 2 usage, 12 no connection, 13 refused, for \
security or authentication, or no new account is made. With 12 and 13, nothing is kept.")]
pub(crate) struct Command {
    /// The account, as name@domain; one that is registered here is replaced
    #[arg(value_name = "JID")]
    jid: Option<BareJid>,
    /// Make the account at its server first (XEP-0077), if the server lets anybody do that
    #[arg(long)]
    register: bool,
    /// Keep the account without trying it
    #[arg(long)]
    no_test: bool,
    /// How long to try to get a session
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    details: Details,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    // Before anything is asked: see `ask_password`.
    let mut interrupt = Interrupt::watch()?;
    let jid = match &command.jid {
        Some(jid) => jid.clone(),
        None if asking::at_terminal() => tokio::select! {
            jid = ask_account() => jid?,
            () = interrupt.seen() => {
                // Behind the question.
                let _ = writeln!(std::io::stderr());
                return Err(asking::interrupted());
            }
        },
        None => {
            return Err(Failure::usage(
                "no account: give it as stanchion login name@domain; without a terminal, it \
                 cannot be asked for",
            ));
        }
    };
    // Before the password is asked for.
    if jid.local().is_none() {
        return Err(Failure::usage(format!(
            "{jid} is a domain; give the account as name@{jid}"
        )));
    }
    let mut login = Login {
        command: &command,
        made: false,
        looked: None,
    };
    let server = login.server(jid, &mut interrupt).await?;
    login.keep(server).await
}

async fn ask_account() -> Result<BareJid, Failure> {
    let answer = asking::ask("Account (name@domain)").await?;
    answer
        .parse()
        .map_err(|e| Failure::usage(format!("{answer:?} is no account: {e}")))
}

/// What was done so far.
struct Login<'a> {
    command: &'a Command,
    /// The account was made at its server.
    made: bool,
    /// What the trial showed.
    looked: Option<Looked>,
}

impl Login<'_> {
    /// The server, tried unless nobody wants that.
    async fn server(&mut self, jid: BareJid, interrupt: &mut Interrupt) -> Result<Server, Failure> {
        let told = self.command.details.password()?;
        let asks = told.is_none() && asking::at_terminal();
        for round in 1.. {
            let password = match &told {
                Some(password) => password.clone(),
                None if asks => self.ask_password(&jid).await?,
                None => asking::piped_password().await?,
            };
            let server = self.command.details.server(jid.clone(), password.clone())?;
            let trying = async {
                if self.command.register && !self.made {
                    make(&server, &password, self.command.timeout).await?;
                    self.made = true;
                }
                match self.command.no_test {
                    true => Ok(None),
                    false => self.test(&server).await,
                }
            };
            let failed = tokio::select! {
                tried = trying => tried?,
                () = interrupt.seen() => return Err(asking::interrupted()),
            };
            match failed {
                None => return Ok(server),
                Some(failed) if asks && failed.wrong_password && round < TRIES => {
                    eprint_line("that password was refused; try again");
                }
                Some(failed) => return Err(self.not_kept(&server, failed.failure)),
            }
        }
        Err(Failure::failed("no round is left; start again"))
    }

    async fn ask_password(&self, jid: &BareJid) -> Result<SecretString, Failure> {
        let password = asking::ask_password(&format!("Password of {jid}")).await?;
        if self.command.register && !self.made {
            let again = asking::ask_password("The same again").await?;
            if again.expose_secret() != password.expose_secret() {
                return Err(Failure::usage(
                    "the two passwords differ; nothing was done, start again",
                ));
            }
        }
        Ok(password)
    }

    /// Tries the server, and shows what happened; what failed, if it did.
    async fn test(&mut self, server: &Server) -> Result<Option<Failed>, Failure> {
        let scope = Scope::UntilEstablished;
        let looked = look(server, Vec::new(), self.command.timeout, scope).await;
        if !self.command.json {
            let _ = print(&report(server, &looked, columns() - 1))?;
        }
        let looked = looked.map_err(Failure::usage)?;
        let failed = (!looked.inspection.is_established()).then(|| {
            let error = worst_error(&looked.inspection);
            Failed {
                wrong_password: error.is_some_and(|e| e.kind() == Kind::Authentication),
                failure: match error {
                    Some(error) => Failure::new(exit_of(error), one_line(error)),
                    None => Failure::new(Exit::NoConnection, "there was no time to connect"),
                },
            }
        });
        self.looked = Some(looked);
        Ok(failed)
    }

    /// Says what became of it, for programs, and what to do.
    fn not_kept(&self, server: &Server, failure: Failure) -> Failure {
        if self.command.json {
            // The failure is told all the same.
            let _ = print(&self.json(server, "not-kept"));
        }
        let made = match self.made {
            true => "the account was made at its server, but ",
            false => "",
        };
        let advice = match failure.exit {
            Exit::NoConnection => "; --no-test keeps the account untried",
            _ => "",
        };
        let message = format!("{made}nothing is kept here: {}{advice}", failure.message);
        Failure { message, ..failure }
    }

    /// Puts the server into the registry.
    async fn keep(mut self, server: Server) -> Outcome {
        let account = server.account.jid.clone();
        let (registry, looked) = (&self.command.registry, self.looked.as_mut());
        let replaced = keep(registry, server.clone(), looked).await?;
        let word = if replaced { "replaced" } else { "added" };
        let text = if self.command.json {
            self.json(&server, word)
        } else {
            let made = if self.made { "made, and " } else { "" };
            harmless(&format!(
                "{account} is {made}{word}; send and listen use it without --jid"
            ))
        };
        let _ = print(&text)?;
        Ok(Exit::Done)
    }

    fn json(&self, server: &Server, outcome: &str) -> String {
        let looked = self.looked.as_ref();
        json_line(&json!({
            "account": server.account.jid.to_string(),
            "outcome": outcome,
            "made": self.made,
            "established": looked.map(|looked| looked.inspection.is_established()),
            "inspection": looked.map(looked_json),
        }))
    }
}

/// A trial without a session.
struct Failed {
    wrong_password: bool,
    failure: Failure,
}

/// Makes the account at its server.
async fn make(server: &Server, password: &SecretString, timeout: Duration) -> Result<(), Failure> {
    let mut config = server.config(&ConnectConfig::default());
    config.timeouts.total = timeout;
    let connector = Connector::new(server.account.clone(), config);
    let connector = connector.map_err(|e| Failure::usage(one_line(&e)))?;
    let made = Box::pin(connector.register(password)).await;
    made.map_err(|error| refused(&server.account.jid, &error))
}

/// Why no account was made, and what to do.
fn refused(account: &BareJid, error: &RegisterError) -> Failure {
    let exit = match error {
        RegisterError::Connect(error) => exit_of(error),
        RegisterError::Unfit => Exit::Usage,
        _ => Exit::Refused,
    };
    let mut message = format!("{account} was not made: {}", one_line(error));
    match error {
        RegisterError::MoreAsked(asked) => {
            let fields: Vec<String> = asked
                .fields
                .iter()
                .map(|field| field.name.as_str().to_owned())
                .collect();
            if !fields.is_empty() {
                message.push_str(&format!(" ({})", fields.join(", ")));
            }
            match &asked.url {
                Some(url) => message.push_str(&format!("; make the account at {url}")),
                None => message.push_str("; make the account where the server's operator says"),
            }
            message.push_str(", then log in without --register");
        }
        RegisterError::Taken(_) => {
            message.push_str(", or log in without --register if it is yours");
        }
        _ => {}
    }
    Failure::new(exit, message)
}

/// Something to know while questions are asked.
fn eprint_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "stanchion: {}", harmless(text));
}

#[cfg(test)]
mod tests {
    use stanchion::stanza::Text;
    use stanchion::stanza::payload::register::{Field, FieldName, Registration};

    use super::*;

    #[test]
    fn a_server_that_asks_for_more_is_told_with_what_and_where_to_go() {
        let account = "alice@home.example".parse().unwrap();
        let email = Field {
            name: FieldName::Email,
            value: Text::default(),
        };
        let asked = Registration {
            fields: vec![email],
            url: Some(Text::new("https://home.example/new").unwrap()),
            ..Registration::default()
        };
        let refused = refused(&account, &RegisterError::MoreAsked(Box::new(asked)));
        assert_eq!(refused.exit, Exit::Refused);
        assert_eq!(
            refused.message,
            "alice@home.example was not made: the server asks for more than a name and a password \
             (email); make the account at https://home.example/new, then log in without --register"
        );
    }
}
