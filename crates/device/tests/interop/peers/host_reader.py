"""Reads and sets the things of others with slixmpp's plugins for XEP-0323 and XEP-0325:
does what the lines on its standard input say, until they end, and says what comes.

    host_reader.py JID PASSWORD HOST PORT CA.PEM

    read DEVICE FLAG=VALUE…      says "read SESSION" and "said SESSION RESULT …"
    cancel SESSION
    set DEVICE NAME TYPE VALUE   says "answered SESSION RESULT …"
"""

import asyncio
import logging
import shlex
import sys
import threading

import slixmpp


def say(*words):
    print(*words, flush=True)


class Reader(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca):
        super().__init__(jid, password)
        self.ca_certs = ca
        for plugin in ("xep_0030", "xep_0199", "xep_0323", "xep_0325"):
            self.register_plugin(plugin)
        self.add_event_handler("session_start", self.started)

    async def started(self, _event):
        self.send_presence()
        await self.plugin["xep_0199"].send_ping(self.boundjid.domain)
        say("online", self.boundjid.full)

    def do_read(self, device, *flags):
        session = None

        def heard(from_jid, result, nodeId=None, timestamp=None, fields=None, error_msg=None):
            told = [f"{f['typename']}:{f['name']}={f['value']}" for f in fields or []]
            say("said", session, result, nodeId, timestamp, " ".join(told))

        flags = dict(flag.split("=") for flag in flags)
        session = self.plugin["xep_0323"].request_data(
            self.boundjid.full, device, callback=heard, flags=flags
        )
        say("read", session)

    def do_cancel(self, session):
        self.plugin["xep_0323"].cancel_request(session)

    def do_set(self, device, name, typename, value):
        def heard(from_jid, result, nodeIds=None, fields=None, error_msg=None):
            say("answered", result, error_msg)

        fields = [(name, typename, value)]
        self.plugin["xep_0325"].set_request(self.boundjid.full, device, heard, fields)


async def serve(client):
    loop = asyncio.get_running_loop()
    lines = asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        words = shlex.split(line)
        getattr(client, "do_" + words[0])(*words[1:])


async def main():
    jid, password, host, port, ca = sys.argv[1:]
    client = Reader(jid, password, ca)
    client.connect(host, int(port))
    await serve(client)
    client.disconnect()


logging.disable(logging.CRITICAL)
asyncio.run(main())
