"""The words that a sentence of a report may hold to be read with certainty. Any other word makes it not comparable.

So nothing is guessed: an abbreviation, a doubt in other words or another language is a word that is not here. The lists
of doubt and history only give the reason a better name.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: What may stand around a finding that is there: where, how large, since when it is known to be the same.
ASSERTING = _words(
    """there is are a an the and with of in at on evidence seen identified present noted demonstrated visualized
    visualised again shows show demonstrates measuring measures up to x cm mm
    small tiny trace minimal moderate large massive mild severe marked extensive diffuse scattered multiple several few
    single solid acute chronic new unchanged stable persistent increased tension
    left right bilateral both side sided upper lower middle lobe lobes lung lungs zone zones apical basal basilar base
    bases apex apices hemithorax anterior posterior lateral medial frontal parietal temporal occipital cerebral
    hemisphere convexity subpleural centrilobular paraseptal panlobular bullous"""
)
#: What else may stand in a list of things that are denied, each as a whole: nothing in it speaks of the next item.
DENIED_TOO = tuple(
    tuple(text.split())
    for text in ("mass", "mass effect", "midline shift", "mediastinal shift", "herniation", "hydrocephalus", "infarct",
                 "infarction", "adenopathy", "lymphadenopathy", "dislocation", "infiltrate", "opacity", "opacities",
                 "airspace disease")
)  # fmt: skip
#: Kinds of what is denied.
KINDS = frozenset({"focal"})
#: What may end a denial.
ENDING = _words("is are seen identified present noted demonstrated visualized visualised evident detected")
#: What may stand before a denial.
OPENINGS = (("there", "is"), ("there", "are"), ())
#: Denials, the longer ones first.
DENIALS = tuple(
    tuple(text.split())
    for text in ("no evidence of", "no sign of", "no signs of", "without evidence of", "absence of", "negative for",
                 "no", "without")
)  # fmt: skip
OR, AND = frozenset({"or", "nor"}), "and"
SEPARATORS = OR | {","}
#: No sentence ends with these: what follows on another line belongs to them.
DANGLING = _words("a an the and or nor with without of in at on to for is are no up evidence sign signs negative")
NONE = _words("none absent negative")
THERE = _words("present")
#: Labels of a structured report: "Lungs: ...".
PARTS = _words("lung lungs pleura pleural space spaces heart chest brain bones mediastinum airways head thorax and")

DOUBT = _words(
    """possible possibly probable probably suspected suspicious suspicion may might could cannot can exclude
    excluded questionable question likely unlikely apparent appears suggest suggests suggestive suggesting concerning
    concern consider consistent compatible versus vs equivocal indeterminate presumed rule out evaluate evaluation
    differential if unless ? perhaps potential potentially subtle doubtful limited"""
)
HISTORY = _words(
    """history prior previous previously known resolved resolution former remote interval longer past status post old
    earlier was were clinical indication comparison"""
)
KNOWN = (
    ASSERTING | KINDS | ENDING | OR | NONE | {AND, ","} | {word for item in (*DENIED_TOO, *DENIALS) for word in item}
)

#: Headings of sections, and whether they hold what the radiologist says of these images.
CONCLUSIONS = _words("impression impressions conclusion conclusions addendum")
BODY = _words("findings finding")
NOT_SAID = frozenset(
    """clinical history|history|clinical information|clinical indication|clinical data|clinical details|indication|
    indications|reason for exam|reason for examination|reason for study|comparison|comparisons|technique|procedure|exam|
    examination|protocol|recommendation|recommendations|medical history|contrast|study|communication|diagnosis codes|
    signed by|dictated by""".replace("\n    ", "").split("|")
)
