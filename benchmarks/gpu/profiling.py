"""Where the time goes, at once: what falls short on a GPU host is profiled while there is one."""

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.context import Context

LINES = 10


def profile_top(context: Context, work: Callable[[], object], *, times: int = 5) -> list[str]:
    """Return the ten operations that take most of the device's time, and the ten with most of the CPU's own.

    One line each: name, calls, milliseconds on the device and on the CPU, without the operations they call.
    """
    work()
    activities = [ProfilerActivity.CPU]
    if context.device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        for _ in range(times):
            work()
        if context.device == "cuda":
            torch.cuda.synchronize()
    averages = list(profiler.key_averages())
    on_device = sorted(averages, key=lambda event: -event.self_device_time_total)[:LINES]
    on_cpu = sorted(averages, key=lambda event: -event.self_cpu_time_total)[:LINES]
    chosen = [("device", event) for event in on_device if context.device == "cuda"]
    chosen += [("CPU", event) for event in on_cpu]
    return [
        f"by {place}: {event.key[:80]}, {event.count} calls, {event.self_device_time_total / 1e3:.2f} ms on the "
        f"device, {event.self_cpu_time_total / 1e3:.2f} ms on the CPU"
        for place, event in chosen
    ]
