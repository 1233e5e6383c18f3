"""What pathways read of images: a public code where one was verified, else Sightline's own, whichever model found it.

A site's own model that gives one of these codes in its manifest sets off the pathways that read it.
"""

from __future__ import annotations

from cds.domain.coding import Coding
from cds.value_sets import SNOMED

#: What models measure, where no public code says it exactly.
SIGHTLINE_OBSERVATION = "urn:sightline:observation"
_RADLEX = "http://radlex.org"


def _own(code: str, display: str) -> Coding:
    return Coding(SIGHTLINE_OBSERVATION, code, display)


LUNG_VOLUME = _own("lung-volume", "Lung volume on CT")
LAA_950 = _own("laa-950", "Low-attenuation area of the lung below -950 HU")
PERC_15 = _own("perc15", "15th percentile of lung density")
EMPHYSEMA = Coding(SNOMED, "87433001", "Pulmonary emphysema")

CORONARY_CALCIFICATION = Coding(SNOMED, "445512009", "Calcification of coronary artery")
CORONARY_CALCIUM_SCORE = Coding(SNOMED, "450360000", "Coronary artery calcium score")
CARDIOMEGALY = Coding(SNOMED, "8186001", "Cardiomegaly")
CARDIOTHORACIC_RATIO = _own("cardiothoracic-ratio", "Cardiothoracic ratio on a chest radiograph")
PULMONARY_OEDEMA = Coding(SNOMED, "19242006", "Pulmonary edema")
PLEURAL_EFFUSION = Coding(SNOMED, "60046008", "Pleural effusion")
CONSOLIDATION = Coding(SNOMED, "95436008", "Lung consolidation")
PNEUMONIA = Coding(SNOMED, "233604007", "Pneumonia")

#: A nodule: the value is its mean diameter (mm), the category its type, `body_site` its lobe, `tracking_id` names it in
#: every finding about the same nodule.
LUNG_NODULE = Coding(_RADLEX, "RID50149", "pulmonary nodule")
NODULE_SOLID_PART = _own("lung-nodule-solid-part", "Mean diameter of the solid part of a lung nodule")
NODULE_SPICULATION = _own("lung-nodule-spiculation", "Spiculation of a lung nodule")
#: The types of a nodule, as `Finding.category`.
NODULE_SOLID = _own("nodule-solid", "Solid nodule")
NODULE_PART_SOLID = _own("nodule-part-solid", "Part-solid nodule")
NODULE_GROUND_GLASS = _own("nodule-ground-glass", "Ground-glass nodule")

DESCENDING_AORTA = _own("descending-aorta-diameter", "Largest diameter of the descending thoracic aorta on CT")
DESCENDING_AORTA_CARINA = _own(
    "descending-aorta-diameter-carina", "Diameter of the descending thoracic aorta below the tracheal division on CT"
)
ASCENDING_AORTA = _own("ascending-aorta-diameter", "Largest diameter of the ascending thoracic aorta on CT")
ABDOMINAL_AORTA = _own("abdominal-aorta-diameter", "Largest outer diameter of the abdominal aorta")

VERTEBRAL_ATTENUATION = _own(
    "vertebral-trabecular-attenuation", "Mean attenuation of vertebral trabecular bone on CT without contrast medium"
)
#: The value is the loss of height (%).
VERTEBRAL_FRACTURE = _own("vertebral-fracture", "Vertebral fracture, loss of height")

LIVER_ATTENUATION = _own("liver-attenuation", "Mean attenuation of the liver on CT without contrast medium")
SPLEEN_ATTENUATION = _own("spleen-attenuation", "Mean attenuation of the spleen on CT without contrast medium")
LIVER_SPLEEN_DIFFERENCE = _own(
    "liver-spleen-attenuation-difference",
    "Attenuation of the liver less that of the spleen on CT without contrast medium",
)
HEPATIC_STEATOSIS = _own("hepatic-steatosis", "Fat in the liver")

ADRENAL_MASS = _own("adrenal-mass", "Largest diameter of an adrenal mass")
ADRENAL_ATTENUATION = _own("adrenal-attenuation", "Attenuation of an adrenal mass on CT without contrast medium")

INTRACRANIAL_HAEMORRHAGE = Coding(SNOMED, "1386000", "Intracranial hemorrhage (disorder)")
IPH_VOLUME = _own("iph-volume", "Volume of intraparenchymal haemorrhage")
EAH_VOLUME = _own("eah-volume", "Volume of extra-axial haemorrhage")
IVH_VOLUME = _own("ivh-volume", "Volume of intraventricular haemorrhage")
IPH_LESION = _own("iph-lesion", "Volume of one intraparenchymal haemorrhage")
IPH_ABC2 = _own("iph-abc2", "Volume of the largest intraparenchymal haemorrhage by ABC/2")
CEREBELLAR_HAEMORRHAGE = _own("cerebellar-haemorrhage-volume", "Volume of cerebellar haemorrhage")
HYDROCEPHALUS = _own("hydrocephalus", "Hydrocephalus")

#: The category is the BI-RADS density a to d.
BREAST_DENSITY = _own("breast-density", "Breast density")
#: The category is the BI-RADS assessment 0 to 6.
BREAST_ASSESSMENT = _own("breast-assessment", "BI-RADS assessment")
BIRADS = "urn:sightline:bi-rads"

BRAIN_ATROPHY = _own("brain-atrophy", "Brain atrophy")
HIPPOCAMPAL_VOLUME = _own("hippocampal-volume", "Volume of the hippocampus")
HIPPOCAMPAL_SHARE = _own("hippocampal-share", "Hippocampal volume as a share of the total brain")
LATERAL_VENTRICULAR_SHARE = _own(
    "lateral-ventricular-share", "Volume of both lateral ventricles relative to the total brain"
)
TOTAL_BRAIN_VOLUME = _own("total-brain-volume", "Volume of the brain without its ventricles")
