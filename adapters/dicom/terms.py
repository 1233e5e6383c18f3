"""What codes and texts of a header mean, as DICOM's own defined terms."""

from __future__ import annotations

#: PS3.16 CID 4010 and 4014, as SNOMED CT and as SRT codes that devices still send → the defined terms of (0018,5101).
VIEWS = {
    "272479007": "PA", "R-10214": "PA", "399348003": "AP", "R-10206": "AP",
    "399173006": "LL", "R-10236": "LL", "399198007": "RL", "R-10232": "RL",
    "399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML", "399352003": "LM", "R-10228": "LM",
    "399099002": "LMO", "R-10230": "LMO", "399196006": "FB", "R-10244": "FB",
    "399188001": "SIO", "R-102D0": "SIO",
}  # fmt: skip
_NO_AGENT = frozenset({"NO", "NONE", "N", "NO CONTRAST", "WITHOUT", "WITHOUT CONTRAST", "0", "NATIVE", "NEGATIVE"})


def contrast(agent: str, coded_agents: int) -> str:
    """ "yes", "no" or "unknown", of Contrast/Bolus Agent (0018,0010) and the items of its sequence (0018,0012).

    The Contrast/Bolus module is required if contrast was used (PS3.3 table A.3-1), and its agent is type 2; but many
    scanners omit the module or send the agent empty either way, so neither says anything. Only a text does.
    """
    if coded_agents:
        return "yes"
    if not agent:
        return "unknown"
    return "no" if agent.upper() in _NO_AGENT else "yes"
