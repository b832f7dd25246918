//! Invitations to rooms that wait for an answer: a table in the store's file, so that the
//! next process still asks. How one comes in and is answered is `watching`'s and `doing`'s.

use stanchion::reliability::session::CommitError;
use stanchion::reliability::store::rusqlite::{
    Error as SqlError, OptionalExtension as _, Row, Transaction, params,
};
use stanchion::reliability::store::{TransactError, Transactor};
use stanchion::services::rooms::Invitation;
use stanchion::stanza::Text;
use stanchion::stanza::payload::muc::Password;
use stanchion::{BareJid, Jid};

use super::super::event::Event;
use super::super::model::ASKED;

/// Characters of a reason that are kept.
const REASON: usize = 1000;

/// One that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The room.
    pub(super) room: BareJid,
    /// Who invites.
    pub(super) by: Option<Jid>,
    /// Why, for people.
    pub(super) reason: Option<String>,
    /// The room's password.
    pub(super) password: Option<Password>,
    /// Whether the room passed it on, and takes an answer.
    pub(super) by_room: bool,
}

impl Waiting {
    fn of(invitation: &Invitation) -> Self {
        let reason = invitation.reason.as_ref();
        Self {
            room: invitation.room.clone(),
            by: invitation.from.clone(),
            reason: reason.map(|reason| reason.chars().take(REASON).collect()),
            password: invitation.password.clone(),
            by_room: invitation.by_room,
        }
    }

    /// What is told of it.
    pub(super) fn event(&self) -> Event {
        Event::Invited {
            room: self.room.clone(),
            by: self.by.as_ref().map(ToString::to_string),
            reason: self.reason.clone(),
        }
    }

    /// As it stands in the table; none if that is no address.
    fn read(row: &Row<'_>) -> Result<Option<Self>, SqlError> {
        let room: String = row.get("room")?;
        let by: Option<String> = row.get("inviter")?;
        let password: Option<String> = row.get("password")?;
        let Ok(room) = room.parse() else {
            return Ok(None);
        };
        Ok(Some(Self {
            room,
            by: by.and_then(|by| by.parse().ok()),
            reason: row.get("reason")?,
            password: password.and_then(|word| Text::new(word).ok()).map(Password),
            by_room: row.get("by_room")?,
        }))
    }

    /// Whether there is room for it. A later one of the same room takes the place of the
    /// earlier one.
    fn write(&self, tx: &Transaction<'_>) -> Result<bool, SqlError> {
        let others: i64 = tx.query_row(
            "SELECT COUNT(*) FROM app_stanchion_invitations WHERE room <> ?1",
            [self.room.as_str()],
            |row| row.get(0),
        )?;
        if usize::try_from(others).is_ok_and(|others| others >= ASKED) {
            return Ok(false);
        }
        tx.execute(
            "INSERT OR REPLACE INTO app_stanchion_invitations
                 (room, inviter, reason, password, by_room)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                self.room.as_str(),
                self.by.as_ref().map(Jid::as_str),
                self.reason,
                self.password.as_ref().map(|word| word.0.as_str()),
                self.by_room,
            ],
        )?;
        Ok(true)
    }
}

/// Why one was not kept: it comes again.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    /// With the message in which it came.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// By itself.
    #[error(transparent)]
    Store(#[from] TransactError),
}

/// Those that wait. At most as many as a model shows.
#[derive(Debug)]
pub(super) struct Invitations {
    store: Transactor,
}

impl Invitations {
    /// In that store; the table is made if it is not there.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn open(store: Transactor) -> Result<Self, TransactError> {
        let make = store.transact(|tx| {
            tx.execute_batch(
                "CREATE TABLE IF NOT EXISTS app_stanchion_invitations (
                     number INTEGER PRIMARY KEY,
                     room TEXT NOT NULL UNIQUE,
                     inviter TEXT,
                     reason TEXT,
                     password TEXT,
                     by_room INTEGER NOT NULL
                 ) STRICT",
            )
        });
        make.await?;
        Ok(Self { store })
    }

    /// Keeps one, in the very transaction that commits the message in which it came. Gives
    /// what waits now; none if too many wait already: then it is committed all the same.
    ///
    /// # Errors
    /// The store's, and the session's; then it comes again.
    pub(super) async fn keep(&self, invitation: &Invitation) -> Result<Option<Waiting>, KeepError> {
        let waiting = Waiting::of(invitation);
        let row = waiting.clone();
        let write = move |tx: &Transaction<'_>| row.write(tx);
        let kept = match invitation.received() {
            Some(received) => received.commit_with(write).await?,
            None => self.store.transact(write).await?,
        };
        Ok(kept.then_some(waiting))
    }

    /// All, the earliest first.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn all(&self) -> Result<Vec<Waiting>, TransactError> {
        let read = self.store.transact(|tx| {
            let mut all = tx.prepare("SELECT * FROM app_stanchion_invitations ORDER BY number")?;
            let rows = all.query_map([], Waiting::read)?;
            rows.collect::<Result<Vec<_>, SqlError>>()
        });
        Ok(read.await?.into_iter().flatten().collect())
    }

    /// That to a room.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn to(&self, room: &BareJid) -> Result<Option<Waiting>, TransactError> {
        let room = room.clone();
        let read = self.store.transact(move |tx| {
            let query = "SELECT * FROM app_stanchion_invitations WHERE room = ?1";
            tx.query_row(query, [room.as_str()], Waiting::read)
                .optional()
        });
        Ok(read.await?.flatten())
    }

    /// It has an answer.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn forget(&self, room: &BareJid) -> Result<(), TransactError> {
        let room = room.clone();
        let removed = self.store.transact(move |tx| {
            let order = "DELETE FROM app_stanchion_invitations WHERE room = ?1";
            tx.execute(order, [room.as_str()])
        });
        removed.await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(room: usize, reason: &str) -> Waiting {
        Waiting {
            room: format!("room{room}@rooms.home.example").parse().unwrap(),
            by: Some("bob@home.example/phone".parse().unwrap()),
            reason: Some(reason.to_owned()),
            password: Some(Password(Text::from_static("sesame"))),
            by_room: room.is_multiple_of(2),
        }
    }

    #[tokio::test]
    async fn those_that_wait_are_bounded_and_a_later_one_of_a_room_replaces_the_earlier_one() {
        let store = Transactor::in_memory().unwrap();
        let invitations = Invitations::open(store.clone()).await.unwrap();
        let write = async |waiting: Waiting| {
            let written = store.transact(move |tx| waiting.write(tx));
            written.await.unwrap()
        };
        for room in 0..ASKED {
            assert!(write(to(room, "come")).await);
        }
        assert!(!write(to(ASKED, "come")).await, "there is no room for it");
        assert!(write(to(7, "come now")).await);
        let all = invitations.all().await.unwrap();
        assert_eq!(all.len(), ASKED);
        assert_eq!(all[0].room, to(0, "").room);
        let seventh = invitations.to(&to(7, "").room).await.unwrap().unwrap();
        assert_eq!(seventh, to(7, "come now"));
        assert!(!format!("{seventh:?}").contains("sesame"), "in no log");
        invitations.forget(&seventh.room).await.unwrap();
        assert!(invitations.to(&seventh.room).await.unwrap().is_none());
        assert!(write(to(ASKED, "come")).await, "there is room again");

        // What was open before is what the next process finds.
        let again = Invitations::open(store).await.unwrap();
        assert_eq!(again.all().await.unwrap().len(), ASKED);
    }
}
