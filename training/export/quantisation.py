"""Post-training static quantisation to int8 for CPUs, and its cost compared with float32.

Weights become integers with one scale per filter, activations with one per tensor (Jacob et al., 2018). The scales of
the activations are calibrated on training photos, by the least divergence of the histograms (Migacz, 2017). The layers
before the first convolution, and from the head on, stay float32.
"""

import contextlib
import io
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handlers.contract import ONNX_INPUT
from handlers.engines.engine import Engine, Outputs
from handlers.engines.onnx_engine import OnnxEngine
from handlers.engines.unknown import UnknownScorer
from handlers.images.preprocessing import PreprocessingSpec
from training.data.balance import stratified_sample
from training.data.dataset import served_pixels
from training.data.photos import Photo, PhotoSet
from training.errors import ExportError
from training.export.engine_speed import time_interleaved
from training.unknown.fitting import with_threshold
from training.unknown.run_score import FittedScore

CALIBRATION_PHOTOS = 64
# Calibration keeps the outputs of all layers for this many photos in memory: about 100 MB per photo for EfficientNet-B0
# at 224 px.
CALIBRATION_STEP = 4
# Limits the time spent on a large val split.
COMPARED_PHOTOS = 1000
BATCH_SIZE = 32
QUANTISED = ("Conv", "MatMul", "Gemm", "Add", "Mul", "Relu", "Clip", "Sigmoid", "MaxPool")
# Below this share of equal top classes the summary warns: the float32 engines are held to it.
AGREEMENT_MIN = 0.995


@dataclass(frozen=True, kw_only=True)
class QuantisationCost:
    """int8 compared with float32 on val photos; predictions and bytes are those of ONNX Runtime."""

    calibration_photos: int
    photos: int
    same_class: int
    right_float32: int
    right_int8: int
    largest_difference: float
    """Between two probabilities."""
    ms_float32: float
    """Median for one photo, pixels to probabilities, on one thread of the machine that exported."""
    float32_engine: str
    """The fastest float32 engine, whose time `ms_float32` is."""
    ms_int8: float
    bytes_float32: int
    """Of model.onnx."""
    bytes_int8: int
    known_float32: int | None = None
    """Photos that the unknown score accepts; None without one."""
    known_int8_before: int | None = None
    """Those that it accepts of int8's features with the threshold of float32."""
    known_int8: int | None = None
    """And with a threshold of their own, which the archive has."""

    @property
    def agreement(self) -> float:
        """Return the share of photos with the same top class, 0..1."""
        return self.same_class / self.photos

    def to_dict(self) -> dict[str, Any]:
        return {"compared_on": "val", **asdict(self)}

    def lines(self) -> list[str]:
        """Return a summary, one line per figure."""
        return [
            f"int8 compared with float32 on {self.photos} val photos, "
            f"calibrated on {self.calibration_photos} train photos:",
            f"  same top class      {self.agreement:.1%}{self._warning()}",
            f"  correct predictions {self.right_int8}, float32 {self.right_float32} "
            f"({self.right_int8 - self.right_float32:+d} photos)",
            f"  probabilities       differ by at most {self.largest_difference:.3f}",
            f"  one photo           {self.ms_int8:.1f} ms, float32 {self.ms_float32:.1f} ms in {self.float32_engine}: "
            f"{self._speed()}",
            *self._known_lines(),
            f"  model.onnx          {self.bytes_int8 / 1e6:.1f} MB, float32 {self.bytes_float32 / 1e6:.1f} MB",
        ]

    def _known_lines(self) -> list[str]:
        if self.known_float32 is None:
            return []
        return [
            f"  taken as known      {self.known_int8}, float32 {self.known_float32} (with the threshold of float32 "
            f"{self.known_int8_before})"
        ]

    def _warning(self) -> str:
        if self.agreement >= AGREEMENT_MIN:
            return ""
        return f", below the {AGREEMENT_MIN:.1%} that float32 engines must reach"

    def _speed(self) -> str:
        ratio = self.ms_float32 / self.ms_int8
        if ratio < 1:
            return f"slower than float32 on this machine ({ratio:.2f} times the speed)"
        return f"{ratio:.2f} times the speed on this machine"


def quantise_and_compare(
    source: Path,
    target: Path,
    *,
    photos: PhotoSet,
    spec: PreprocessingSpec,
    fitted: FittedScore | None = None,
    others: Sequence[Engine[np.ndarray]] = (),
) -> tuple[QuantisationCost, UnknownScorer | None]:
    """Write the ONNX file `source` as int8, calibrated on train photos, and return its cost on val photos.

    With `fitted`, the unknown score of float32, also return it with a threshold for int8's features, which accepts as
    large a share of val. `others` are engines of the same float32 network: int8 is timed against the fastest.

    Raises:
        ExportError: this network cannot be quantised.
    """
    calibration = stratified_sample(photos.of("train"), CALIBRATION_PHOTOS)
    quantise(source, target, photos=calibration, spec=spec)
    return compare(
        source,
        target,
        photos=stratified_sample(photos.of("val"), COMPARED_PHOTOS),
        spec=spec,
        calibration_photos=len(calibration),
        fitted=fitted,
        others=others,
    )


def quantise(
    source: Path, target: Path, *, photos: Sequence[Photo], spec: PreprocessingSpec
) -> None:
    """Write the ONNX file `source` as int8, calibrated on these photos, which must be training photos.

    Raises:
        ExportError: this network cannot be quantised.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    model = onnx.load(source)
    # onnxruntime warns unless the model is marked as pre-processed; the exporter has folded BatchNorm already.
    add_pre_process_metadata(model)
    reader = _CalibrationReader(_load(photos, spec))
    try:
        # quantize_static prints its progress to standard output.
        with contextlib.redirect_stdout(io.StringIO()):
            quantize_static(
                model,
                target,
                reader,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED),
                nodes_to_exclude=_float32_nodes(model.graph.node),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                # 7-bit weights: on x86 without VNNI the 16-bit sum of two 8-bit products overflows.
                reduce_range=True,
                calibrate_method=CalibrationMethod.Entropy,
                extra_options={"CalibStridedMinMax": CALIBRATION_STEP},
            )
    except Exception as error:
        # onnxruntime raises one class per status code, each derived directly from Exception.
        raise ExportError(
            f"the network cannot be quantised: {' '.join(str(error).split())[:300]}. "
            "Export it with --precision float32."
        ) from None


def compare(
    float32: Path,
    int8: Path,
    *,
    photos: Sequence[Photo],
    spec: PreprocessingSpec,
    calibration_photos: int,
    fitted: FittedScore | None = None,
    others: Sequence[Engine[np.ndarray]] = (),
) -> tuple[QuantisationCost, UnknownScorer | None]:
    """Return the cost of the int8 file on these photos, which it must not have been calibrated on, and its score."""
    onnx, quantised = (OnnxEngine(path, thread_count=1) for path in (float32, int8))
    rows: list[list[Outputs]] = [[], []]
    for pixels, _ in served_pixels(photos, spec, batch_size=BATCH_SIZE):
        for engine, batches in zip((onnx, quantised), rows, strict=True):
            batches.append(engine.outputs(list(pixels.numpy())))
    before, after = (np.concatenate([part.probabilities for part in batches]) for batches in rows)
    known, scorer = _recalibrate(fitted, *rows)
    labels = np.array([photo.label for photo in photos])
    baselines = (onnx, *others)
    ms_int8, *times_ms = time_interleaved((quantised, *baselines), _load(photos[:1], spec)[0])
    fastest = baselines[int(np.argmin(times_ms))]
    cost = QuantisationCost(
        calibration_photos=calibration_photos,
        photos=len(photos),
        same_class=int((before.argmax(1) == after.argmax(1)).sum()),
        right_float32=int((before.argmax(1) == labels).sum()),
        right_int8=int((after.argmax(1) == labels).sum()),
        largest_difference=round(float(np.abs(before - after).max()), 6),
        ms_float32=round(min(times_ms), 3),
        float32_engine=fastest.name,
        ms_int8=round(ms_int8, 3),
        bytes_float32=float32.stat().st_size,
        bytes_int8=int8.stat().st_size,
        **known,
    )
    return cost, scorer


def _recalibrate(
    fitted: FittedScore | None, float32: Sequence[Outputs], int8: Sequence[Outputs]
) -> tuple[dict[str, int], UnknownScorer | None]:
    """Return how many photos are accepted, and the scorer with the threshold for int8; nothing without features."""
    features = [
        [part.features for part in batches if part.features is not None]
        for batches in (float32, int8)
    ]
    if fitted is None or not all(features):
        return {}, None
    before, after = (np.concatenate(batches) for batches in features)
    # A little less, so that rounding cannot make it the next rank.
    share = fitted.accepted.expected - 1e-9
    scorer, _ = with_threshold(fitted.scorer, after, accepted_share=share)
    known = {
        "known_float32": fitted.scorer.scores(before),
        "known_int8_before": fitted.scorer.scores(after),
        "known_int8": scorer.scores(after),
    }
    return {name: int((scores <= 1).sum()) for name, scores in known.items()}, scorer


def _float32_nodes(nodes: Sequence[Any]) -> list[str]:
    """Return the names of the nodes that stay float32: those before the first convolution, and from the head on."""
    kinds = [node.op_type for node in nodes]
    first = kinds.index("Conv") if "Conv" in kinds else 0
    head = max(
        (index for index, kind in enumerate(kinds) if kind in ("Gemm", "MatMul")),
        default=len(kinds),
    )
    return [node.name for index, node in enumerate(nodes) if index < first or index >= head]


def _load(photos: Sequence[Photo], spec: PreprocessingSpec) -> list[np.ndarray]:
    """Return each photo's `(S, S, 3) uint8` pixels."""
    batches = served_pixels(photos, spec, batch_size=BATCH_SIZE)
    return [pixels for batch, _ in batches for pixels in batch.numpy()]


class _CalibrationReader:
    """Photos one by one, range by range, in the shape of onnxruntime's CalibrationDataReader."""

    def __init__(self, pixels: list[np.ndarray]) -> None:
        # onnxruntime needs complete ranges, so a few photos may be used twice.
        missing = -len(pixels) % CALIBRATION_STEP
        self._pixels = [*pixels, *itertools.islice(itertools.cycle(pixels), missing)]
        self._remaining = iter(self._pixels)

    def __len__(self) -> int:
        return len(self._pixels)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._remaining = iter(self._pixels[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        pixels = next(self._remaining, None)
        return None if pixels is None else {ONNX_INPUT: pixels[None]}
