"""A serial line without hardware: opens a pty, makes the link LINK to it, and says over and
over what a smart meter or a receiver of positions would say. A file `LINK.garble` beside it
breaks a bit of each telegram as long as it exists.

usage: serial_line.py p1|nmea LINK SECONDS_BETWEEN
"""

import os
import pty
import sys
import time
import tty


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def telegram(number, at):
    """A three-phase meter of DSMR 5.0 with a gas meter, in winter."""
    local = time.strftime("%y%m%d%H%M%S", time.gmtime(at + 3600))
    hour = time.strftime("%y%m%d%H0000", time.gmtime(at + 3600))
    energy = 1234.567 + number * 0.001
    lines = [
        "/TST5\\2stanchion",
        "",
        "1-3:0.2.8(50)",
        f"0-0:1.0.0({local}W)",
        "0-0:96.1.1(4530303434303037303132333435363138)",
        f"1-0:1.8.1({energy:010.3f}*kWh)",
        "1-0:1.8.2(000987.600*kWh)",
        "1-0:2.8.1(000000.000*kWh)",
        "1-0:2.8.2(000000.000*kWh)",
        "0-0:96.14.0(0002)",
        "1-0:1.7.0(01.193*kW)",
        "1-0:2.7.0(00.000*kW)",
        "0-0:96.7.21(00004)",
        "0-0:96.7.9(00002)",
        "1-0:99.97.0(1)(0-0:96.7.19)(000101000006W)(2147483647*s)",
        "1-0:32.32.0(00002)",
        "1-0:32.36.0(00000)",
        "0-0:96.13.0()",
        "1-0:32.7.0(220.1*V)",
        "1-0:52.7.0(220.2*V)",
        "1-0:72.7.0(220.3*V)",
        "1-0:31.7.0(001*A)",
        "1-0:51.7.0(002*A)",
        "1-0:71.7.0(003*A)",
        "1-0:21.7.0(01.111*kW)",
        "1-0:41.7.0(02.222*kW)",
        "1-0:61.7.0(03.333*kW)",
        "0-1:24.1.0(003)",
        "0-1:96.1.0(3232323241424344313233343536373839)",
        f"0-1:24.2.1({hour}W)(12785.123*m3)",
        "!",
    ]
    text = "\r\n".join(lines).encode()
    return text + b"%04X\r\n" % crc16(text)


def sentence(said):
    total = 0
    for byte in said.encode():
        total ^= byte
    return f"${said}*{total:02X}\r\n".encode()


def moment(number, at):
    """A second of a receiver of two systems that goes north."""
    clock = time.strftime("%H%M%S", time.gmtime(at)) + f".{int(at * 100) % 100:02}"
    day = time.strftime("%d%m%y", time.gmtime(at))
    north = f"48{7.038 + number * 0.001:07.4f}"
    return b"".join(
        sentence(said)
        for said in [
            f"GNRMC,{clock},A,{north},N,01131.0000,E,10.0,000.5,{day},,,A",
            "GNVTG,000.5,T,,M,10.0,N,18.5,K,A",
            f"GNGGA,{clock},{north},N,01131.0000,E,1,11,0.9,545.4,M,46.9,M,,",
            "GNGSA,A,3,04,05,09,12,24,,,,,,,,1.9,0.9,1.7",
            "GPGSV,1,1,03,04,40,083,46,05,17,308,41,09,07,344,39",
            "GLGSV,1,1,02,65,40,083,46,66,17,308,41",
        ]
    )


def main():
    kind, link, between = sys.argv[1], sys.argv[2], float(sys.argv[3])
    line, other = pty.openpty()
    tty.setraw(other)
    name = os.ttyname(other)
    # Our end of it stays open, too: the adapter comes and goes, and is no end of the line.
    new = link + ".new"
    os.symlink(name, new)
    os.replace(new, link)
    print(name, flush=True)
    number = 0
    while True:
        say = telegram if kind == "p1" else moment
        said = say(number, time.time())
        if os.path.exists(link + ".garble"):
            said = said[:60] + bytes([said[60] ^ 1]) + said[61:]
        # What nobody reads is thrown away, as on a real line.
        os.set_blocking(line, False)
        try:
            while said:
                said = said[os.write(line, said):]
        except BlockingIOError:
            if said and between == 0:
                os.set_blocking(line, True)
                while said:
                    said = said[os.write(line, said):]
        number += 1
        time.sleep(between)


main()
