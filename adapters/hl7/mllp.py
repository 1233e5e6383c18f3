"""MLLP framing without a socket (HL7 v2 Minimal Lower Layer Protocol, release 1): VT block FS CR."""

from __future__ import annotations

from cds.errors import InvalidMessage

START = b"\x0b"
END = b"\x1c\r"

_KEPT_FOR_AN_ANSWER = 65536
_AROUND = len(START) + len(END)


def frame(block: bytes) -> bytes:
    """The block on the wire; InvalidMessage where it holds bytes that would break the framing."""
    if START in block or END in block or block.endswith(END[:1]):
        raise InvalidMessage("an MLLP block must hold no VT, no FS CR and must not end in FS", condition="102")
    return START + block + END


class Framer:
    """Cuts a byte stream into blocks, however it is fragmented, in time linear in the bytes.

    Bytes outside of a frame are skipped, a VT inside of one starts it anew (both are counted in `skipped`), and an FS
    without CR is content. A block longer than `max_bytes` raises InvalidMessage once the blocks before it were given.
    """

    __slots__ = ("_buffer", "_in_frame", "_max_bytes", "_oversize", "_scanned", "_start", "skipped")

    def __init__(self, max_bytes: int) -> None:
        self.skipped = 0
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._start = 0  # of the block, behind its VT
        self._scanned = 0
        self._in_frame = False
        self._oversize = False

    @property
    def in_frame(self) -> bool:
        """True between a VT and its FS CR."""
        return self._in_frame

    @property
    def is_oversize(self) -> bool:
        """True once a block was too long: the next `feed` raises."""
        return self._oversize

    @property
    def held(self) -> int:
        """Bytes of the block that is not complete yet."""
        return len(self._buffer)

    @property
    def unfinished(self) -> bytes:
        """The beginning of the block that is not complete yet, enough to read its MSH for an answer."""
        return bytes(self._buffer[self._start : self._start + _KEPT_FOR_AN_ANSWER]) if self._in_frame else b""

    def feed(self, data: bytes | memoryview) -> list[bytes]:
        """The blocks that these bytes complete, in order. The bytes of a memoryview are copied."""
        if not self._in_frame and (whole := self._only_frame(bytes(data))) is not None:
            return [whole]
        if self._oversize:
            raise self._too_long()
        self._buffer += data
        blocks: list[bytes] = []
        while self._enter() and (block := self._complete()) is not None:
            blocks.append(block)
        del self._buffer[: self._start]
        self._scanned -= self._start
        self._start = 0
        if self._oversize and not blocks:
            raise self._too_long()
        return blocks

    def _only_frame(self, data: bytes) -> bytes | None:
        """The block where the bytes are one whole frame and nothing else, as most senders write it."""
        end = len(data) - len(END)
        if end < 1 or data.find(END) != end or data.rfind(START) != 0 or len(data) - _AROUND > self._max_bytes:
            return None
        return data[len(START) : end]

    def _enter(self) -> bool:
        """Skip to the VT that starts a frame; False where there is none yet."""
        if self._in_frame:
            return True
        start = self._buffer.find(START, self._start)
        found = start >= 0
        begin = start if found else len(self._buffer)
        self.skipped += begin - self._start
        self._start = self._scanned = begin + found
        self._in_frame = found
        return found

    def _complete(self) -> bytes | None:
        """The block up to its FS CR; None where more bytes are wanted or the block is too long."""
        end = self._buffer.find(END[:1], self._scanned)  # one byte is found ten times as fast as two
        end = self._buffer.find(END, end) if end >= 0 else end
        content = end if end >= 0 else len(self._buffer) - self._buffer.endswith(END[:1], self._start)
        self._restart(content)
        if content - self._start > self._max_bytes:
            self._oversize = True
            return None
        if end < 0:
            self._scanned = max(self._start, len(self._buffer) - 1)
            return None
        with memoryview(self._buffer) as view:
            block = bytes(view[self._start : end])
        self._start = self._scanned = end + len(END)
        self._in_frame = False
        return block

    def _restart(self, content: int) -> None:
        """Begin behind the last VT before `content`, unless what stands before one of them was too long already."""
        fits = content - self._start <= self._max_bytes
        find = self._buffer.rfind if fits else self._buffer.find
        while (nested := find(START, self._scanned, content)) >= 0 and nested - self._start <= self._max_bytes:
            self.skipped += nested + 1 - self._start
            self._start = self._scanned = nested + 1

    def _too_long(self) -> InvalidMessage:
        text = f"the block is longer than {self._max_bytes} bytes, the most that is taken here"
        return InvalidMessage(text, condition="102")
