"""A reader of llrpkit with some tags, all as likely: PORT TAGS READS_PER_SECOND."""
import asyncio
import sys

from llrpkit.emulator import EmulatedTag, LLRPEmulator

port, count, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
tags = [EmulatedTag(epc=b"\x30" * 10 + i.to_bytes(2, "big")) for i in range(count)]


async def main():
    async with LLRPEmulator(port=port, tags=tags, reads_per_sec=rate):
        await asyncio.Event().wait()


asyncio.run(main())
