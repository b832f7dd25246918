"""Contacts, presence, capabilities and blocking. Whoever asks to subscribe is let in, and
asked in turn; capabilities are verified as they come."""

from foreign import Client, run, say


class Contact(Client):
    PLUGINS = ("xep_0191",)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.auto_authorize = True
        self.auto_subscribe = True
        for event, word in (
            ("presence_subscribe", "asks"),
            ("presence_subscribed", "approved"),
            ("presence_unsubscribed", "denied"),
            ("presence_unsubscribe", "left"),
            ("presence_unavailable", "gone"),
        ):
            self.add_event_handler(
                event, lambda presence, word=word: say(word, presence["from"])
            )
        for show in ("available", "away", "chat", "dnd", "xa"):
            self.add_event_handler(f"presence_{show}", self.seen)
        self.add_event_handler("roster_update", self.told)
        self.add_event_handler("blocked", lambda iq: self.list("blocks", iq["block"]))
        self.add_event_handler("unblocked", lambda iq: self.list("unblocks", iq["unblock"]))
        caps = self["xep_0115"]
        verify = caps._validate_caps

        async def verified(info, hash_name, ver):
            fits = await verify(info, hash_name, ver)
            say("caps", "verified" if fits else "refused", ver)
            return fits

        caps._validate_caps = verified

    async def started(self, event):
        await self["xep_0115"].update_caps()
        await super().started(event)

    @staticmethod
    def list(word, items):
        say(word, *sorted(str(jid) for jid in items["items"]))

    @staticmethod
    def seen(presence):
        show = presence["show"] or "available"
        say("sees", presence["from"], show, presence["priority"], presence["status"])

    @staticmethod
    def told(iq):
        for jid, item in iq["roster"]["items"].items():
            say("roster", jid, item["subscription"], item["name"], *sorted(item["groups"]))

    async def do_show(self, show, priority, status):
        self.send_presence(pshow=show, ppriority=priority, pstatus=status)

    async def do_subscribe(self, jid):
        self.send_presence(pto=jid, ptype="subscribe")

    async def do_unsubscribe(self, jid):
        self.send_presence(pto=jid, ptype="unsubscribe")

    async def do_group(self, jid, name, *groups):
        await self.update_roster(jid, name=name, groups=list(groups))
        say("grouped", jid)

    async def do_block(self, jid):
        await self["xep_0191"].get_blocked()
        await self["xep_0191"].block(jid)
        say("done", "block")

    async def do_unblock(self, jid):
        await self["xep_0191"].unblock(jid)
        say("done", "unblock")

    async def do_ping(self, jid):
        await self["xep_0199"].send_ping(jid)
        say("ponged", jid)


run(Contact)
