//! Questions to the person at the terminal, and what a program gives in its place.

use std::io::{IsTerminal as _, Write as _};

use secrecy::SecretString;
use tokio::io::BufReader;

use crate::exit::{Exit, Failure};
use crate::lines::{Line, Lines};

/// Whether there is a person to ask.
pub(super) fn at_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The answer to a question, without blanks around it.
///
/// # Errors
/// There is no answer.
pub(super) async fn ask(question: &str) -> Result<String, Failure> {
    let mut out = std::io::stderr();
    let _ = write!(out, "{question}: ").and_then(|()| out.flush());
    let answer = first_line().await?;
    Ok(answer.trim().to_owned())
}

/// A password, which the terminal does not show. The signals of the process must be
/// watched: then Ctrl-C comes back as an error, and the terminal is as it was.
///
/// # Errors
/// There is no answer, or no terminal.
pub(super) async fn ask_password(question: &str) -> Result<SecretString, Failure> {
    let question = format!("{question}: ");
    let answer = tokio::task::spawn_blocking(move || rpassword::prompt_password(question))
        .await
        .map_err(|_| Failure::failed("the runtime shuts down; start again"))?;
    let answer = answer.map_err(|e| match e.kind() {
        std::io::ErrorKind::Interrupted => interrupted(),
        _ => Failure::usage(format!(
            "no password can be asked for: {e}; set STANCHION_PASSWORD, or give --password-file \
             FILE"
        )),
    })?;
    match answer.is_empty() {
        true => Err(Failure::usage("the password is empty; start again")),
        false => Ok(answer.into()),
    }
}

/// The password of a program: the first line of the standard input.
///
/// # Errors
/// There is none.
pub(super) async fn piped_password() -> Result<SecretString, Failure> {
    let line = first_line().await?;
    if line.is_empty() {
        return Err(Failure::usage(
            "there is no password: give it as the first line of the standard input, by \
             --password-file FILE or by STANCHION_PASSWORD",
        ));
    }
    Ok(line.into())
}

/// What happens on Ctrl-C.
pub(super) fn interrupted() -> Failure {
    Failure::new(
        Exit::NoConnection,
        "interrupted; nothing was registered here",
    )
}

async fn first_line() -> Result<String, Failure> {
    let mut lines = Lines::new(BufReader::new(tokio::io::stdin()));
    let line = lines.next().await;
    match line.map_err(|e| Failure::failed(format!("standard input: {e}")))? {
        Some(Line::Text(text)) => Ok(text),
        Some(Line::TooLong | Line::NotText) => Err(Failure::usage(
            "the answer is no line of text; give it again",
        )),
        None => Ok(String::new()),
    }
}
