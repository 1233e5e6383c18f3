"""Metformin and contrast: the two policies that differ, for a site to choose from.

ACR Manual on Contrast Media: hold with acute kidney injury, eGFR below 30 or an arterial catheter study that may send
emboli to the renal arteries. FDA label of 2016: also with eGFR 30 to 60, liver disease, alcoholism, heart failure or
intra-arterial contrast (table 3 of doi:10.1681/ASN.2016121372).
"""

from __future__ import annotations

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._facts import Fact, any_of, choice, first, flag, number

_NOT_TAKEN = "not_on_metformin"
_ARTERIAL = ("intra_arterial", "intraarterial", "arterial", "ia")


def _evaluate(given: Given) -> Answer:
    policies = {"acr_manual": _acr(given), "fda_2016_label": _fda(given)}
    missing = [name for found in policies.values() if isinstance(found, NotScored) for name in found.missing]
    return NotScored(missing=tuple(dict.fromkeys(missing))) if missing else Scored(policies)


def _low(given: Given) -> Fact:
    return number(given, "egfr", lambda egfr: egfr < 30)


def _acr(given: Given) -> str | NotScored:
    emboli = _intra_arterial(given) & flag(given, "renal_emboli_possible")
    rules = (
        (~flag(given, "metformin"), _NOT_TAKEN),
        (choice(given, "agent", "gadolinium"), "continue"),
        (any_of((flag(given, "aki"), _low(given), emboli)), "hold_48h"),
    )
    return first(rules, otherwise="continue")


def _fda(given: Given) -> str | NotScored:
    hold = any_of(
        (
            number(given, "egfr", lambda egfr: egfr <= 60),
            flag(given, "aki"),
            _intra_arterial(given),
            *(flag(given, name) for name in ("liver_disease", "alcoholism", "heart_failure")),
        )
    )
    rules = (
        (~flag(given, "metformin"), _NOT_TAKEN),
        (_low(given), "contraindicated_drug"),
        (choice(given, "agent", "gadolinium"), "not_addressed"),
        (hold, "hold_recheck_egfr_48h"),
    )
    return first(rules, otherwise="continue")


def _intra_arterial(given: Given) -> Fact:
    return choice(given, "route", *_ARTERIAL)


def _history(name: str, title: str, *aliases: str) -> Input:
    return Input(name, title, kind="boolean", needed=False, unmentioned=False, aliases=aliases)


SCORE = Score(
    id="metformin_contrast",
    title="Metformin and contrast",
    source=Source("ACR Manual on Contrast Media", "https://www.acr.org/Clinical-Resources/Contrast-Manual"),
    population="adults who take metformin, before contrast",
    outcome="whether metformin is held",
    horizon_years=None,
    inputs=(
        Input("metformin", "takes metformin", kind="boolean", needed=False),
        Input("agent", "contrast", kind="choice", choices=("iodinated", "gadolinium"), needed=False),
        Input("route", "route", kind="choice", choices=("iv", *_ARTERIAL), needed=False),
        Input("egfr", "eGFR", "number", "mL/min/{1.73_m2}", 0, 250, short="eGFR", needed=False),
        Input("aki", "acute kidney injury", kind="boolean", needed=False),
        _history("liver_disease", "history of liver disease", "hepatic_disease"),
        _history("alcoholism", "history of alcoholism", "alcohol_use_disorder", "alcohol"),
        _history("heart_failure", "history of heart failure"),
        # Who says of an arterial study no more than that it is one means the catheter study of the ACR's category II.
        Input("renal_emboli_possible", "emboli to the renal arteries", "boolean", needed=False, unmentioned=True),
    ),
    evaluate=_evaluate,
    outputs=(
        Output("acr_manual", "by the ACR Manual on Contrast Media"),
        Output("fda_2016_label", "by the label of the FDA of 2016"),
    ),
    further=(Source("FDA 2016 label, as reviewed", "https://doi.org/10.1681/ASN.2016121372"),),
    notes=(
        "The policies differ from eGFR 30 to 60: a site chooses one. Both ends of that range count as within it.",
        "The label does not speak of acute kidney injury nor of gadolinium: holding in the former is our reading.",
    ),
)
