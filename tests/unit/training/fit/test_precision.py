"""Which floating-point format training computes in, and what it needs."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.unit.training.helpers import CPU
from training.errors import ConfigError
from training.fit import compiling, precision
from training.fit.compiling import compile_forward
from training.fit.precision import choose_precision, make_autocast, make_scaler


def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor : 0\n{line}\n")
    monkeypatch.setattr(precision, "CPU_FLAGS", file)


@pytest.mark.parametrize(
    "line", ["flags : fpu avx512_bf16 amx_bf16", "Features : fp asimd bf16 i8mm", "flags : fpu", ""]
)
def test_auto_is_float32_on_any_cpu(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags(tmp_path, monkeypatch, line)
    assert choose_precision("auto", CPU) == torch.float32
    assert choose_precision("float32", CPU) == torch.float32


@pytest.mark.parametrize(
    "line", ["flags : fpu avx512_bf16", "flags : fpu amx_bf16", "Features : fp asimd bf16 i8mm"]
)
def test_bfloat16_is_to_be_had_where_the_processor_has_it(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags(tmp_path, monkeypatch, line)
    assert choose_precision("bfloat16", CPU) == torch.bfloat16


@pytest.mark.parametrize("wanted", ["bfloat16", "float16"])
def test_a_format_without_instructions_for_it_is_refused(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags(tmp_path, monkeypatch, "flags : fpu avx2")
    with pytest.raises(ConfigError, match=wanted):
        choose_precision(wanted, CPU)


def test_bfloat16_is_refused_on_an_unknown_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "CPU_FLAGS", tmp_path / "none")
    with pytest.raises(ConfigError, match="bfloat16"):
        choose_precision("bfloat16", CPU)


@pytest.mark.parametrize(
    ("has_bfloat16", "dtype"), [(True, torch.bfloat16), (False, torch.float16)]
)
def test_auto_takes_float16_on_older_gpus(
    has_bfloat16: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bfloat16)
    assert choose_precision("auto", torch.device("cuda")) == dtype


def test_only_float16_scales_its_loss() -> None:
    assert make_scaler(torch.float16, CPU).is_enabled()
    for dtype in (torch.bfloat16, torch.float32):
        assert not make_scaler(dtype, CPU).is_enabled()


def test_a_scaled_step_that_overflows_is_skipped() -> None:
    layer = nn.Linear(4, 2)
    before = layer.weight.detach().clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    scaler = make_scaler(torch.float16, CPU)
    with make_autocast(torch.float16, CPU):
        # Finite, but no longer once it is multiplied by 65,536 and propagated back in float16.
        loss = layer(torch.full((1, 4), 100.0)).float().sum() * 100
    torch.autograd.backward(scaler.scale(loss))
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(layer.parameters(), 5.0)
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(layer.weight, before)
    assert scaler.get_scale() < 65_536


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling.shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match=r"g\+\+"):
        compile_forward(torch.neg, torch.device("cpu"))
