"""python-hl7's asyncio server as a peer: python -m tests.bench.python_hl7_server PORT parse|raw.

`parse` is its own way, readmessage and create_ack; `raw` reads a block, parses nothing and answers a fixed AA.
"""

from __future__ import annotations

import asyncio
import sys

from hl7.mllp import HL7StreamReader, HL7StreamWriter, start_hl7_server

_AA = b"MSH|^~\\&|S|S|R|R|20261101||ACK|9|P|2.4\rMSA|AA|1\r"
_LIMIT = 64 * 1024 * 1024


async def parsing(reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
    while not reader.at_eof():
        try:
            message = await reader.readmessage()
        except asyncio.IncompleteReadError:
            break
        writer.writemessage(message.create_ack())
        await writer.drain()
    writer.close()


async def raw(reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
    while not reader.at_eof():
        try:
            await reader.readblock()
        except asyncio.IncompleteReadError:
            break
        writer.writeblock(_AA)
        await writer.drain()
    writer.close()


async def main() -> None:
    port, way = int(sys.argv[1]), {"parse": parsing, "raw": raw}[sys.argv[2]]
    server = await start_hl7_server(way, "127.0.0.1", port, limit=_LIMIT, encoding="utf-8")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
