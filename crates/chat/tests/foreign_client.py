"""A client that is not ours (slixmpp), for interop.rs.  Prints one JSON object a line.

  SERVER.json receive NAME           {"ready": JID}, then {"from", "id", "body"} a message;
                                     receipts (XEP-0184) are slixmpp's own; ends with its input
  SERVER.json send NAME TO BODY      {"sent": ID}, then {"receipt": ID, "from": JID}, and ends
"""
import asyncio
import json
import sys

import slixmpp

LIMIT = 60
HOST = "127.0.0.1"


def say(**what):
    print(json.dumps(what), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, server, name):
        super().__init__("%s@%s" % (name, server["domain"]), server["users"][name])
        self.ca_certs = server["ca"]
        self.register_plugin("xep_0184")
        self.register_plugin("xep_0198")
        self.up = asyncio.get_event_loop().create_future()
        self.receipts = asyncio.Queue()
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("receipt_received", self.receipts.put_nowait)
        self.connect(address=(HOST, server["ports"]["starttls"]))

    async def started(self, _):
        self.send_presence()
        await self.get_roster()
        if not self.up.done():
            self.up.set_result(True)


async def receive(client):
    def told(message):
        if message["body"]:
            say(**{"from": str(message["from"]), "id": message["id"], "body": message["body"]})

    client.add_event_handler("message", told)
    await asyncio.wait_for(client.up, LIMIT)
    say(ready=str(client.boundjid))
    await asyncio.get_event_loop().run_in_executor(None, sys.stdin.read)


async def send(client, to, body):
    await asyncio.wait_for(client.up, LIMIT)
    message = client.make_message(mto=to, mbody=body, mtype="chat")
    message["id"] = client.new_id()
    message["request_receipt"] = True
    message.send()
    say(sent=message["id"])
    receipt = await asyncio.wait_for(client.receipts.get(), LIMIT)
    say(receipt=receipt["receipt"], **{"from": str(receipt["from"])})


async def main():
    with open(sys.argv[1]) as file:
        server = json.load(file)
    client = Client(server, sys.argv[3])
    await {"receive": receive, "send": send}[sys.argv[2]](client, *sys.argv[4:])
    await asyncio.wait_for(client.disconnect(wait=2), LIMIT)


asyncio.get_event_loop().run_until_complete(main())
