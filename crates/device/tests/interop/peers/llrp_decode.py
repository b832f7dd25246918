"""Reads messages in hexadecimal, one a line, with pyllrp; writes each as it writes it.

With `give`, writes messages of its own instead.
"""
import sys

import bitstring
from pyllrp import pyllrp as p


def written(message):
    out = bitstring.BitStream()
    message.pack(out)
    return out.tobytes().hex()


def given():
    tag = p.TagReportData_Parameter(Parameters=[
        p.EPC_96_Parameter(EPC=0x300000000000000000000007),
        p.AntennaID_Parameter(AntennaID=3),
        p.PeakRSSI_Parameter(PeakRSSI=-61),
        p.LastSeenTimestampUTC_Parameter(Microseconds=1700000000000000),
        p.TagSeenCount_Parameter(TagCount=2),
    ])
    yield p.RO_ACCESS_REPORT_Message(MessageID=5, Parameters=[tag])
    yield p.KEEPALIVE_Message(MessageID=6)
    status = p.LLRPStatus_Parameter(StatusCode=100, ErrorDescription="no")
    yield p.START_ROSPEC_RESPONSE_Message(MessageID=7, Parameters=[status])


if sys.argv[1:] == ["give"]:
    for message in given():
        print(written(message), flush=True)
else:
    for line in sys.stdin:
        stream = bitstring.ConstBitStream(bytes=bytes.fromhex(line))
        message = p.UnpackMessage(stream)
        message._validate()
        print(message.Name, written(message), flush=True)
