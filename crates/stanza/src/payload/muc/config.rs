//! The configuration of a room (XEP-0045 §10.1.3, §16.5.3).

use super::super::forms::FieldType;
use super::super::forms::view::{FieldValue, form_view, list_single};
use super::super::parts::names;
use super::Password;
use crate::jid::Jid;
use crate::xml::Text;

names! {
    /// Who sees real addresses.
    WhoIs {
        /// Everybody: the room is non-anonymous.
        Anyone = "anyone",
        /// Moderators: the room is semi-anonymous.
        Moderators = "moderators",
        ..
    }
}

names! {
    /// Who may send private messages.
    AllowPrivateMessages {
        /// Everybody.
        Anyone = "anyone",
        /// Who may speak.
        Participants = "participants",
        /// Moderators.
        Moderators = "moderators",
        /// Nobody.
        None = "none",
        ..
    }
}

list_single!(WhoIs, AllowPrivateMessages);

impl FieldValue for Password {
    const KIND: FieldType = FieldType::TextPrivate;

    fn read(values: &[Text]) -> Result<Option<Self>, ()> {
        Ok(values.first().cloned().map(Self))
    }

    fn write(&self) -> Vec<Text> {
        vec![self.0.clone()]
    }
}

form_view! {
    /// A room's configuration. What is absent stays as it is.
    RoomConfig, "http://jabber.org/protocol/muc#roomconfig" {
        /// A name for people.
        name: Text = "muc#roomconfig_roomname",
        /// What the room is for, for people.
        description: Text = "muc#roomconfig_roomdesc",
        /// The language that is spoken.
        lang: Text = "muc#roomconfig_lang",
        /// Whether the room can be found.
        public: bool = "muc#roomconfig_publicroom",
        /// Whether the room outlives its occupants.
        persistent: bool = "muc#roomconfig_persistentroom",
        /// Whether only members may enter.
        members_only: bool = "muc#roomconfig_membersonly",
        /// Whether one must be given the right to speak.
        moderated: bool = "muc#roomconfig_moderatedroom",
        /// Whether one must know the password to enter.
        password_protected: bool = "muc#roomconfig_passwordprotectedroom",
        /// The password.
        password: Password = "muc#roomconfig_roomsecret",
        /// Who sees real addresses.
        whois: WhoIs = "muc#roomconfig_whois",
        /// Who may send private messages.
        allow_private_messages: AllowPrivateMessages = "muc#roomconfig_allowpm",
        /// Whether members may invite.
        allow_invites: bool = "muc#roomconfig_allowinvites",
        /// Whether all may change the subject.
        change_subject: bool = "muc#roomconfig_changesubject",
        /// Whether what is said is logged for the public.
        enable_logging: bool = "muc#roomconfig_enablelogging",
        /// The roles and affiliations that may see who is a member.
        get_member_list: Vec<Text> = "muc#roomconfig_getmemberlist",
        /// The roles whose presence is shown.
        presence_broadcast: Vec<Text> = "muc#roomconfig_presencebroadcast",
        /// Occupants at most: a number, or `none`.
        max_users: Text = "muc#roomconfig_maxusers",
        /// Messages of history at most.
        max_history_fetch: u64 = "muc#maxhistoryfetch",
        /// A URI of a publish-subscribe node that belongs to the room.
        pubsub: Text = "muc#roomconfig_pubsub",
        /// All admins.
        admins: Vec<Jid> = "muc#roomconfig_roomadmins",
        /// All owners.
        owners: Vec<Jid> = "muc#roomconfig_roomowners",
    }
}
