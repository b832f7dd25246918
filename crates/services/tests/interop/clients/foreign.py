"""What the scripts of this folder have in common: a slixmpp client that logs in, says
"online JID", and does what the lines on its standard input say, until they end.

A script makes a subclass of Client with a coroutine `do_WORD(self, *words)` for each line
that begins with WORD, and ends with `run(Subclass)`.

    SCRIPT JID PASSWORD HOST PORT CA.PEM
"""

import asyncio
import shlex
import sys
import threading

import slixmpp


def say(*words):
    print(*words, flush=True)


class Client(slixmpp.ClientXMPP):
    PLUGINS = ()

    def __init__(self, jid, password, ca):
        super().__init__(jid, password)
        self.ca_certs = ca
        for plugin in ("xep_0030", "xep_0115", "xep_0199", *self.PLUGINS):
            self.register_plugin(plugin)
        self.add_event_handler("session_start", self.started)

    async def started(self, _event):
        await self.get_roster()
        self.send_presence()
        # Answered in order: by then the server has seen the presence.
        await self["xep_0199"].send_ping(self.boundjid.domain)
        say("online", self.boundjid.full)

    async def carry_out(self, line):
        words = shlex.split(line)
        try:
            await getattr(self, "do_" + words[0].replace("-", "_"))(*words[1:])
        except slixmpp.exceptions.IqError as error:
            say("refused", words[0], error.iq["error"]["condition"])
        except slixmpp.exceptions.IqTimeout:
            say("timed-out", words[0])


async def serve(client):
    loop = asyncio.get_event_loop()
    lines = asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        await client.carry_out(line)
    await client.disconnect(wait=2.0)


def run(kind):
    jid, password, host, port, ca = sys.argv[1:]
    client = kind(jid, password, ca)
    client.connect(address=(host, int(port)))
    asyncio.get_event_loop().run_until_complete(serve(client))
