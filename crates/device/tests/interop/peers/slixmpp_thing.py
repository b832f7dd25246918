"""Things of another make: slixmpp with its plugins for sensor data and control, as a device.

    slixmpp_thing.py JID PASSWORD HOST PORT CA.PEM

Says "online JID", and "set NODE NAME VALUE" and "cancel" as it is told to. Its nodes:
`hall` can be read and set, `broken` fails after a second, `mute` never says anything.
"""

import asyncio
import sys

import slixmpp
from slixmpp.plugins.xep_0323 import sensordata
from slixmpp.plugins.xep_0323.device import Device as Sensor
from slixmpp.plugins.xep_0325.device import Device as Actuator
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath


class Patience:
    """In place of the plugin's timer, whose `reset` cannot be called."""

    def __init__(self, interval, function, args):
        self.interval, self.function, self.args = interval, function, args
        self.handle = None

    def start(self):
        loop = asyncio.get_running_loop()
        self.handle = loop.call_later(self.interval, self.function, *self.args)

    def cancel(self):
        self.handle.cancel()

    def reset(self):
        self.cancel()
        self.start()


sensordata.TimerReset = Patience


def say(*words):
    print(*words, flush=True)


class Hall(Sensor):
    def __init__(self):
        super().__init__("hall")
        self._add_field("temperature", "numeric", unit="Cel")
        self._add_field("on", "boolean")
        self._add_field("mode", "string")
        self._add_field_momentary_data("temperature", "21.50", {"automaticReadout": "true"})
        self._add_field_momentary_data("on", "true", {"automaticReadout": "true"})
        self._add_field_momentary_data("mode", "auto", {"automaticReadout": "true"})
        for hour in range(3):
            stamp = f"2026-01-01T0{hour}:00:00"
            self._add_field_timestamp_data("temperature", stamp, f"{hour}.0", {"historicalHour": "true"})


class Mute(Sensor):
    def __init__(self, name):
        super().__init__(name)
        self._add_field("temperature", "numeric", unit="Cel")

    def request_fields(self, fields, flags, session, callback):
        pass


class Switch(Actuator):
    def _set_field_value(self, name, value):
        super()._set_field_value(name, value)
        say("set", self.nodeId, name, value)


class Thing(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca):
        super().__init__(jid, password)
        self.ca_certs = ca
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.register_plugin("xep_0323", {"threaded": False})
        self.register_plugin("xep_0325")
        self["xep_0323"].register_node("hall", Hall(), 10)
        self["xep_0323"].register_node("broken", Mute("broken"), 1)
        self["xep_0323"].register_node("mute", Mute("mute"), 600)
        switch = Switch("hall")
        switch._add_control_field("on", "boolean", "false")
        switch._add_control_field("level", "int", "0")
        self["xep_0325"].register_node("hall", switch, 10)
        self.add_event_handler("session_start", self.started)
        cancel = self["xep_0323"]._handle_event_cancel

        def cancelled(iq):
            say("cancel")
            cancel(iq)

        self.remove_handler("Sensordata Event:Cancel")
        self.register_handler(Callback("Cancel", StanzaPath("iq@type=get/cancel"), cancelled))

    async def started(self, _event):
        await self.get_roster()
        self.send_presence()
        await self["xep_0199"].send_ping(self.boundjid.domain)
        say("online", self.boundjid.full)


async def main():
    jid, password, host, port, ca = sys.argv[1:]
    thing = Thing(jid, password, ca)
    thing.connect(host, int(port))
    await asyncio.Event().wait()


asyncio.run(main())
