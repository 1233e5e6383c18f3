"""Value sets of drugs, with the evidence of each code: groups of the WHO's ATC and ingredients of RxNorm.

A group of the ATC is taken whole only where all that is below it answers the question; else its substances stand here
by themselves. What runs under other systems (national drug codes, SNOMED CT products, a site's own) is not recognised:
that a drug was not found says so much, and no more.
"""

from __future__ import annotations

from dataclasses import replace

from cds.value_sets import Entry, ValueSet, atc, rxnorm

_WHO = "WHO ATC/DDD index"
_MII = "WHO ATC/DDD index; MII Kardiologie, value set of cardiological drugs"
_CPIC = "CPIC drug table, RxNorm ingredient"
_RXNAV = "public substance table taken from NIH RxNav, exact ingredient"
_TABLES = "several public tables of RxNorm ingredients, which agree"
_SETS = "OHDSI concept set, RxNorm ingredient"


def _drug(name: str, title: str, *entries: Entry) -> ValueSet:
    return ValueSet(name, title, "medication", entries)


def _atc(evidence: str, *coded: tuple[str, str], prefix: bool = True) -> tuple[Entry, ...]:
    return tuple(atc(code, display, evidence, prefix=prefix) for code, display in coded)


def _rxnorm(evidence: str, *coded: tuple[str, str]) -> tuple[Entry, ...]:
    return tuple(rxnorm(code, ingredient, evidence) for code, ingredient in coded)


def _unseen(*coded: tuple[str, str]) -> tuple[Entry, ...]:
    evidence = "recalled, not seen in a public list of ingredients"
    return tuple(replace(one, verified=False) for one in _rxnorm(evidence, *coded))


STATIN = _drug(
    "statin",
    "statin",
    *_atc(_MII, ("C10AA", "HMG CoA reductase inhibitors"), ("C10BX", "Lipid modifying agents, other combinations")),
    # C10BA10 is bempedoic acid with ezetimibe.
    *_atc(
        _MII,
        ("C10BA01", "Lovastatin and nicotinic acid"),
        ("C10BA02", "Simvastatin and ezetimibe"),
        ("C10BA03", "Pravastatin and fenofibrate"),
        ("C10BA04", "Simvastatin and fenofibrate"),
        ("C10BA05", "Atorvastatin and ezetimibe"),
        ("C10BA06", "Rosuvastatin and ezetimibe"),
        ("C10BA07", "Rosuvastatin and omega-3 fatty acids"),
        ("C10BA08", "Atorvastatin and omega-3 fatty acids"),
        ("C10BA09", "Rosuvastatin and fenofibrate"),
        ("C10BA11", "Pravastatin and ezetimibe"),
        ("C10BA12", "Pravastatin, ezetimibe and fenofibrate"),
        ("A10BH51", "Sitagliptin and simvastatin"),
        ("A10BH52", "Gemigliptin and rosuvastatin"),
        prefix=False,
    ),
    *_rxnorm(
        f"{_CPIC}; {_RXNAV}",
        ("83367", "atorvastatin"),
        ("301542", "rosuvastatin"),
        ("36567", "simvastatin"),
        ("42463", "pravastatin"),
    ),
    *_rxnorm(_RXNAV, ("6472", "lovastatin")),
    *_rxnorm("two public tables of RxNorm ingredients of statins", ("41127", "fluvastatin")),
)
#: Left out: drugs for pulmonary hypertension (C02K), vasopressin antagonists (C03X). Combinations with a statin stand
#: under the statins, and those that hold a blood-pressure-lowering drug here too.
ANTIHYPERTENSIVE = _drug(
    "antihypertensive",
    "blood-pressure-lowering drug",
    *_atc(
        _WHO,
        ("C02A", "Antiadrenergic agents, centrally acting"),
        ("C02B", "Antiadrenergic agents, ganglion-blocking"),
        ("C02C", "Antiadrenergic agents, peripherally acting"),
        ("C02D", "Agents acting on arteriolar smooth muscle"),
        ("C02L", "Antihypertensives and diuretics in combination"),
        ("C02N", "Combinations of antihypertensives"),
        ("C03B", "Low-ceiling diuretics, excl. thiazides"),
        ("C03D", "Potassium-sparing agents"),
        ("C03E", "Diuretics and potassium-sparing agents in combination"),
    ),
    *_atc(
        _MII,
        ("C03A", "Low-ceiling diuretics, thiazides"),
        ("C03C", "High-ceiling diuretics"),
        ("C07", "Beta blocking agents"),
        ("C08", "Calcium channel blockers"),
        ("C09", "Agents acting on the renin-angiotensin system"),
    ),
    *_atc(
        _MII,
        ("C10BX03", "Atorvastatin and amlodipine"),
        ("C10BX04", "Simvastatin, acetylsalicylic acid and ramipril"),
        ("C10BX06", "Atorvastatin, acetylsalicylic acid and ramipril"),
        ("C10BX07", "Rosuvastatin, amlodipine and lisinopril"),
        ("C10BX09", "Rosuvastatin and amlodipine"),
        ("C10BX10", "Rosuvastatin and valsartan"),
        ("C10BX11", "Atorvastatin, amlodipine and perindopril"),
        ("C10BX12", "Atorvastatin, acetylsalicylic acid and perindopril"),
        ("C10BX13", "Rosuvastatin, perindopril and indapamide"),
        ("C10BX14", "Rosuvastatin, amlodipine and perindopril"),
        ("C10BX15", "Atorvastatin and perindopril"),
        ("C10BX16", "Rosuvastatin and fimasartan"),
        ("C10BX17", "Rosuvastatin and ramipril"),
        ("C10BX18", "Atorvastatin, amlodipine and ramipril"),
        ("C10BX19", "Atorvastatin, amlodipine and candesartan"),
        prefix=False,
    ),
    *_rxnorm(
        f"{_CPIC}; {_TABLES}",
        ("1998", "captopril"),
        ("5470", "hydralazine"),
        ("5487", "hydrochlorothiazide"),
        ("9997", "spironolactone"),
        ("4603", "furosemide"),
        ("6918", "metoprolol"),
        ("20352", "carvedilol"),
        ("8787", "propranolol"),
    ),
    *_rxnorm(
        _RXNAV,
        ("29046", "lisinopril"),
        ("17767", "amlodipine"),
        ("3443", "diltiazem"),
        ("11170", "verapamil"),
        ("31555", "nebivolol"),
    ),
    *_rxnorm(
        _TABLES,
        ("52175", "losartan"),
        ("69749", "valsartan"),
        ("3827", "enalapril"),
        ("35296", "ramipril"),
        ("1202", "atenolol"),
    ),
)
#: The drugs that dissolve clots (B01AD) are given once, and are no treatment that runs.
ANTICOAGULANT = _drug(
    "anticoagulant",
    "anticoagulant",
    *_atc(
        _MII,
        ("B01AA", "Vitamin K antagonists"),
        ("B01AE", "Direct thrombin inhibitors"),
        ("B01AF", "Direct factor Xa inhibitors"),
    ),
    *_atc(_WHO, ("B01AB", "Heparin group"), ("B01AX05", "Fondaparinux")),
    *_rxnorm(f"{_CPIC}; {_RXNAV}", ("11289", "warfarin"), ("154", "acenocoumarol")),
    *_rxnorm(_CPIC, ("8150", "phenprocoumon")),
    *_rxnorm(
        _RXNAV,
        ("1364430", "apixaban"),
        ("1114195", "rivaroxaban"),
        ("1599538", "edoxaban"),
        ("1546356", "dabigatran"),
        ("1927851", "betrixaban"),
        ("5224", "heparin"),
    ),
    *_rxnorm(_TABLES, ("67108", "enoxaparin")),
)
#: Acetylsalicylic acid for pain (N02BA) is no antiplatelet treatment; RxNorm does not tell the two apart.
ANTIPLATELET = _drug(
    "antiplatelet",
    "antiplatelet drug",
    *_atc(_MII, ("B01AC", "Platelet aggregation inhibitors excl. heparin")),
    *_rxnorm(f"{_CPIC}; {_RXNAV}", ("1191", "aspirin"), ("32968", "clopidogrel")),
    *_rxnorm(
        _RXNAV,
        ("613391", "prasugrel"),
        ("1116632", "ticagrelor"),
        ("10594", "ticlopidine"),
        ("1537034", "vorapaxar"),
    ),
    *_rxnorm(_TABLES, ("3521", "dipyridamole")),
)
#: Left out: burosumab (M05BX05) and bone morphogenetic proteins (M05BC), which are for other diseases.
OSTEOPOROSIS_DRUG = _drug(
    "osteoporosis-drug",
    "drug for osteoporosis",
    *_atc(
        _WHO,
        ("M05BA", "Bisphosphonates"),
        ("M05BB", "Bisphosphonates, combinations"),
        ("M05BX03", "Strontium ranelate"),
        ("M05BX04", "Denosumab"),
        ("M05BX06", "Romosozumab"),
        ("M05BX53", "Strontium ranelate and colecalciferol"),
        ("H05AA02", "Teriparatide"),
        ("H05AA04", "Abaloparatide"),
        ("G03XC01", "Raloxifene"),
        ("G03XC02", "Bazedoxifene"),
    ),
    *_unseen(("46041", "alendronate"), ("73056", "risedronate"), ("993449", "denosumab")),
)
#: Oestrogens as they are given for the menopause. The ATC does not tell a tablet of estradiol from a vaginal one;
#: estriol and promestriene, which are given locally, are left out, and so are contraceptives (G03A).
OESTROGEN = _drug(
    "oestrogen",
    "oestrogen",
    *_atc(
        _WHO,
        ("G03CA03", "Estradiol"),
        ("G03CA53", "Estradiol, combinations"),
        ("G03CA57", "Conjugated estrogens"),
        ("G03CC07", "Conjugated estrogens and bazedoxifene"),
        ("G03F", "Progestogens and estrogens in combination"),
    ),
    *_unseen(("4083", "estradiol")),
)
_WITH_METFORMIN = (
    *("02", "03", "05", "07", "08", "10", "11", "13", "14", "15", "16", "17", "18", "20", "22", "23", "25", "26", "27"),
)
METFORMIN = _drug(
    "metformin",
    "metformin",
    *_atc(_WHO, ("A10BA02", "Metformin")),
    *_atc(
        "WHO ATC/DDD index; list of a public diabetes registry",
        *((f"A10BD{number}", "Metformin in combination") for number in _WITH_METFORMIN),
        prefix=False,
    ),
    *_rxnorm(f"{_CPIC}; {_RXNAV}", ("6809", "metformin")),
)
#: Cortisone and hydrocortisone, mostly a replacement, are left out; so are drugs against cancer (L01) but those that
#: are given for immune diseases too: cancer is asked for by itself.
IMMUNOSUPPRESSANT = _drug(
    "immunosuppressant",
    "immunosuppressive drug",
    *_atc(
        _WHO,
        ("L04", "Immunosuppressants"),
        ("H02AB01", "Betamethasone"),
        ("H02AB02", "Dexamethasone"),
        ("H02AB04", "Methylprednisolone"),
        ("H02AB06", "Prednisolone"),
        ("H02AB07", "Prednisone"),
        ("H02AB13", "Deflazacort"),
        ("L01AA01", "Cyclophosphamide"),
        ("L01BA01", "Methotrexate"),
        ("L01BB02", "Mercaptopurine"),
        ("L01FA01", "Rituximab"),
    ),
    *_rxnorm(
        f"{_CPIC}; {_RXNAV}",
        ("1256", "azathioprine"),
        ("3008", "cyclosporine"),
        ("42316", "tacrolimus"),
        ("35302", "sirolimus"),
        ("6851", "methotrexate"),
        ("103", "mercaptopurine"),
    ),
    *_rxnorm(_CPIC, ("121191", "rituximab"), ("3002", "cyclophosphamide")),
    rxnorm("7145", "mycophenolic acid", f"{_CPIC}; {_RXNAV}", word="mycophenolic"),
    *_rxnorm(_RXNAV, ("141704", "everolimus"), ("27169", "leflunomide")),
    *_rxnorm(_SETS, ("327361", "adalimumab")),
    *_rxnorm(_TABLES, ("214555", "etanercept"), ("191831", "infliximab"), ("8640", "prednisone")),
)
#: Ginkgo (N06DX02) is bought by many who have no dementia.
DEMENTIA_DRUG = _drug(
    "dementia-drug",
    "drug for dementia",
    *_atc(_WHO, ("N06DA", "Anticholinesterases"), ("N06DX01", "Memantine"), ("N06DX04", "Lecanemab")),
    *_rxnorm(f"{_CPIC}; {_RXNAV}", ("135447", "donepezil")),
    *_rxnorm(_CPIC, ("4637", "galantamine")),
    *_rxnorm(_TABLES, ("183379", "rivastigmine")),
)
#: Of M01AX, which holds glucosamine and chondroitin too, only what is one.
NSAID = _drug(
    "nsaid",
    "non-steroidal anti-inflammatory drug",
    *_atc(
        _WHO,
        ("M01AA", "Butylpyrazolidines"),
        ("M01AB", "Acetic acid derivatives and related substances"),
        ("M01AC", "Oxicams"),
        ("M01AE", "Propionic acid derivatives"),
        ("M01AG", "Fenamates"),
        ("M01AH", "Coxibs"),
        ("M01AX01", "Nabumetone"),
        ("M01AX17", "Nimesulide"),
    ),
    *_rxnorm(_RXNAV, ("5640", "ibuprofen"), ("7258", "naproxen")),
    *_rxnorm(f"{_CPIC}; {_RXNAV}", ("3355", "diclofenac")),
    *_rxnorm(_CPIC, ("140587", "celecoxib"), ("4502", "flurbiprofen")),
)

ALL = tuple(one for one in list(vars().values()) if isinstance(one, ValueSet))
