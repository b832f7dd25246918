"""Commands, both roles: offers `greet`, in two stages, and runs those of others."""

from foreign import Client, run, say


class Commander(Client):
    PLUGINS = ("xep_0004", "xep_0050")

    async def started(self, event):
        self["xep_0050"].add_command(
            node="greet", name="Greet somebody", handler=self.first
        )
        await super().started(event)

    def first(self, _iq, session):
        form = self["xep_0004"].make_form("form", "Greeting")
        form.add_field(var="name", ftype="text-single", label="Name", required=True)
        session["payload"] = form
        session["next"] = self.second
        session["has_next"] = True
        return session

    def second(self, payload, session):
        session["name"] = payload["values"]["name"]
        form = self["xep_0004"].make_form("form", "How")
        form.add_field(var="loud", ftype="boolean", value=False)
        session["payload"] = form
        session["next"] = self.done
        session["has_next"] = False
        session["allow_prev"] = True
        session["prev"] = self.first
        return session

    def done(self, payload, session):
        loud = payload["values"]["loud"]
        text = "Hello %s" % session["name"]
        say("greeted", text.upper() if loud else text)
        session["notes"] = [("info", text)]
        session["payload"] = None
        session["next"] = None
        return session

    async def do_list(self, jid):
        result = await self["xep_0050"].get_commands(jid)
        nodes = [node for _, node, _ in result["disco_items"]["items"]]
        say("nodes", *nodes)

    async def do_run(self, jid, node):
        iq = await self["xep_0050"].send_command(jid, node)
        self.at = (jid, node, iq["command"]["sessionid"])
        self.tell(iq)

    async def do_step(self, action, *values):
        jid, node, session = self.at
        form = None
        if values:
            form = self["xep_0004"].make_form("submit")
            for value in values:
                name, value = value.split("=")
                form.add_field(var=name, value=value)
        iq = await self["xep_0050"].send_command(
            jid, node, action=action, payload=form, sessionid=session
        )
        self.tell(iq)

    def tell(self, iq):
        command = iq["command"]
        notes = ["%s:%s" % note for note in command["notes"]]
        actions = sorted(command["actions"])
        fields = [f.get("var") for f in command.xml.iter("{jabber:x:data}field")]
        say("at", command["status"], ",".join(actions), ",".join(fields), *notes)


run(Commander)
