"""Pings."""

from foreign import Client, run, say


class Pinger(Client):
    async def do_ping(self, jid):
        await self["xep_0199"].send_ping(jid)
        say("ponged", jid)


run(Pinger)
