"""A car that is not there, on an ELM327 that is emulated: ELM327-emulator with its scenario
`car` and three trouble codes, on a port of loopback.

usage: car.py PORT
"""

import sys
import time

from elm import Elm, obd_message

obd_message.DTC_STORED[:] = ["0143", "0196", "C100"]

emulator = Elm(batch_mode=True, net_port=int(sys.argv[1]))
emulator.set_sorted_obd_msg("car")
with emulator:
    while True:
        time.sleep(1)
