"""report.html of a tuning: throughput, the configuration that reaches it, its cost, and which settings mattered."""

from pathlib import Path
from typing import Any

from reports.figures import BLUE, INK, ORANGE, new_figure, svg_url
from reports.page import describe_environment, render
from storage.atomic import atomic_write
from tuning.result import TuningResult
from tuning.trial import EQUAL_SHARE, Level, Trial

TEMPLATE = Path(__file__).parent / "templates" / "capacity.html.j2"
LIBRARIES = ("torchserve", "torch", "onnxruntime", "pillow", "simplejpeg")
NAMES = {
    "workers": "workers",
    "threads": "threads per worker",
    "batch_size": "largest batch",
    "max_delay_ms": "batch delay, ms",
    "engine": "engine",
    "precision": "precision",
}
MISSING = "–"
PHOTOS = 1e6
SECONDS_PER_HOUR = 3600


def write_report(result: TuningResult, folder: Path) -> Path:
    """Return the path of report.html, written into the folder. Raises OSError."""
    bound = result.goal.max_p99_ms
    level = result.chosen.best_level(bound)
    before, chosen = result.before.config.to_dict(), result.chosen.config.to_dict()
    path = folder / "report.html"
    page = render(
        TEMPLATE,
        model=f"{result.archive.name} {result.archive.version}",
        archive=result.archive.path,
        folder=folder,
        device=format_device(result),
        level=level,
        bound=bound,
        nearest_ms=min(level.p99_ms for level in result.chosen.levels),
        speedup=format_speedup(result),
        config=[(NAMES[key], before[key], chosen[key]) for key in NAMES],
        capacity=capacity_rows(result),
        price=result.goal.price_per_hour,
        curve=_curve(result.chosen),
        open_levels=result.open_levels,
        effects_chart=_effects_chart(result),
        scatter=_scatter(result),
        effects=format_effects(result),
        noise=100 * EQUAL_SHARE,
        trials=[_row(trial, bound) for trial in result.trials],
        photo_count=result.photo_count,
        seconds=result.seconds,
        environment=describe_environment(LIBRARIES),
    )
    atomic_write(path, page)
    return path


def cost_per_million(price_per_hour: float, photos_per_s: float) -> float:
    """Return what a million photos cost on a host that is always busy."""
    return price_per_hour * PHOTOS / (photos_per_s * SECONDS_PER_HOUR)


def capacity_rows(result: TuningResult) -> list[tuple[str, str, str]]:
    """Return name, figure before and figure tuned of each row of the table."""
    rows = [
        ("photos per second", "{photos_per_s:.1f}"),
        ("photos per second and core", "{per_core:.1f}"),
        ("connections", "{connections}"),
        ("p50, ms", "{p50_ms:.0f}"),
        ("p99, ms", "{p99_ms:.0f}"),
        ("memory of the server, MB", "{memory_mb:.0f}"),
    ]
    if result.chosen.gpu_memory_mb is not None:
        rows.append(("memory of the GPUs, MB", "{gpu_memory_mb:.0f}"))
    if result.goal.price_per_hour is not None:
        rows.append(
            (f"cost of a million photos at {result.goal.price_per_hour:g} an hour", "{cost:.2f}")
        )
    before, chosen = (_figures(trial, result) for trial in (result.before, result.chosen))
    return [(name, _format(text, before), _format(text, chosen)) for name, text in rows]


def format_speedup(result: TuningResult) -> str:
    """Return the sentence that compares the chosen configuration with the current one."""
    if result.before.config == result.chosen.config:
        return "This is the current configuration."
    before = result.before.photos_per_s(result.goal.max_p99_ms)
    if not before:
        return "The current configuration does not keep that bound."
    return f"With the current configuration: {before:.1f} photos/s."


def format_effects(result: TuningResult) -> str:
    """Return one sentence per setting that mattered, the largest effect first."""
    effects = [effect for effect in result.effects if effect.range > EQUAL_SHARE]
    if not effects:
        return "None of those tried: they differ by no more than two measurements of one configuration."
    sentences = []
    for effect in effects:
        best = max(effect.factors, key=lambda value: effect.factors[value])
        worst = min(effect.factors, key=lambda value: effect.factors[value])
        sentences.append(
            f"{NAMES[effect.name].capitalize()}: {best} is {effect.factors[best]:.2f} times as fast as {worst}."
        )
    return " ".join(sentences)


def format_device(result: TuningResult) -> str:
    """Return what computes, such as `2 GPUs and 16 cores`."""
    cores = f"{result.host.cores} core{'s' if result.host.cores != 1 else ''}"
    if not result.host.gpus:
        return cores
    return f"{result.host.gpus} GPU{'s' if result.host.gpus != 1 else ''} and {cores}"


def _format(text: str, figures: dict[str, Any] | None) -> str:
    return MISSING if figures is None else text.format(**figures)


def _figures(trial: Trial, result: TuningResult) -> dict[str, Any] | None:
    level = trial.best_level(result.goal.max_p99_ms)
    if level is None:
        return None
    price = result.goal.price_per_hour
    return {
        **vars(level),
        "per_core": level.photos_per_s / result.host.cores,
        "memory_mb": trial.memory_mb,
        "gpu_memory_mb": trial.gpu_memory_mb or 0.0,
        "cost": cost_per_million(price, level.photos_per_s) if price else 0.0,
    }


def _row(trial: Trial, bound: float | None) -> dict[str, Any]:
    if trial.error is not None:
        return {"config": str(trial.config), "error": trial.error}
    return {
        "config": str(trial.config),
        "error": None,
        "memory_mb": trial.memory_mb,
        **vars(_shown_level(trial, bound)),
    }


def _shown_level(trial: Trial, bound: float | None) -> Level:
    """Return the best level within the bound, or the one nearest to it."""
    return trial.best_level(bound) or min(trial.levels, key=lambda level: level.p99_ms)


def _curve(trial: Trial) -> str:
    figure, (left, right) = new_figure(8.5, 3.2, columns=2)
    connections = [level.connections for level in trial.levels]
    left.plot(connections, [level.photos_per_s for level in trial.levels], "o-", color=BLUE)
    left.set_ylabel("photos/s")
    right.plot(
        connections, [level.p99_ms for level in trial.levels], "o-", color=ORANGE, label="p99"
    )
    right.plot(connections, [level.p50_ms for level in trial.levels], "o-", color=BLUE, label="p50")
    right.set_ylabel("ms")
    right.legend(frameon=False, labelcolor=INK)
    for axes in (left, right):
        axes.set_xlabel("connections")
        axes.set_ylim(bottom=0)
        axes.set_xticks(connections, [str(count) for count in connections])
        axes.spines[["top", "right"]].set_visible(False)
    return svg_url(figure)


def _effects_chart(result: TuningResult) -> str:
    bars = [
        (f"{NAMES[effect.name]}: {value}", factor, number)
        for number, effect in enumerate(result.effects)
        for value, factor in effect.factors.items()
    ]
    figure, axes = new_figure(4.6, max(1.6, 0.27 * len(bars) + 0.7))
    for place, (_, factor, number) in enumerate(reversed(bars)):
        axes.barh(place, factor, color=(BLUE, ORANGE)[number % 2], alpha=0.75, height=0.7)
        axes.text(factor, place, f" {factor:.2f}", va="center", color=INK, fontsize=8)
    axes.set_yticks(range(len(bars)), [name for name, _, _ in reversed(bars)], fontsize=8)
    axes.set_xlabel("throughput, times the slowest value's")
    axes.set_xlim(0, 1.15 * max((factor for _, factor, _ in bars), default=1.0))
    axes.spines[["top", "right"]].set_visible(False)
    return svg_url(figure)


def _scatter(result: TuningResult) -> str:
    bound = result.goal.max_p99_ms
    shown = [_shown_level(trial, bound) for trial in result.trials if trial.error is None]
    figure, axes = new_figure(4.6, 3.6)
    axes.plot(
        [level.p99_ms for level in shown], [level.photos_per_s for level in shown], "o",
        color=BLUE, alpha=0.6, label="tried",
    )  # fmt: skip
    for trial, marker, name in ((result.before, "s", "current"), (result.chosen, "D", "tuned")):
        if trial.error is None:
            level = _shown_level(trial, bound)
            axes.plot(level.p99_ms, level.photos_per_s, marker, color=ORANGE, ls="", label=name)
    if bound is not None:
        axes.axvline(bound, color=INK, lw=0.8, ls="--")
    axes.set_xlabel("p99, ms")
    axes.set_ylabel("photos/s")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, labelcolor=INK, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return svg_url(figure)
