"""int8 on a network small enough for unit tests: what is quantised, on which photos, and how its cost is reported."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import save_file

from handlers.contract import FEATURES_OUTPUT, ONNX_INPUT, ONNX_OUTPUT, UNKNOWN_SCALE_INT8
from handlers.engines.onnx_engine import OnnxEngine
from handlers.engines.unknown import UnknownScorer, read_scorer
from handlers.images.preprocessing import PreprocessingSpec
from training.data.photos import Photo, PhotoSet, read_photos
from training.errors import ExportError
from training.export import quantisation
from training.export.quantisation import (
    QuantisationCost,
    quantise,
    quantise_and_compare,
    stratified_sample,
)
from training.unknown.fitting import Features, Head, fit_scorer, threshold_rank
from training.unknown.run_score import FittedScore

SIZE_PX = 16
SPEC = PreprocessingSpec(image_size_px=SIZE_PX)
COLOURS = {"blue": (30, 30, 220), "green": (30, 200, 30), "red": (220, 30, 30)}


def small_network(head: str = "Gemm") -> onnx.ModelProto:
    """Return scale -> convolution -> ReLU -> mean -> head -> softmax, a classifier of colours."""
    generator = np.random.default_rng(0)
    filters = generator.normal(0, 0.05, (3, 3, 3, 3)) + 0.3 * np.eye(3)[:, :, None, None]
    values = {
        "scale": np.array([255], np.float32),
        "filters": filters.astype(np.float32),
        "axes": np.array([2, 3]),
        # The classes are in alphabetical order, blue first.
        "weights": 2 * np.eye(3, dtype=np.float32)[::-1],
    }
    nodes = [
        helper.make_node("Transpose", [ONNX_INPUT], ["planes"], "transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["floats"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "scale"], ["unit"], "divide"),
        helper.make_node("Conv", ["unit", "filters"], ["filtered"], "convolution"),
        helper.make_node("Relu", ["filtered"], ["positive"], "relu"),
        helper.make_node("ReduceMean", ["positive", "axes"], ["mean"], "pool", keepdims=0),
        helper.make_node(head, ["mean", "weights"], ["logits"], "head"),
        helper.make_node("Softmax", ["logits"], [ONNX_OUTPUT], "softmax", axis=1),
    ]
    sides = ["B", SIZE_PX, SIZE_PX, 3]
    pixels = helper.make_tensor_value_info(ONNX_INPUT, TensorProto.UINT8, sides)
    rows = helper.make_tensor_value_info(ONNX_OUTPUT, TensorProto.FLOAT, ["B", 3])
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "small", [pixels], [rows], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for split, count in (("train", 7), ("val", 5), ("test", 2)):
        for name, colour in COLOURS.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noise = generator.integers(-25, 25, (20, 30, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    read = read_photos(folder)
    # Neither calibration nor comparison may open test photos.
    for photo in read.of("test"):
        photo.path.unlink()
    return read


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "float32.onnx"
    onnx.save(small_network(), path)
    return path


def test_the_cost_is_measured_on_val_and_no_test_photo_is_opened(
    network: Path, photos: PhotoSet, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "int8.onnx"
    cost, scorer = quantise_and_compare(network, target, photos=photos, spec=SPEC)
    assert (cost.calibration_photos, cost.photos) == (21, 15)
    assert (cost.same_class, cost.right_float32, cost.right_int8) == (15, 15, 15)
    assert 0 < cost.largest_difference < 0.02
    assert cost.bytes_int8 == target.stat().st_size
    assert cost.ms_int8 > 0
    assert scorer is None
    assert cost.known_int8 is None
    assert capfd.readouterr() == ("", "")


def test_the_threshold_of_the_unknown_score_is_chosen_anew_for_int8(
    photos: PhotoSet, tmp_path: Path
) -> None:
    model = small_network()
    for node in model.graph.node:
        node.input[:] = [FEATURES_OUTPUT if name == "mean" else name for name in node.input]
        node.output[:] = [FEATURES_OUTPUT if name == "mean" else name for name in node.output]
    features = helper.make_tensor_value_info(FEATURES_OUTPUT, TensorProto.FLOAT, ["B", 3])
    model.graph.output.append(features)
    onnx.save(model, tmp_path / "float32.onnx")
    rows = np.random.default_rng(1).uniform(0, 1, (60, 3)).astype(np.float32)
    head = Head(weight=2 * np.eye(3, dtype=np.float32), bias=np.zeros(3, np.float32))
    train = Features(rows=rows, labels=np.arange(60) % 3)
    scorer, accepted = fit_scorer(train, rows, head, accepted_share=0.6)
    # A float32 threshold that would reject all.
    scale = scorer.scale - np.float32(100)
    strict = UnknownScorer(**scorer.arrays() | {"scale": scale})
    fitted = FittedScore(scorer=strict, accepted=accepted)
    cost, chosen = quantise_and_compare(
        tmp_path / "float32.onnx", tmp_path / "int8.onnx", photos=photos, spec=SPEC, fitted=fitted
    )
    assert cost.known_float32 == cost.known_int8_before == 0
    assert cost.known_int8 == threshold_rank(15, accepted.expected - 1e-9) < 15
    assert chosen is not None
    assert [line for line in cost.lines() if "known" in line] == [
        f"  taken as known      {cost.known_int8}, float32 0 (with the threshold of float32 0)"
    ]
    arrays = strict.arrays() | {UNKNOWN_SCALE_INT8: chosen.scale}
    save_file(arrays, tmp_path / "unknown.safetensors")
    for precision, expected in (("float32", strict), ("int8", chosen)):
        read = read_scorer(tmp_path / "unknown.safetensors", precision=precision)
        np.testing.assert_array_equal(read.scale, expected.scale)


def test_the_backbone_is_quantised_but_neither_input_nor_head(
    network: Path, photos: PhotoSet, tmp_path: Path
) -> None:
    target = tmp_path / "int8.onnx"
    quantise(network, target, photos=photos.of("train"), spec=SPEC)
    model = onnx.load(target)
    made_by = {name: node for node in model.graph.node for name in node.output}
    inputs = {node.name: [made_by.get(name) for name in node.input] for node in model.graph.node}
    assert {node.op_type for node in inputs["convolution"] if node} == {"DequantizeLinear"}
    for name in ("divide", "head", "softmax"):
        assert "DequantizeLinear" not in {node.op_type for node in inputs[name][:1] if node}, name
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["QuantizeLinear"] >= 1
    weights = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
    # 7 bits: with 8, the sum of two products would overflow 16 bits on some processors.
    assert weights["filters_quantized"].dtype == np.int8
    assert np.abs(weights["filters_quantized"].astype(int)).max() <= 64
    # One scale per filter.
    assert weights["filters_scale"].shape == (3,)


def test_quantising_twice_gives_the_same_file(
    network: Path, photos: PhotoSet, tmp_path: Path
) -> None:
    for name in ("once.onnx", "twice.onnx"):
        quantise(network, tmp_path / name, photos=photos.of("train"), spec=SPEC)
    assert (tmp_path / "once.onnx").read_bytes() == (tmp_path / "twice.onnx").read_bytes()


def test_the_batch_size_does_not_change_the_probabilities(
    network: Path, photos: PhotoSet, tmp_path: Path
) -> None:
    target = tmp_path / "int8.onnx"
    quantise(network, target, photos=photos.of("train"), spec=SPEC)
    engine = OnnxEngine(target, thread_count=1, precision="int8")
    pixels = list(np.random.default_rng(1).integers(0, 256, (5, SIZE_PX, SIZE_PX, 3), np.uint8))
    alone = np.concatenate([engine.probabilities([photo]) for photo in pixels])
    np.testing.assert_array_equal(engine.probabilities(pixels), alone)


def test_a_failed_quantisation_is_one_sentence(photos: PhotoSet, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    onnx.save(small_network(head="NoSuchOperator"), path)
    with pytest.raises(ExportError, match="cannot be quantised: .*--precision float32"):
        quantise(path, tmp_path / "int8.onnx", photos=photos.of("train"), spec=SPEC)


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_calibration_takes_any_number_of_photos(count: int) -> None:
    pixels = [np.full((2, 2, 3), number, np.uint8) for number in range(count)]
    reader = quantisation._CalibrationReader(pixels)
    assert len(reader) % quantisation.CALIBRATION_STEP == 0
    seen = set()
    for start in range(0, len(reader), quantisation.CALIBRATION_STEP):
        reader.set_range(start, start + quantisation.CALIBRATION_STEP)
        while (inputs := reader.get_next()) is not None:
            assert inputs[ONNX_INPUT].shape == (1, 2, 2, 3)
            seen.add(int(inputs[ONNX_INPUT][0, 0, 0, 0]))
    assert seen == set(range(count))


def test_a_stratified_sample_has_each_class_in_proportion() -> None:
    photos = [
        Photo(path=Path(f"{number}.jpg"), label=number // 90, split="train", sha256=f"{number:03}")
        for number in range(120)
    ]
    assert Counter(photo.label for photo in stratified_sample(photos, 40)) == {0: 30, 1: 10}
    assert len(stratified_sample(photos, 1000)) == 120


def cost(**changes: float) -> QuantisationCost:
    values: dict = {
        "calibration_photos": 64, "photos": 200, "same_class": 199, "right_float32": 150,
        "right_int8": 149, "largest_difference": 0.0312, "ms_float32": 40.0, "ms_int8": 20.0, "float32_engine": "MNN",
        "bytes_float32": 44_800_000, "bytes_int8": 11_400_000,
    }  # fmt: skip
    return QuantisationCost(**values | changes)


def test_the_summary_of_the_cost() -> None:
    assert cost().lines() == [
        "int8 compared with float32 on 200 val photos, calibrated on 64 train photos:",
        "  same top class      99.5%",
        "  correct predictions 149, float32 150 (-1 photos)",
        "  probabilities       differ by at most 0.031",
        "  one photo           20.0 ms, float32 40.0 ms in MNN: 2.00 times the speed on this machine",
        "  model.onnx          11.4 MB, float32 44.8 MB",
    ]
    assert "below the 99.5%" in cost(same_class=198).lines()[1]
    assert (
        "slower than float32 on this machine (0.80 times the speed)" in cost(ms_int8=50).lines()[4]
    )
