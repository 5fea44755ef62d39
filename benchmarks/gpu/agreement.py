"""Whether the GPU computes what the CPU does: nvJPEG, resizing, half precision and CUDA graphs, per batch size."""

import io
import time
from collections.abc import Callable, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image

from benchmarks import machine
from benchmarks.gpu.context import Context
from benchmarks.gpu.records import Aim, Records
from benchmarks.gpu.step import run_step
from benchmarks.serving.agreement import probabilities_of
from handlers.cgroup import cpu_count
from handlers.engines.cuda_engine import CudaEngine
from handlers.engines.cuda_loader import CudaLoader, decode_jpegs
from handlers.engines.eager_engine import EagerEngine
from handlers.engines.pipelines import Pipeline, make_cuda_pipeline
from handlers.errors import RequestRejectedError
from handlers.extracted import ExtractedArchive
from handlers.images.loaders import CpuLoader, DecodeBudget, EncodedPhoto, Timings
from handlers.settings import HandlerSettings, Precision

STEP = "agreement"
UNREADABLE = b"\xff\xd8\xff not a photo"
DECODED_AT_ONCE = 32
TOP_1 = Aim(at_least=0.995)
# The tolerance of the probes (training/export/probes.py).
PROBABILITY = Aim(at_most=0.02)


def measure(context: Context, records: Records) -> None:
    """Compare every network with the CPU, then the decoders."""
    if context.device == "cuda":
        total_gb = torch.cuda.get_device_properties(0).total_memory / 1e9
        records.text(STEP, "device", f"{torch.cuda.get_device_name()}, {total_gb:.0f} GB")
    versions = {name: version for name, version in machine.describe().items() if version}
    records.text(STEP, "host", ", ".join(f"{name} {version}" for name, version in versions.items()))
    for index, architecture in enumerate(context.sizes.architectures):
        archive = context.extracted(architecture)
        photos = context.compared_photos()
        expected = compute_on_cpu(archive, photos)
        # Every precision once; with the other networks, what is served.
        for precision in ("float16", "bfloat16", "float32") if index == 0 else ("float16",):
            compare(context, records, archive, photos, expected, precision)
        compare_graphs(context, records, archive)
    compare_decoders(context, records)


def compute_on_cpu(archive: ExtractedArchive, photos: Sequence[bytes]) -> np.ndarray:
    """Return the probabilities `(N, K) float32` of PyTorch in float32, on the pixels that Pillow decodes."""
    settings = HandlerSettings()
    loader = CpuLoader(archive.card.preprocessing, settings.limits)
    engine = EagerEngine(archive, thread_count=cpu_count())
    results = Pipeline(loader, engine, settings).classify(encode(photos), Timings())
    return np.stack([probabilities_of(result) for result in results])


def compare(
    context: Context,
    records: Records,
    archive: ExtractedArchive,
    photos: Sequence[bytes],
    expected: np.ndarray,
    precision: Precision,
) -> None:
    """Record agreement with the CPU for every batch size; each batch has an unreadable and a CMYK photo in it."""
    sizes = context.sizes
    settings = HandlerSettings(largest_batch=sizes.largest_batch, precision=precision)
    pipeline = make_cuda_pipeline(archive, settings, device=context.torch_device)
    records.text(STEP, f"{archive.card.architecture} {precision}: pipeline", pipeline.name)
    cmyk = as_cmyk(photos[0])
    cmyk_expected = compute_on_cpu(archive, [cmyk])
    for batch_size in sizes.batch_sizes:
        rows, cmyk_rows = [], []
        for start in range(0, len(photos), batch_size):
            batch = photos[start : start + batch_size]
            results = pipeline.classify(encode([UNREADABLE, *batch, cmyk]), Timings())
            assert isinstance(results[0], RequestRejectedError), "the unreadable photo was answered"
            rows += [probabilities_of(result) for result in results[1:-1]]
            cmyk_rows.append(probabilities_of(results[-1]))
        name = f"{archive.card.architecture} {precision}, batches of {batch_size}"
        same = (np.stack(rows).argmax(1) == expected.argmax(1)).mean()
        records.figure(STEP, f"{name}: same first class", float(same), "share", TOP_1)
        for what, ours, theirs in (
            ("largest difference of a probability", np.stack(rows), expected),
            ("largest difference, CMYK photo", np.stack(cmyk_rows), cmyk_expected),
        ):
            difference = float(np.abs(ours - theirs).max())
            records.figure(STEP, f"{name}: {what}", difference, "", PROBABILITY)


def compare_graphs(context: Context, records: Records, archive: ExtractedArchive) -> None:
    """Record how much a replayed CUDA graph differs from the same network run operation by operation."""
    engine = CudaEngine(
        archive, device=context.torch_device, largest_batch=context.sizes.largest_batch
    )
    side = archive.card.preprocessing.image_size_px
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(
        256, (context.sizes.largest_batch, side, side, 3), dtype=torch.uint8, generator=generator
    ).to(context.torch_device)
    graph = engine.probabilities(list(pixels))
    eager = engine._network_rows(pixels)[:, : graph.shape[1]].float().cpu().numpy()
    name = f"{archive.card.architecture}: CUDA graph, largest difference from no graph"
    records.figure(STEP, name, float(np.abs(graph - eager).max()), "", Aim(at_most=1e-3))


def compare_decoders(context: Context, records: Records) -> None:
    """Record how the device's decoder and resizing differ from Pillow's, and how fast both are from 32 photos on."""
    spec, limits = context.extracted("resnet18").card.preprocessing, HandlerSettings().limits
    on_device = CudaLoader(spec, limits, device=context.torch_device)
    on_cpu = CpuLoader(spec, limits)
    photos = encode(context.sent_photos())
    budget = DecodeBudget(3600)
    ours = on_device.load(photos, Timings(), budget)
    theirs = on_cpu.load(photos, Timings(), budget)
    differences = [
        np.abs(mine.cpu().numpy().astype(int) - his).mean()
        for mine, his in zip(ours, theirs, strict=True)
        if isinstance(mine, torch.Tensor) and not isinstance(his, RequestRejectedError)
    ]
    records.figure(
        STEP, "pixels, mean difference of 255", float(np.mean(differences)), "", Aim(at_most=3)
    )
    files = [torch.frombuffer(bytearray(photo.data), dtype=torch.uint8) for photo in photos]
    decoded = decode_jpegs(files, context.torch_device)
    records.figure(
        STEP, "photos that the device decodes", len(decoded), "", Aim(at_least=len(files))
    )
    device_speed = _photos_per_s(
        context, lambda batch: on_device.load(batch, Timings(), budget), photos
    )
    with ThreadPoolExecutor(cpu_count()) as pool:
        cpu_speed = _photos_per_s(
            context,
            lambda batch: list(
                pool.map(lambda photo: on_cpu.load([photo], Timings(), budget), batch)
            ),
            photos,
        )
    records.figure(
        STEP, f"decode and resize {DECODED_AT_ONCE} at once on the device", device_speed, "photos/s"
    )
    records.figure(STEP, f"the same on {cpu_count()} cores", cpu_speed, "photos/s")
    records.figure(STEP, "device over cores", device_speed / cpu_speed, "times", Aim(at_least=1))


def encode(photos: Sequence[bytes]) -> list[EncodedPhoto]:
    """Return the photos as requests of their own."""
    return [EncodedPhoto(data, index) for index, data in enumerate(photos)]


def as_cmyk(photo: bytes) -> bytes:
    """Return the photo as a JPEG in CMYK, which the device does not decode."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(photo)).convert("CMYK").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _photos_per_s(
    context: Context, load: Callable[[list[EncodedPhoto]], Sized], photos: list[EncodedPhoto]
) -> float:
    load(photos[:DECODED_AT_ONCE])
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < context.sizes.seconds:
        for start in range(0, len(photos), DECODED_AT_ONCE):
            count += len(load(photos[start : start + DECODED_AT_ONCE]))
        if context.device == "cuda":
            torch.cuda.synchronize()
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    run_step(measure)
