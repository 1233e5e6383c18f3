"""EfficientNet-Lite against its published sizes and against plain arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from models.efficientnet_lite import EfficientNetLite, SameConv, load_backbone


@pytest.mark.parametrize(("scale", "millions"), [(0, 4.652), (1, 5.417), (2, 6.092)])
def test_the_networks_have_as_many_weights_as_published(scale: int, millions: float) -> None:
    # The table of tensorflow/tpu efficientnet/lite gives 4.7, 5.4 and 6.1 million.
    network = EfficientNetLite(1000, scale=scale)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.parametrize("size", [224, 256, 250])
def test_the_features_are_a_thirty_second_of_the_image_rounded_up(size: int) -> None:
    network = EfficientNetLite(3, channels=1).eval()
    with torch.inference_mode():
        assert network.features(torch.zeros(1, 1, size, size)).shape == (1, 1280, -(-size // 32), -(-size // 32))


@pytest.mark.parametrize(("kernel", "size"), [(3, 8), (5, 8), (3, 7), (5, 9)])
def test_a_strided_filter_starts_where_that_of_tensorflow_does(kernel: int, size: int) -> None:
    # SAME: the whole padding is max((ceil(n / s) - 1) * s + k - n, 0), the smaller half of it before the image.
    conv = SameConv(1, 1, kernel, 2)
    torch.nn.init.ones_(conv.weight)
    image = torch.arange(float(size * size)).reshape(1, 1, size, size)
    out = -(-size // 2)
    before = max((out - 1) * 2 + kernel - size, 0) // 2
    expected = torch.zeros(out, out)
    for row in range(out):
        for column in range(out):
            rows = [r for r in range(row * 2 - before, row * 2 - before + kernel) if 0 <= r < size]
            columns = [c for c in range(column * 2 - before, column * 2 - before + kernel) if 0 <= c < size]
            expected[row, column] = sum(float(image[0, 0, r, c]) for r in rows for c in columns)
    assert torch.equal(conv(image)[0, 0].detach(), expected)


def test_trunk_and_top_are_the_network_and_the_mean_of_a_map_is_its_logit() -> None:
    torch.manual_seed(1)
    network = EfficientNetLite(4, channels=1).eval()
    images = torch.randn(2, 1, 64, 96)
    with torch.inference_mode():
        taps = network.trunk(11, (8, 11))(images)
        logits = network(images)
        assert taps[0].shape == (2, 80, 4, 6)
        assert torch.allclose(network.top(8)(taps[0]).mean(dim=(2, 3)), logits, atol=1e-5)
        assert torch.allclose(network.top(11)(taps[1]).mean(dim=(2, 3)), logits, atol=1e-5)


def test_a_grey_network_answers_as_the_coloured_one_does_to_a_grey_picture() -> None:
    torch.manual_seed(2)
    coloured = EfficientNetLite(5).eval()
    grey = EfficientNetLite(7, channels=1).eval()
    load_backbone(grey, coloured.state_dict())
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(grey.features(image), coloured.features(image.expand(1, 3, 64, 64)), atol=1e-4)


def test_weights_that_lack_one_tensor_are_not_loaded() -> None:
    state = EfficientNetLite(5).state_dict()
    del state["_blocks.3._project_conv.weight"]
    with pytest.raises(RuntimeError, match=r"_blocks\.3\._project_conv\.weight"):
        load_backbone(EfficientNetLite(5, channels=1), state)


def test_a_strided_filter_has_the_same_gradient_in_half_precision() -> None:
    torch.manual_seed(3)
    conv = SameConv(8, 8, 5, 2, groups=8)
    image = torch.randn(1, 8, 12, 12, requires_grad=True)
    (exact,) = torch.autograd.grad(conv(image).square().sum(), image)
    half = image.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        answer = conv(half)
    assert answer.dtype == torch.bfloat16
    (rough,) = torch.autograd.grad(answer.float().square().sum(), half)
    assert functional.cosine_similarity(exact.flatten(), rough.float().flatten(), dim=0) > 0.999
