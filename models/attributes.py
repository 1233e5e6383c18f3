"""The 31 source attributes of a predictive decision support intervention (45 CFR 170.315(b)(11)(iv)(B), ONC HTI-1)."""

from __future__ import annotations

from typing import NamedTuple


class Attribute(NamedTuple):
    """One attribute: its number in the rule, its key in a manifest, its group and what it asks for."""

    number: int
    key: str
    group: str
    asks: str


ATTRIBUTES = tuple(
    Attribute(number, key, group, asks)
    for number, (key, group, asks) in enumerate(
        (
            ("developer", "details", "Name and contact information for the intervention developer"),
            ("funding", "details", "Funding source of the technical implementation"),
            ("output_value", "details", "Description of value that the intervention produces as an output"),
            ("output_kind", "details",
             "Whether the output is a prediction, classification, "
             "recommendation, evaluation, analysis or other"),
            ("intended_use", "purpose", "Intended use of the intervention"),
            ("intended_population", "purpose", "Intended patient population(s)"),
            ("intended_users", "purpose", "Intended user(s)"),
            ("decision_role", "purpose", "Intended decision-making role"),
            ("cautioned_uses", "cautioned-out-of-scope",
             "Tasks, situations or populations where a "
             "user is cautioned against applying it"),
            ("known_risks", "cautioned-out-of-scope",
             "Known risks, inappropriate settings, inappropriate "
             "uses or known limitations"),
            ("training_criteria", "development",
             "Exclusion and inclusion criteria that "
             "influenced the training data set"),
            ("sensitive_inputs", "development",
             "Use of race, ethnicity, language, sexual orientation, gender identity, "
             "sex, date of birth, social determinants or health status as input"),
            ("training_demographics", "development",
             "Demographic representativeness of training "
             "data by those variables"),
            ("training_relevance", "development", "Relevance of training data to intended deployed setting"),
            ("fairness_approach", "fairness", "Approach the developer has taken to ensure the output is fair"),
            ("bias_management", "fairness", "Approaches to manage, reduce or eliminate bias"),
            ("external_data", "external-validation",
             "Data source, clinical setting or environment "
             "where validity and fairness were assessed"),
            ("external_party", "external-validation", "Party that conducted the external testing"),
            ("external_demographics", "external-validation", "Demographic representativeness of external data"),
            ("external_process", "external-validation", "Description of external validation process"),
            ("validity_internal", "performance",
             "Validity in test data derived from the "
             "same source as the training data"),
            ("fairness_internal", "performance",
             "Fairness in test data derived from the "
             "same source as the training data"),
            ("validity_external", "performance", "Validity in data external to the training data"),
            ("fairness_external", "performance", "Fairness in data external to the training data"),
            ("outcome_evaluations", "performance", "References to evaluation of use of the intervention on outcomes"),
            ("validity_monitoring", "maintenance", "Process and frequency by which validity is monitored over time"),
            ("validity_local", "maintenance", "Validity of intervention in local data"),
            ("fairness_monitoring", "maintenance", "Process and frequency by which fairness is monitored over time"),
            ("fairness_local", "maintenance", "Fairness of intervention in local data"),
            ("update_process", "update-schedule", "Process and frequency by which the intervention is updated"),
            ("correction_process", "update-schedule",
             "Frequency by which performance is corrected "
             "when risks are identified"),
        ),
        start=1,
    )
)  # fmt: skip

KEYS = frozenset(attribute.key for attribute in ATTRIBUTES)
