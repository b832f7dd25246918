"""Messages with receipts, to a component and from it."""

from foreign import Client, run, say


class Talker(Client):
    PLUGINS = ("xep_0184", "xep_0092")

    async def started(self, event):
        self.add_event_handler("message", self.heard)
        self.add_event_handler("receipt_received", self.receipt)
        await super().started(event)

    def heard(self, message):
        if message["body"]:
            say("heard", message["from"], message["body"])

    def receipt(self, message):
        say("receipt", message["from"], message["receipt"])

    async def do_say(self, jid, text):
        message = self.make_message(mto=jid, mbody=text, mtype="chat")
        message["request_receipt"] = True
        message["id"] = self.new_id()
        message.send()
        say("said", message["id"])

    async def do_version(self, jid):
        iq = await self["xep_0092"].get_version(jid)
        say("version", iq["software_version"]["name"])


run(Talker)
