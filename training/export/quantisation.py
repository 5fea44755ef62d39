"""An ONNX file in 8-bit whole numbers, and what they cost against float32: for CPUs, only when asked for.

Weights and what flows between the layers become whole numbers with a scale (Jacob et al., 2018), one scale a filter
and one a tensor, from what photos to learn from bring about (least divergence of the histograms: Migacz, 2017). From
the photo to the first convolution and from the head to the probabilities everything stays float32.
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
from handlers.engines.cpu_engines import Engine, OnnxEngine
from handlers.images.preprocessing import PreprocessingSpec
from training.data.dataset import served_pixels
from training.data.photos import Photo, PhotoSet
from training.errors import ExportError
from training.export.engine_speed import time_in_turns

CALIBRATION_PHOTOS = 64
# Of all layers' outputs so many photos' are in memory at once: some 100 MB each for EfficientNet-B0 at 224 px.
CALIBRATION_STEP = 4
# So that a large val split does not take hours.
COMPARED_PHOTOS = 1000
BATCH_SIZE = 32
QUANTISED = ("Conv", "MatMul", "Gemm", "Add", "Mul", "Relu", "Clip", "Sigmoid", "MaxPool")
# Below this the line says that it is more than the default's engines may differ.
AGREEMENT_WANTED = 0.995


@dataclass(frozen=True, kw_only=True)
class QuantisationCost:
    """int8 against float32 on val photos, answers and bytes both in ONNX Runtime."""

    calibration_photos: int
    photos: int
    same_class: int
    right_float32: int
    right_int8: int
    largest_difference: float
    """Of a probability."""
    ms_float32: float
    """One photo's pixels to probabilities, one thread, on the machine that exported; in turns with int8."""
    float32_engine: str
    """Whose milliseconds those are: the faster one's."""
    ms_int8: float
    bytes_float32: int
    """Of model.onnx."""
    bytes_int8: int

    @property
    def agreement(self) -> float:
        return self.same_class / self.photos

    def to_dict(self) -> dict[str, Any]:
        return {"compared_on": "val", **asdict(self)}

    def lines(self) -> list[str]:
        """Return the cost in words, a line each."""
        return [
            f"int8 against float32 on {self.photos} val photos, calibrated on {self.calibration_photos} train photos:",
            f"  same first class    {self.agreement:.1%}{self._warning()}",
            f"  right answers       {self.right_int8}, float32 {self.right_float32} "
            f"({self.right_int8 - self.right_float32:+d} photos)",
            f"  probabilities       differ by at most {self.largest_difference:.3f}",
            f"  one photo           {self.ms_int8:.1f} ms, float32 {self.ms_float32:.1f} ms in {self.float32_engine}: "
            f"{self._speed()}",
            f"  model.onnx          {self.bytes_int8 / 1e6:.1f} MB, float32 {self.bytes_float32 / 1e6:.1f} MB",
        ]

    def _warning(self) -> str:
        if self.agreement >= AGREEMENT_WANTED:
            return ""
        return f", below the {AGREEMENT_WANTED:.1%} that float32 engines are held to"

    def _speed(self) -> str:
        ratio = self.ms_float32 / self.ms_int8
        if ratio < 1:
            return f"slower than float32 on this machine ({ratio:.2f} times as fast)"
        return f"{ratio:.2f} times as fast on this machine"


def quantise_judged(
    source: Path,
    target: Path,
    *,
    photos: PhotoSet,
    spec: PreprocessingSpec,
    others: Sequence[Engine[np.ndarray]] = (),
) -> QuantisationCost:
    """Write the ONNX file `source` as int8, calibrated on photos of train; return its cost on those of val.

    `others` are engines that serve the same network in float32: int8 is timed against the fastest.

    Raises:
        ExportError: this network cannot be quantised.
    """
    calibration = spread(photos.of("train"), CALIBRATION_PHOTOS)
    quantise(source, target, photos=calibration, spec=spec)
    return compare(
        source,
        target,
        photos=spread(photos.of("val"), COMPARED_PHOTOS),
        spec=spec,
        calibration_photos=len(calibration),
        others=others,
    )


def quantise(
    source: Path, target: Path, *, photos: Sequence[Photo], spec: PreprocessingSpec
) -> None:
    """Write the ONNX file `source` as int8, calibrated on these photos, which must be of the train split.

    Raises:
        ExportError: this network cannot be quantised.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    model = onnx.load(source)
    # What its pre-processing is for, folding BatchNorm, the exporter has done; without the note it warns.
    add_pre_process_metadata(model)
    reader = _Reader(_load(photos, spec))
    try:
        # It tells of its progress on standard output.
        with contextlib.redirect_stdout(io.StringIO()):
            quantize_static(
                model,
                target,
                reader,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED),
                nodes_to_exclude=_outside(model.graph.node),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                # Weights of 7 bits: on x86 without VNNI the sum of two products of 8 bits overflows.
                reduce_range=True,
                calibrate_method=CalibrationMethod.Entropy,
                extra_options={"CalibStridedMinMax": CALIBRATION_STEP},
            )
    except Exception as error:
        # onnxruntime has a class for each of its status codes, all of them plain Exceptions.
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
    others: Sequence[Engine[np.ndarray]] = (),
) -> QuantisationCost:
    """Return what the int8 file costs on these photos, which it was not calibrated on."""
    onnx, quantised = (OnnxEngine(path, thread_count=1) for path in (float32, int8))
    rows: list[list[np.ndarray]] = [[], []]
    for pixels, _ in served_pixels(photos, spec, batch_size=BATCH_SIZE):
        for engine, answered in zip((onnx, quantised), rows, strict=True):
            answered.append(engine.probabilities(list(pixels.numpy())))
    before, after = (np.concatenate(answered) for answered in rows)
    labels = np.array([photo.label for photo in photos])
    baselines = (onnx, *others)
    ms_int8, *times_ms = time_in_turns((quantised, *baselines), _load(photos[:1], spec)[0])
    fastest = baselines[int(np.argmin(times_ms))]
    return QuantisationCost(
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
    )


def spread(photos: Sequence[Photo], count: int) -> list[Photo]:
    """Return `count` of the photos, or all where there are fewer: of every class its share."""
    by_class = sorted(photos, key=lambda photo: (photo.label, photo.sha256))
    count = min(count, len(by_class))
    return [by_class[number * len(by_class) // count] for number in range(count)]


def _outside(nodes: Sequence[Any]) -> list[str]:
    """Return the names of the nodes before the first convolution, and from the head on."""
    kinds = [node.op_type for node in nodes]
    first = kinds.index("Conv") if "Conv" in kinds else 0
    head = max(
        (at for at, kind in enumerate(kinds) if kind in ("Gemm", "MatMul")), default=len(kinds)
    )
    return [node.name for at, node in enumerate(nodes) if at < first or at >= head]


def _load(photos: Sequence[Photo], spec: PreprocessingSpec) -> list[np.ndarray]:
    """Return each photo's `(S, S, 3) uint8` pixels."""
    batches = served_pixels(photos, spec, batch_size=BATCH_SIZE)
    return [pixels for batch, _ in batches for pixels in batch.numpy()]


class _Reader:
    """The photos one by one, as onnxruntime's CalibrationDataReader hands them out, range by range."""

    def __init__(self, pixels: list[np.ndarray]) -> None:
        # It takes whole ranges only, so a few photos come twice.
        missing = -len(pixels) % CALIBRATION_STEP
        self._pixels = [*pixels, *itertools.islice(itertools.cycle(pixels), missing)]
        self._left = iter(self._pixels)

    def __len__(self) -> int:
        return len(self._pixels)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = iter(self._pixels[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        pixels = next(self._left, None)
        return None if pixels is None else {ONNX_INPUT: pixels[None]}
