"""Rooms."""

import slixmpp
from foreign import Client, run, say


class Visitor(Client):
    PLUGINS = ("xep_0045", "xep_0249")

    def __init__(self, *args):
        super().__init__(*args)
        self.add_event_handler("groupchat_message", self.heard)
        self.add_event_handler("groupchat_subject", self.subject)
        self.add_event_handler("groupchat_presence", self.presence)
        self.add_event_handler("groupchat_invite", self.invited)
        self.add_event_handler("groupchat_direct_invite", self.invited_directly)
        self.add_event_handler("message", self.told)

    def heard(self, message):
        if message["body"]:
            say("heard", message["from"].resource, message["body"])

    def told(self, message):
        if message["type"] == "chat" and message["body"]:
            say("told", message["from"].resource, message["body"])

    def subject(self, message):
        say("subject", message["from"].resource, message["subject"])

    def presence(self, presence):
        codes = presence.xml.findall(
            "{http://jabber.org/protocol/muc#user}x/{http://jabber.org/protocol/muc#user}status"
        )
        codes = ",".join(sorted(code.get("code") for code in codes))
        say("presence", presence["from"].resource, presence["type"], codes)

    def invited(self, message):
        say("invited", message["from"].bare)

    def invited_directly(self, message):
        say("invited-directly", message["groupchat_invite"]["jid"])

    async def do_join(self, room, nick):
        try:
            await self["xep_0045"].join_muc_wait(room, nick, maxstanzas=0, timeout=20)
            say("joined", nick)
        except slixmpp.exceptions.PresenceError as error:
            say("refused join", error.presence["error"]["condition"])

    async def do_nick(self, room, nick):
        self.send_presence(pto=f"{room}/{nick}")
        say("renaming")

    async def do_say(self, room, text):
        self.send_message(mto=room, mbody=text, mtype="groupchat")
        say("said", text)

    async def do_whisper(self, jid, text):
        self.send_message(mto=jid, mbody=text, mtype="chat")
        say("whispered", text)

    async def do_subject(self, room, text):
        self["xep_0045"].set_subject(room, text)
        say("subject-set")

    async def do_kick(self, room, nick):
        await self["xep_0045"].set_role(room, nick, "none")
        say("kicked", nick)

    async def do_invite(self, room, jid):
        self["xep_0045"].invite(room, jid, "come")
        say("inviting")

    async def do_invite_directly(self, room, jid):
        self["xep_0249"].send_invitation(jid, room, reason="come")
        say("inviting")


run(Visitor)
