"""A Modbus device by pymodbus, for one test: over TCP, or on a pseudo terminal behind a
noisy line. What is written to it goes to a file, a line of JSON each.

    modbus.py tcp PORT LOG
    modbus.py rtu LINK LOG     (LINK becomes a link to the terminal)
"""

import asyncio
import json
import os
import struct
import sys
import threading
import tty

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

way, place, log = sys.argv[1:4]
busy = {"left": 2}

# Holding registers with a behaviour of their own when they are written.
BUSY, SILENT, REFUSED = 50, 60, 70


def words(fmt, value):
    packed = struct.pack(">" + fmt, value)
    return list(struct.unpack(f">{len(packed) // 2}H", packed))


async def action(function, _start, address, _count, _registers, values):
    if values is None:
        return None
    with open(log, "a", encoding="utf-8") as out:
        print(json.dumps([function, address, [int(v) for v in values]]), file=out)
    if address == BUSY and busy["left"] > 0:
        busy["left"] -= 1
        return ExcCodes.DEVICE_BUSY
    if address == SILENT:
        await asyncio.sleep(1.5)
    if address == REFUSED:
        return ExcCodes.ILLEGAL_VALUE
    return None


def registers(address, values):
    return SimData(address, values=values, datatype=DataType.REGISTERS)


values = words("h", -215) + words("f", 12.56) + words("i", -100_000)
values += words("I", 4_000_000_000) + words("Q", 2**63 + 1)
values += words("6s", b"Pump 7")
inputs = [
    registers(0, values),
    SimData(len(values), count=20, datatype=DataType.INVALID),
    registers(40, list(range(1000, 1200))),
]
bits = [bit % 3 == 0 for bit in range(64)]
device = SimDevice(
    1,
    simdata=(
        [SimData(0, values=bits, datatype=DataType.BITS)],
        [SimData(0, values=bits, datatype=DataType.BITS)],
        [registers(0, [0] * 100)],
        inputs,
    ),
    action=action,
)


def carry(source, sink, noise):
    while True:
        data = os.read(source, 512)
        if noise:
            # Half a frame of our own unit, and a whole one of another.
            data = bytes([0xFF, 1, 3, 0x55]) + bytes.fromhex("02030400000000c933") + data
        os.write(sink, data)


async def serve():
    if way == "tcp":
        server = ModbusTcpServer(device, address=("127.0.0.1", int(place)))
    else:
        ours, its = os.openpty()
        line, theirs = os.openpty()
        for end in (ours, its, line, theirs):
            tty.setraw(end)
        for source, sink, noise in ((ours, line, True), (line, ours, False)):
            threading.Thread(target=carry, args=(source, sink, noise), daemon=True).start()
        server = ModbusSerialServer(device, port=os.ttyname(its), ignore_missing_devices=True)
        fresh = place + ".new"
        os.symlink(os.ttyname(theirs), fresh)
        os.replace(fresh, place)
    await server.serve_forever()


asyncio.run(serve())
