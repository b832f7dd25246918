"""Publishes and subscribes, at services and at its own account."""

from slixmpp.exceptions import IqError
from slixmpp.xmlstream import ET

from foreign import Client, run, say

NS = "urn:example:foreign"


class PubsubClient(Client):
    PLUGINS = ("xep_0004", "xep_0059", "xep_0060", "xep_0163")

    def __init__(self, *args):
        super().__init__(*args)
        self.add_event_handler("pubsub_publish", self.published)
        self.add_event_handler("pubsub_retract", self.retracted)
        self.add_event_handler("pubsub_purge", lambda m: say("purged"))
        self.add_event_handler("pubsub_delete", lambda m: say("deleted"))

    def published(self, message):
        for item in list(message["pubsub_event"]["items"]["substanzas"]):
            payload = item["payload"]
            text = "" if payload is None else payload.text
            say("event", message["from"], item["id"], text)

    def retracted(self, message):
        for item in list(message["pubsub_event"]["items"]["substanzas"]):
            say("retracted", item["id"])

    async def do_create(self, service, node):
        if service == "own":
            form = self["xep_0004"].make_form(ftype="submit")
            kind = "http://jabber.org/protocol/pubsub#node_config"
            form.add_field(var="FORM_TYPE", ftype="hidden", value=kind)
            form.add_field(var="pubsub#access_model", value="presence")
            await self["xep_0060"].create_node(None, node, config=form)
        else:
            await self["xep_0060"].create_node(service, node)
        say("created", node)

    async def do_subscribe(self, service, node):
        await self["xep_0060"].subscribe(service, node)
        say("subscribed", node)

    async def do_publish(self, service, node, id, text):
        payload = ET.Element("{%s}v" % NS)
        payload.text = text
        to = None if service == "own" else service
        await self["xep_0060"].publish(to, node, id=id, payload=payload)
        say("published", id)

    async def do_retract(self, service, node, id):
        await self["xep_0060"].retract(service, node, id, notify=True)
        say("did-retract", id)

    async def do_purge(self, service, node):
        await self["xep_0060"].purge(service, node)
        say("did-purge", node)

    async def do_delete(self, service, node):
        await self["xep_0060"].delete_node(service, node)
        say("did-delete", node)

    async def do_items(self, service, node):
        result = await self["xep_0060"].get_items(service, node)
        for item in list(result["pubsub"]["items"]["substanzas"]):
            payload = item["payload"]
            say("item", item["id"], payload.text)
        say("items-end")

    async def do_notify(self, node):
        self["xep_0163"].add_interest(node)
        await self["xep_0115"].update_caps()
        await self["xep_0199"].send_ping(self.boundjid.domain)
        say("interested", node)

    async def do_befriend(self, jid):
        self.auto_authorize = True
        self.auto_subscribe = True
        self.send_presence(pto=jid, ptype="subscribe")
        await self["xep_0199"].send_ping(self.boundjid.domain)
        say("befriended", jid)


run(PubsubClient)
