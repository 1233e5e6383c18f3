"""The part of the settings that says where HL7 v2 messages are taken, and from whom."""

from __future__ import annotations

from pydantic import BaseModel, Field

from cds.destinations import Hl7Door, ListenerTls, Network, Port, is_loopback


class Hl7Doors(BaseModel):
    """The MLLP listeners."""

    hl7_host: str = "127.0.0.1"
    hl7_port: Port = 2575
    hl7_tls: ListenerTls | None = None
    #: Addresses and networks that may connect; empty: every one that reaches the port.
    hl7_allowed_peers: tuple[Network, ...] = ()
    #: More listeners, by name, beside the one above.
    hl7_listeners: dict[str, Hl7Door] = Field(default_factory=dict)

    @property
    def hl7_doors(self) -> dict[str, Hl7Door]:
        """All MLLP listeners by name; the one of CDS_HL7_HOST is `main`."""
        main = Hl7Door(host=self.hl7_host, port=self.hl7_port, tls=self.hl7_tls, allowed_peers=self.hl7_allowed_peers)
        return {"main": main, **self.hl7_listeners}

    def open_hl7_doors(self) -> list[str]:
        """What is wrong with who may connect."""
        wanted = "client_ca_file in its TLS table, or the addresses that may connect"
        mistakes = [
            f"CDS_HL7_LISTENERS: {name} listens on {door.host!r}, which is not loopback: set {wanted}"
            for name, door in self.hl7_listeners.items()
            if not is_loopback(door.host) and not door.proven
        ]
        if "main" in self.hl7_listeners:
            mistakes.append("CDS_HL7_LISTENERS: main is the listener of CDS_HL7_HOST; use another name")
        if not is_loopback(self.hl7_host) and not self.hl7_doors["main"].proven:
            names = "CDS_HL7_TLS (certificate_file, key_file, client_ca_file) or CDS_HL7_ALLOWED_PEERS"
            mistakes.append(
                f"CDS_HL7_HOST is {self.hl7_host!r}, which is not loopback: set {names} first, or bind 127.0.0.1"
            )
        return mistakes
