"""A slixmpp client for the hub's tests: logs in with a verified certificate, and does
what the command lines on its standard input say. Says on standard output what it saw.

    slix.py JID PASSWORD HOST PORT starttls|direct CERT.PEM
"""

import asyncio
import logging
import os
import sys
import threading

import slixmpp


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, certificate):
        super().__init__(jid, password)
        self.ca_certs = certificate
        self.register_plugin("xep_0184")
        self.register_plugin("xep_0198")
        self.register_plugin("xep_0199")
        self["xep_0198"].allow_resume = True
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("session_resumed", lambda _: say("resumed"))
        self.add_event_handler("sm_enabled", lambda _: say("enabled"))
        self.add_event_handler("failed_auth", lambda _: say("failed-auth"))
        self.add_event_handler("ssl_invalid_chain", lambda error: say("bad-chain", error))
        self.add_event_handler("message", self.messaged)
        self.add_event_handler("receipt_received", lambda m: say("receipt", m["receipt"]))
        self.add_event_handler("disconnected", lambda _: say("disconnected"))

    async def started(self, _event):
        roster = await self.get_roster()
        say("roster", len(roster["roster"]["items"]))
        self.send_presence()
        say("online", self.boundjid.full)
        # Answered in order: by then the server has seen the presence.
        await self["xep_0199"].send_ping(self.boundjid.domain)
        say("settled")

    def messaged(self, message):
        if message["type"] in ("chat", "normal") and message["body"]:
            delayed = message.xml.find("{urn:xmpp:delay}delay") is not None
            say("message", message["from"].full, "delayed" if delayed else "fresh", message["body"])

    def obey(self, line):
        verb, _, rest = line.partition(" ")
        if verb == "send":
            to, _, body = rest.partition(" ")
            message = self.make_message(mto=to, mbody=body, mtype="chat")
            message["request_receipt"] = True
            message.send()
        elif verb == "cut":
            # Break the connection without closing the stream, and come back.
            self.transport.abort()
        elif verb == "quit":
            asyncio.ensure_future(self.disconnect())


def say(*words):
    print(*words, flush=True)


def main():
    jid, password, host, port, mode, certificate = sys.argv[1:]
    if os.environ.get("HUB_TEST_LOG"):
        logging.basicConfig(level=logging.DEBUG)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client = Client(jid, password, certificate)
    address = (host, int(port))

    def connect(_event=None):
        if mode == "direct":
            client.connect(address, use_ssl=True, force_starttls=False, disable_starttls=True)
        else:
            client.connect(address)

    finished = asyncio.Event()
    quitting = []

    def disconnected(_event):
        if quitting:
            finished.set()
        else:
            connect()

    client.add_event_handler("disconnected", disconnected)

    def read():
        for line in sys.stdin:
            if line.startswith("quit"):
                quitting.append(True)
            loop.call_soon_threadsafe(client.obey, line.strip())

    threading.Thread(target=read, daemon=True).start()
    connect()
    loop.run_until_complete(finished.wait())


main()
