"""A client that is not ours (slixmpp, and plain sockets below it), for
interop.rs.  Reads server.json, does what is asked, prints one JSON object.

  visit FROM TO TRANSPORT   log in twice, message, pubsub, room, archive
  login NAME PASSWORD       whether the server lets this one in
  features                  the features before authentication, over direct TLS
  sasl2 NAME PASSWORD       log in by SASL2, lose a message, resume inline
  trusted                   whether the certificate is good for the domain
  greet SECONDS             whether a stream header is answered in time
"""
import asyncio
import base64
import json
import re
import socket
import ssl
import sys

import slixmpp

LIMIT = 30
HOST = "127.0.0.1"


class Client(slixmpp.ClientXMPP):
    def __init__(self, server, name, password):
        super().__init__("%s@%s" % (name, server["domain"]), password)
        self.ca_certs = server["ca"]
        for extension in ("xep_0045", "xep_0060", "xep_0198", "xep_0313"):
            self.register_plugin(extension)
        self.up = asyncio.get_event_loop().create_future()
        self.inbox = asyncio.Queue()
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", self.inbox.put_nowait)
        self.add_event_handler("failed_all_auth", lambda _: self.settle(False))

    def settle(self, outcome):
        if not self.up.done():
            self.up.set_result(outcome)

    async def started(self, _):
        self.send_presence()
        await self.get_roster()
        self.settle(True)

    async def enter(self, server, transport):
        address = (HOST, server["ports"][transport])
        if transport == "direct_tls":
            self.connect(address=address, use_ssl=True, force_starttls=False, disable_starttls=True)
        else:
            self.connect(address=address)
        return await asyncio.wait_for(self.up, LIMIT)


async def visit(server, sender, receiver, transport):
    a = Client(server, sender, server["users"][sender])
    b = Client(server, receiver, server["users"][receiver])
    assert await a.enter(server, transport) and await b.enter(server, transport), "refused"
    a.send_message(mto=b.boundjid, mbody="hello", mtype="chat")
    seen = {"message": (await asyncio.wait_for(b.inbox.get(), LIMIT))["body"]}
    seen["stream_management"] = bool(a.plugin["xep_0198"].enabled_in)
    service, node = "pubsub." + server["domain"], "visit-" + transport
    await a.plugin["xep_0060"].create_node(service, node)
    await b.plugin["xep_0060"].subscribe(service, node)
    seen["pubsub"] = True
    room = "visit-%s@conference.%s" % (transport.replace("_", "-"), server["domain"])
    await a.plugin["xep_0045"].join_muc_wait(room, "a", timeout=LIMIT)
    seen["room"] = True
    archive = await b.plugin["xep_0313"].retrieve()
    seen["archived"] = len(archive["mam"]["results"])
    for client in (a, b):
        await asyncio.wait_for(client.disconnect(wait=1), LIMIT)
    return seen


async def login(server, name, password):
    return {"login": await Client(server, name, password).enter(server, "starttls")}


def stream(server, tls):
    raw = socket.create_connection((HOST, server["ports"]["direct_tls" if tls else "starttls"]), LIMIT)
    if tls:
        context = ssl.create_default_context(cafile=server["ca"])
        raw = context.wrap_socket(raw, server_hostname=server["domain"])
    return raw


def header(server):
    return ("<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>" % server["domain"])


def exchange(link, text, until):
    link.sendall(text.encode())
    got = b""
    while until.encode() not in got:
        more = link.recv(4096)
        assert more, "closed after %r" % got
        got += more
    return got.decode()


def features(server, tls=True, limit=LIMIT):
    with stream(server, tls) as link:
        link.settimeout(limit)
        return {"features": exchange(link, header(server), "</stream:features>")}


def sasl2(server, name, password):
    secret = base64.b64encode(("\0%s\0%s" % (name, password)).encode()).decode()
    login = ("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>%s</initial-response>"
             "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>%%s</authenticate>" % secret)
    bind = ("<bind xmlns='urn:xmpp:bind:0'><tag>a</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
            "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>")
    with stream(server, True) as link:
        exchange(link, header(server), "</stream:features>")
        success = exchange(link, login % bind, "</stream:features>")
        session = re.search("<enabled[^>]* id='([^']+)'", success).group(1)
        jid = re.search("<authorization-identifier>([^<]+)<", success).group(1)
        # Never acknowledged, so it must come again.
        exchange(link, "<presence/><message to='%s' id='m1'><body>x</body></message>" % jid, "id='m1'")
    with stream(server, True) as link:
        exchange(link, header(server), "</stream:features>")
        # The acknowledgement request comes last: all that is resent lies before it.
        resume = "<resume xmlns='urn:xmpp:sm:3' previd='%s' h='1'/>" % session
        again = exchange(link, login % resume, "<r xmlns")
    return {"bound": "<bound" in success, "token": "<token" in success,
            "resumed": "<resumed" in again, "resent": len(re.findall("id='m1'", again))}


def trusted(server):
    try:
        stream(server, True).close()
        return {"trusted": True}
    except ssl.SSLCertVerificationError:
        return {"trusted": False}


def greet(server, seconds):
    try:
        features(server, False, float(seconds))
        return {"answered": True}
    except TimeoutError:
        return {"answered": False}


def main():
    with open(sys.argv[1]) as file:
        server = json.load(file)
    work = {"visit": visit, "login": login, "features": features, "sasl2": sasl2, "trusted": trusted, "greet": greet}[sys.argv[2]]
    answer = work(server, *sys.argv[3:])
    if asyncio.iscoroutine(answer):
        answer = asyncio.get_event_loop().run_until_complete(answer)
    print(json.dumps(answer))


main()
