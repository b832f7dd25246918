//! What is done when a recipient cannot be reached at an address: another address, or
//! another server of ours. Which one is next is told by `outbox::reach`.

use stanchion_stanza::Jid;
use stanchion_stanza::stanza::DefinedCondition;

use super::Engine;

impl Engine {
    /// Whether the recipient has another address at all.
    pub(super) fn has_elsewhere(&self, to: &Jid) -> bool {
        let recipient = self.outbox.recipient(to);
        recipient.is_some_and(|r| !r.others.is_empty())
    }

    /// A message came back from there with that: it goes to an address from which nothing
    /// came back, at once; or it waits. Gives false if all were tried.
    pub(super) fn goes_elsewhere(
        &mut self,
        seq: u64,
        to: &Jid,
        from: Option<&Jid>,
        condition: DefinedCondition,
    ) -> bool {
        let now = self.now.monotonic;
        let at = from
            .cloned()
            .unwrap_or_else(|| self.outbox.address(to, 0, false));
        if self.is_beyond(&at, condition) && self.has_elsewhere(to) {
            self.outbox.is_beyond(to, now);
        }
        let ends = condition == DefinedCondition::ItemNotFound;
        let elsewhere = self.outbox.returned_from(to, &at, ends, now);
        if elsewhere || !ends {
            self.outbox.bounced(seq, condition, false, now);
        }
        if elsewhere {
            self.outbox.redirected(seq);
        }
        elsewhere
    }

    /// Whether our server does not talk to that one, while this device has an account there.
    ///
    /// RFC 6120 §10.4 names conditions for a domain that is not found or does not answer, and
    /// none for a server that does not federate at all. What such servers say was asked of them:
    ///
    /// | server | condition | type |
    /// |---|---|---|
    /// | Prosody 0.12 without `s2s` | `not-allowed` | cancel |
    /// | ejabberd 23.01 with `s2s_access: none` | `forbidden` | auth |
    ///
    /// `remote-server-not-found` and `remote-server-timeout` are the RFC's. Each of the two that
    /// were asked for comes from the address that the message went to, so that what its own server
    /// forbids looks the same. It costs a move that does not help, ever more rarely.
    fn is_beyond(&self, at: &Jid, condition: DefinedCondition) -> bool {
        let silent = matches!(
            condition,
            DefinedCondition::RemoteServerNotFound
                | DefinedCondition::RemoteServerTimeout
                | DefinedCondition::NotAllowed
                | DefinedCondition::Forbidden
        );
        let own = self.addresses.iter().flat_map(|own| &own.jids);
        let mut domains = own.map(|jid| jid.domain());
        silent && domains.any(|domain| domain == at.domain())
    }
}
