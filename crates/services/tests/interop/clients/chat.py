"""Conversations: carbons, the archive, corrections, chat states and markers."""

from foreign import Client, run, say


class Talker(Client):
    PLUGINS = ("xep_0085", "xep_0184", "xep_0280", "xep_0308", "xep_0313", "xep_0333", "xep_0359")

    def __init__(self, *args):
        super().__init__(*args)
        self["xep_0184"].auto_request = False
        for kind in ("active", "composing", "paused", "inactive", "gone"):
            self.add_event_handler("chatstate_" + kind, self.state(kind))
        self.add_event_handler("message", self.message)
        self.add_event_handler("message_correction", self.correction)
        self.add_event_handler("marker_displayed", self.displayed)
        self.add_event_handler("carbon_received", self.copy("received"))
        self.add_event_handler("carbon_sent", self.copy("sent"))

    def state(self, kind):
        return lambda message: say("state", kind, message["from"].bare)

    def message(self, message):
        if message["body"]:
            say("message", message["id"], message["body"])

    def correction(self, message):
        say("corrects", message["replace"]["id"], message["body"])

    def displayed(self, message):
        say("displayed", message["displayed"]["id"])

    def copy(self, kind):
        def handler(message):
            copied = message["carbon_" + kind]
            if copied["body"]:
                say("copy", kind, copied["body"])

        return handler

    async def do_carbons(self):
        await self["xep_0280"].enable()
        say("carbons")

    async def do_say(self, to, body, *flags):
        message = self.make_message(mto=to, mbody=body, mtype="chat")
        message["id"] = self.new_id()
        message["origin_id"]["id"] = message["id"]
        if "markable" in flags:
            message.enable("markable")
        if "state" in flags:
            message["chat_state"] = "active"
        message.send()
        say("said", message["id"])

    async def do_many(self, to, count):
        for n in range(int(count)):
            message = self.make_message(mto=to, mbody=f"m{n}", mtype="chat")
            message["id"] = self.new_id()
            message["origin_id"]["id"] = message["id"]
            message.send()
        await self["xep_0199"].send_ping(self.boundjid.domain)
        say("many")

    async def do_correct(self, to, which, body):
        message = self.make_message(mto=to, mbody=body, mtype="chat")
        message["id"] = self.new_id()
        message["replace"]["id"] = which
        message.send()
        say("corrected")

    async def do_state(self, to, kind):
        message = self.make_message(mto=to, mtype="chat")
        message["chat_state"] = kind
        message.send()
        say("told")

    async def do_mark(self, to, which):
        message = self.make_message(mto=to, mtype="chat")
        message["displayed"]["id"] = which
        message.send()
        say("marked")

    async def do_archive(self, with_jid):
        bodies = []
        async for result in self["xep_0313"].iterate(with_jid=with_jid):
            bodies.append(result["mam_result"]["forwarded"]["stanza"]["body"])
        say("archive", *[b.replace(" ", "_") for b in bodies if b])


run(Talker)
