"""A car that is not there, on an ELM327 that is emulated: ELM327-emulator with its scenario
`car` and three trouble codes, on a port of loopback. Its log goes into FOLDER.

usage: car.py PORT FOLDER
"""

import os
import sys
import time

# It writes its log into the folder in which it is.
os.chdir(sys.argv[2])

from elm import Elm, obd_message

obd_message.DTC_STORED[:] = ["0143", "0196", "C100"]

emulator = Elm(batch_mode=True, net_port=int(sys.argv[1]))
emulator.set_sorted_obd_msg("car")
with emulator:
    while True:
        time.sleep(1)
