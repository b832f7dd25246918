//! How the id of a message and its lane stand in the file. Both are keys of indexes, pages
//! of which each commit writes: the shorter they are, the fewer pages.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Result};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// An id as the file has it: the 16 bytes of a UUID, such as each message gets that is given
/// none; of any other, the text.
pub(super) enum Id<'a> {
    Uuid(Uuid),
    Other(&'a str),
}

impl<'a> Id<'a> {
    pub(super) fn of(id: &'a str) -> Self {
        // Only what is read back as it was: small letters, four hyphens.
        if id.len() == Hyphenated::LENGTH
            && let Ok(uuid) = Uuid::try_parse(id)
            && uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == id
        {
            return Self::Uuid(uuid);
        }
        Self::Other(id)
    }
}

impl ToSql for Id<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
            Self::Other(id) => ValueRef::Text(id.as_bytes()),
        }))
    }
}

/// An id that was read from the file.
pub(super) struct StoredId(pub(super) String);

impl FromSql for StoredId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes)
                .map(|uuid| Self(uuid.to_string()))
                .map_err(FromSqlError::other),
            text => text.as_str().map(|id| Self(id.to_owned())),
        }
    }
}

/// A number for a lane, of 48 bits, so that the index has no addresses in it. Two lanes may
/// have the same one: who looks for a lane compares the address and the channel, too.
pub(super) fn lane(recipient: &str, channel: &str) -> i64 {
    let hash = Sha256::new()
        .chain_update(recipient)
        // In no address.
        .chain_update([0])
        .chain_update(channel)
        .finalize();
    let first = hash.first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(first) >> 16
}

/// For the statements of a migration: `stanchion_id` and `stanchion_lane`.
pub(super) fn add_functions(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("stanchion_id", 1, flags, |context| {
        let id: String = context.get(0)?;
        Ok(match Id::of(&id) {
            Id::Uuid(uuid) => rusqlite::types::Value::Blob(uuid.into_bytes().into()),
            Id::Other(_) => rusqlite::types::Value::Text(id),
        })
    })?;
    connection.create_scalar_function("stanchion_lane", 2, flags, |context| {
        let (recipient, channel): (String, String) = (context.get(0)?, context.get(1)?);
        Ok(lane(&recipient, &channel))
    })
}

pub(super) fn remove_functions(connection: &Connection) -> Result<()> {
    connection.remove_function("stanchion_id", 1)?;
    connection.remove_function("stanchion_lane", 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through_the_file(id: &str) -> (String, String) {
        let file = Connection::open_in_memory().unwrap();
        file.query_row("SELECT typeof(?1), ?1", [Id::of(id)], |row| {
            Ok((row.get(0)?, row.get::<_, StoredId>(1)?.0))
        })
        .unwrap()
    }

    #[test]
    fn an_id_is_read_as_it_was_written() {
        let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(through_the_file(uuid), ("blob".into(), uuid.into()));
        let others = [
            "",
            "m1",
            "01890A5D-AC96-774B-BCCE-B302099A8057",
            "01890a5dac96774bbcceb302099a8057",
            "{01890a5d-ac96-774b-bcce-b302099a8057}",
            "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057",
            "01890a5d-ac96-774b-bcce-b302099a805g",
            "äöü90a5d-ac96-774b-bcce-b302099a8",
        ];
        for other in others {
            assert_eq!(through_the_file(other), ("text".into(), other.into()));
        }
    }

    #[test]
    fn the_number_of_a_lane_stays_the_same_for_ever_and_fits_into_six_bytes() {
        assert_eq!(lane("cloud@b.example", "control"), 113_111_619_864_634);
        assert_ne!(lane("a@b", "c"), lane("a@bc", ""));
        let six_bytes = -(1_i64 << 47)..1 << 47;
        assert!((0..1000).all(|n| six_bytes.contains(&lane("a@b", &n.to_string()))));
    }
}
