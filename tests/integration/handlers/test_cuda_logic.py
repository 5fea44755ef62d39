"""The loader and the engine of the GPU, run on the CPU: the same logic, with libjpeg in place of nvJPEG."""

import io
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from handlers.engines import cuda_engine, cuda_loader
from handlers.engines.cuda_engine import CudaEngine, choose_dtype, exit_if_sticky, list_buckets
from handlers.engines.cuda_loader import CudaLoader, transpose
from handlers.engines.network import Network
from handlers.errors import PhotoError
from handlers.images.limits import DecodeLimits
from handlers.images.loaders import DecodeBudget, EncodedPhoto, Timings
from handlers.images.preprocessing import PreprocessingSpec, load_pixels

CPU = torch.device("cpu")
SPEC = PreprocessingSpec(image_size_px=32)


def encode(image: Image.Image, format_name: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format_name, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def image() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


def load(files: list[bytes]) -> tuple[list, Timings]:
    loader, timings = CudaLoader(SPEC, DecodeLimits(), device=CPU), Timings()
    return loader.load([EncodedPhoto(data) for data in files], timings, DecodeBudget(60)), timings


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_nearly_those_of_pillow_in_every_orientation(image, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(image, exif=exif, quality=95)
    (pixels,), timings = load([data])
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == torch.uint8
    assert np.abs(pixels.numpy().astype(int) - load_pixels(data, SPEC)).mean() < 0.6
    assert [timing.format_name for timing in timings.photos] == ["JPEG"]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size_px", [(61, 47), (35, 90), (160, 121), (1000, 701)])
def test_photos_are_resampled_as_pillow_does_it(
    image, size_px: tuple[int, int], fit: str, interpolation: str
) -> None:
    spec = PreprocessingSpec(image_size_px=32, fit=fit, interpolation=interpolation)
    data = encode(image.resize(size_px, Image.Resampling.BICUBIC), quality=95, subsampling=0)
    decoded = cuda_loader.decode_jpegs([torch.frombuffer(bytearray(data), dtype=torch.uint8)], CPU)
    pixels = cuda_loader.crop_on_device(decoded[0], spec).numpy().astype(int)
    differences = np.abs(pixels - load_pixels(data, spec))
    assert differences.mean() < 0.6
    if min(size_px) < 2 * spec.shorter_side_px:
        # Not scaled by the decoder: the same filter on the same pixels.
        assert differences.max() <= 1


@pytest.mark.parametrize("how", list(Image.Transpose))
def test_transposes_are_those_of_pillow(how: Image.Transpose) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    expected = np.asarray(Image.fromarray(pixels).transpose(how))
    assert np.array_equal(transpose(torch.from_numpy(pixels), how).numpy(), expected)


def test_a_mixed_batch_keeps_its_order_and_each_photo_its_result(image) -> None:
    valid = encode(image)
    files = [valid, encode(image, "PNG"), b"bad", valid[:-300], encode(image, progressive=True)]
    files += [encode(image.convert("CMYK")), encode(image.convert("L"))]
    loaded, _ = load(files)
    assert [isinstance(result, PhotoError) for result in loaded] == [False, False, True, True] + [
        False
    ] * 3
    for index in (1, 4, 5):  # decoded by Pillow, so equal to the last bit
        assert np.array_equal(loaded[index].numpy(), load_pixels(files[index], SPEC))


def test_a_file_that_makes_its_batch_fail_is_decoded_by_pillow(image, monkeypatch) -> None:
    valid = encode(image)
    decode, sizes = cuda_loader.decode_jpegs, []

    def decode_no_batches(files: list, device: torch.device) -> list:
        sizes.append(len(files))
        if len(sizes) <= 2:  # the batch, and its first file alone
            raise RuntimeError("nvJPEG: unsupported")
        return decode(files, device)

    monkeypatch.setattr(cuda_loader, "decode_jpegs", decode_no_batches)
    loaded, _ = load([valid, valid])
    assert sizes == [2, 1, 1]
    assert np.array_equal(loaded[0].numpy(), load_pixels(valid, SPEC))
    assert loaded[1].shape == (32, 32, 3)


class RecordingClassifier(torch.nn.Module):
    """Returns the mean of each channel and records the batch sizes; out of memory above `limit` images."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.limit = limit
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        if len(images) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images.mean(dim=(2, 3)) * self.weight


@pytest.fixture
def make_engine(monkeypatch):
    def make(limit: int, largest_batch: int = 8) -> tuple[CudaEngine, RecordingClassifier]:
        classifier = RecordingClassifier(limit)
        network = Network(classifier, preprocessing=SPEC).eval()
        monkeypatch.setattr(cuda_engine, "load_network", lambda archive: network)
        card = type("Card", (), {"preprocessing": SPEC, "class_count": 3})
        archive = type("Archive", (), {"card": card, "has_unknown_score": False})
        engine = CudaEngine(archive, device=CPU, largest_batch=largest_batch)
        return engine, classifier

    return make


def batch(count: int) -> list[torch.Tensor]:
    return [torch.full((32, 32, 3), index, dtype=torch.uint8) for index in range(count)]


def test_batches_are_padded_to_the_next_bucket(make_engine) -> None:
    engine, classifier = make_engine(limit=99)
    rows = engine.probabilities(batch(5))
    assert classifier.sizes == [8]
    assert rows.shape == (5, 3)
    assert np.allclose(
        rows, np.concatenate([engine.probabilities([pixels]) for pixels in batch(5)])
    )
    engine.probabilities(batch(20))
    assert classifier.sizes[-1] == 20


def test_a_batch_out_of_memory_is_retried_in_halves_of_halves(make_engine) -> None:
    engine, classifier = make_engine(limit=2)
    rows = engine.probabilities(batch(8))
    assert classifier.sizes == [8, 4, 2, 2, 4, 2, 2]
    assert np.array_equal(rows, make_engine(limit=99)[0].probabilities(batch(8)))
    with pytest.raises(torch.OutOfMemoryError):
        make_engine(limit=0)[0].probabilities(batch(8))


def test_halves_are_computed_after_the_tensors_of_the_failed_pass_are_gone(make_engine) -> None:
    engine, classifier = make_engine(limit=4)
    # A stand-in for the activations of a pass: what its frames hold, an exception being handled keeps alive.
    alive, seen = weakref.WeakSet(), []

    def forward(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(alive))
        activations = torch.nn.Linear(1, 1)
        alive.add(activations)
        return RecordingClassifier.forward(classifier, images)

    classifier.forward = forward
    engine.probabilities(batch(8))
    assert seen == [0, 0, 0]


def test_a_photo_that_the_gpu_cannot_resample_is_loaded_by_the_cpu(image, monkeypatch) -> None:
    valid = encode(image)
    crop, failures = cuda_loader.crop_on_device, iter([True, False])

    def crop_all_but_the_first(pixels: torch.Tensor, spec: PreprocessingSpec) -> torch.Tensor:
        if next(failures):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return crop(pixels, spec)

    monkeypatch.setattr(cuda_loader, "crop_on_device", crop_all_but_the_first)
    loaded, timings = load([valid, valid])
    assert np.array_equal(loaded[0].numpy(), load_pixels(valid, SPEC))
    assert loaded[1].shape == (32, 32, 3)
    assert len(timings.photos) == 2


@pytest.mark.parametrize(("largest", "buckets"), [(1, [1]), (8, [1, 2, 4, 8]), (6, [1, 2, 4, 6])])
def test_buckets(largest: int, buckets: list[int]) -> None:
    assert list_buckets(largest) == buckets


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("auto", torch.float16),
        ("float16", torch.float16),
        ("bfloat16", torch.bfloat16),
        ("float32", torch.float32),
    ],
)
def test_the_network_has_the_configured_precision(precision: str, dtype: torch.dtype) -> None:
    assert choose_dtype(precision) is dtype


@pytest.mark.parametrize(
    "message",
    [
        "an illegal memory access was encountered",
        "an illegal instruction was encountered",
        "uncorrectable ECC error encountered",
        "the launch timed out and was terminated",
    ],
)
def test_only_a_sticky_error_ends_the_worker(message: str) -> None:
    with pytest.raises(SystemExit):
        exit_if_sticky(RuntimeError(f"CUDA error: {message}"))
    exit_if_sticky(RuntimeError("CUDA error: invalid argument"))
