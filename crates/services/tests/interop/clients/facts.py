"""Version, time and last activity, both roles."""

from foreign import Client, run, say


class Facts(Client):
    PLUGINS = ("xep_0092", "xep_0202", "xep_0012")

    async def started(self, event):
        self["xep_0092"].software_name = "Foreign"
        self["xep_0092"].version = "7"
        self["xep_0092"].os = "none"
        await super().started(event)
        await self["xep_0012"].set_last_activity(self.boundjid, seconds=120)

    async def do_version(self, jid):
        iq = await self["xep_0092"].get_version(jid)
        version = iq["software_version"]
        say("version", version["name"], version["version"], "os:" + version["os"])

    async def do_time(self, jid):
        iq = await self["xep_0202"].get_entity_time(jid)
        # As it stands: Debian's slixmpp trips over zones.
        find = iq.xml.find("{urn:xmpp:time}time").findtext
        say("time", find("{urn:xmpp:time}utc"), find("{urn:xmpp:time}tzo"))

    async def do_last(self, jid):
        iq = await self["xep_0012"].get_last_activity(jid)
        say("last", iq["last_activity"]["seconds"])


run(Facts)
