"""report.html of a tuning: how much this host serves, with which setting, at what cost, and what mattered."""

from pathlib import Path
from typing import Any

from reports.figures import FIRST, INK, SECOND, new_figure, svg_url
from reports.page import describe_environment, render
from tuning.result import TuningResult, write_beside
from tuning.trial import SAME_RATE, Level, Trial

TEMPLATE = Path(__file__).parent / "templates" / "capacity.html.j2"
LIBRARIES = ("torchserve", "torch", "onnxruntime", "pillow", "simplejpeg")
NAMES = {
    "workers": "workers",
    "threads": "threads of a worker",
    "batch_size": "largest batch",
    "max_delay_ms": "wait for a batch, ms",
    "engine": "engine",
    "precision": "precision",
}
MISSING = "–"
PHOTOS = 1e6
SECONDS_PER_HOUR = 3600


def write_report(tuned: TuningResult, folder: Path) -> Path:
    """Return the report, written into the folder. Raises OSError."""
    bound = tuned.wish.max_p99_ms
    level = tuned.chosen.best(bound)
    before, chosen = tuned.before.setting.to_dict(), tuned.chosen.setting.to_dict()
    path = folder / "report.html"
    page = render(
        TEMPLATE,
        model=f"{tuned.archive.name} {tuned.archive.version}",
        archive=tuned.archive.path,
        folder=folder,
        device=device_words(tuned),
        level=level,
        bound=bound,
        nearest_ms=min(one.p99_ms for one in tuned.chosen.levels),
        gain=gain_words(tuned),
        setting=[(NAMES[key], before[key], chosen[key]) for key in NAMES],
        capacity=capacity_rows(tuned),
        price=tuned.wish.price_per_hour,
        curve=_curve(tuned.chosen),
        open_levels=tuned.open_levels,
        effects=_effects(tuned),
        scatter=_scatter(tuned),
        mattered=effect_words(tuned),
        noise=100 * SAME_RATE,
        measured=[_row(point, bound) for point in tuned.points],
        photo_count=tuned.photo_count,
        took_s=tuned.took_s,
        environment=describe_environment(LIBRARIES),
    )
    write_beside(path, page)
    return path


def cost_per_million(price_per_hour: float, photos_per_s: float) -> float:
    """Return what a million photos cost on a host that is always full."""
    return price_per_hour * PHOTOS / (photos_per_s * SECONDS_PER_HOUR)


def capacity_rows(tuned: TuningResult) -> list[tuple[str, str, str]]:
    """Return name, figure before and figure tuned of each row of the table."""
    rows = [
        ("photos a second", "{photos_per_s:.1f}"),
        ("photos a second and core", "{per_core:.1f}"),
        ("connections at that rate", "{connections}"),
        ("p50, ms", "{p50_ms:.0f}"),
        ("p99, ms", "{p99_ms:.0f}"),
        ("memory of the server, MB", "{memory_mb:.0f}"),
    ]
    if tuned.chosen.gpu_memory_mb is not None:
        rows.append(("memory of the GPUs, MB", "{gpu_memory_mb:.0f}"))
    if tuned.wish.price_per_hour is not None:
        rows.append(
            (f"cost of a million photos at {tuned.wish.price_per_hour:g} an hour", "{cost:.2f}")
        )
    columns = [_figures(point, tuned) for point in (tuned.before, tuned.chosen)]
    return [
        (name, *(MISSING if figures is None else text.format(**figures) for figures in columns))  # type: ignore[misc]
        for name, text in rows
    ]


def gain_words(tuned: TuningResult) -> str:
    """Return the sentence that compares it with what is served now."""
    if tuned.before.setting == tuned.chosen.setting:
        return "That is what the archive is served with already."
    before = tuned.before.rate(tuned.wish.max_p99_ms)
    if not before:
        return "What it is served with now does not keep that bound."
    return f"Served as it is now: {before:.1f} photos/s."


def effect_words(tuned: TuningResult) -> str:
    """Return which settings mattered, the most important first, in one sentence each."""
    real = [effect for effect in tuned.effects if effect.range > SAME_RATE]
    if not real:
        return "None of those tried: they differ by no more than the same setting measured twice."
    told = []
    for effect in real:
        best = max(effect.factors, key=lambda value: effect.factors[value])
        worst = min(effect.factors, key=lambda value: effect.factors[value])
        told.append(
            f"{NAMES[effect.name].capitalize()}: {best} is {effect.factors[best]:.2f} times as fast as {worst}."
        )
    return " ".join(told)


def device_words(tuned: TuningResult) -> str:
    cores = f"{tuned.host.cores} core{'s' if tuned.host.cores != 1 else ''}"
    if not tuned.host.gpus:
        return cores
    return f"{tuned.host.gpus} GPU{'s' if tuned.host.gpus != 1 else ''} and {cores}"


def _figures(point: Trial, tuned: TuningResult) -> dict[str, Any] | None:
    level = point.best(tuned.wish.max_p99_ms)
    if level is None:
        return None
    price = tuned.wish.price_per_hour
    return {
        **vars(level),
        "per_core": level.photos_per_s / tuned.host.cores,
        "memory_mb": point.memory_mb,
        "gpu_memory_mb": point.gpu_memory_mb or 0.0,
        "cost": cost_per_million(price, level.photos_per_s) if price else 0.0,
    }


def _row(point: Trial, bound: float | None) -> dict[str, Any]:
    if point.fault is not None:
        return {"setting": str(point.setting), "fault": point.fault}
    return {
        "setting": str(point.setting),
        "fault": None,
        "memory_mb": point.memory_mb,
        **vars(_shown(point, bound)),
    }


def _shown(point: Trial, bound: float | None) -> Level:
    """Return the level within the bound, or the one nearest to it."""
    return point.best(bound) or min(point.levels, key=lambda level: level.p99_ms)


def _curve(point: Trial) -> str:
    figure, (left, right) = new_figure(8.5, 3.2, columns=2)
    connections = [level.connections for level in point.levels]
    left.plot(connections, [level.photos_per_s for level in point.levels], "o-", color=FIRST)
    left.set_ylabel("photos/s")
    right.plot(
        connections, [level.p99_ms for level in point.levels], "o-", color=SECOND, label="p99"
    )
    right.plot(
        connections, [level.p50_ms for level in point.levels], "o-", color=FIRST, label="p50"
    )
    right.set_ylabel("ms")
    right.legend(frameon=False, labelcolor=INK)
    for axes in (left, right):
        axes.set_xlabel("connections")
        axes.set_ylim(bottom=0)
        axes.set_xticks(connections, [str(count) for count in connections])
        axes.spines[["top", "right"]].set_visible(False)
    return svg_url(figure)


def _effects(tuned: TuningResult) -> str:
    bars = [
        (f"{NAMES[effect.name]}: {value}", factor, number)
        for number, effect in enumerate(tuned.effects)
        for value, factor in effect.factors.items()
    ]
    figure, axes = new_figure(4.6, max(1.6, 0.27 * len(bars) + 0.7))
    for place, (_, factor, number) in enumerate(reversed(bars)):
        axes.barh(place, factor, color=(FIRST, SECOND)[number % 2], alpha=0.75, height=0.7)
        axes.text(factor, place, f" {factor:.2f}", va="center", color=INK, fontsize=8)
    axes.set_yticks(range(len(bars)), [name for name, _, _ in reversed(bars)], fontsize=8)
    axes.set_xlabel("times the slowest value's photos/s")
    axes.set_xlim(0, 1.15 * max((factor for _, factor, _ in bars), default=1.0))
    axes.spines[["top", "right"]].set_visible(False)
    return svg_url(figure)


def _scatter(tuned: TuningResult) -> str:
    bound = tuned.wish.max_p99_ms
    shown = [_shown(point, bound) for point in tuned.points if point.fault is None]
    figure, axes = new_figure(4.6, 3.6)
    axes.plot(
        [level.p99_ms for level in shown], [level.photos_per_s for level in shown], "o",
        color=FIRST, alpha=0.6, label="tried",
    )  # fmt: skip
    for point, marker, name in ((tuned.before, "s", "now"), (tuned.chosen, "D", "tuned")):
        if point.fault is None:
            level = _shown(point, bound)
            axes.plot(level.p99_ms, level.photos_per_s, marker, color=SECOND, ls="", label=name)
    if bound is not None:
        axes.axvline(bound, color=INK, lw=0.8, ls="--")
    axes.set_xlabel("p99, ms")
    axes.set_ylabel("photos/s")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, labelcolor=INK, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return svg_url(figure)
