"""TLS contexts from the settings' tables: 1.2 or newer, and nobody's name is left unchecked."""

from __future__ import annotations

import ssl

from cds.destinations import ListenerTls, PeerTls


def listener(table: ListenerTls | None) -> ssl.SSLContext | None:
    """For a listener; where a CA is named, the client's certificate is its authentication. None without a table."""
    if table is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(table.certificate_file, table.key_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if table.client_ca_file is not None:
        context.load_verify_locations(table.client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def peer(table: PeerTls | None) -> ssl.SSLContext | None:
    """For a connection to a peer, whose certificate must come from the named CA. None without a table."""
    if table is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(table.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if table.certificate_file is not None:
        context.load_cert_chain(table.certificate_file, table.key_file)
    return context
